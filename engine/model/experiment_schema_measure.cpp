// The keys of [measure].
#include "engine/model/experiment_schema_sections.h"

namespace batchwise {

std::vector<Key> measure_keys() {
  return {
      {.section = "measure",
       .name = "noise_scale_every_steps",
       .type = ValueType::integer,
       .default_text = "10",
       .meaning = "Weight updates between two measurements of the gradient noise scale (McCandlish "
                  "et al. 2018), from the norms of each sample's gradient; of networks "
                  "that train dense layers alone. 0: never.",
       .interval = kCount,
       .aliases = {"noise_scale", "gradient_noise_scale", "gns"}},
      {.section = "measure",
       .name = "gradients",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "After training: variance, norm and cosine to the full gradient of gradients of "
                  "many batch sizes, at the weights that are kept.",
       .aliases = {"gradient_statistics", "gradient_variance"}},
      {.section = "measure",
       .name = "sharpness",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "After training: how far the training loss rises near the weights that are kept "
                  "(Keskar et al. 2017), in the full space and in random subspaces.",
       .aliases = {"flatness"}},
      {.section = "measure",
       .name = "hessian",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "After training: the largest eigenvalue of the training loss's Hessian at the "
                  "weights that are kept.",
       .aliases = {"eigenvalue", "curvature", "hessian_eigenvalue"}},
      {.section = "measure",
       .name = "batchnorm",
       .type = ValueType::boolean,
       .default_text = "false",
       .meaning = "After training, for networks with BatchNorm: how far the statistics of batches "
                  "of many sizes lie from the population's, and the accuracy with either.",
       .aliases = {"batch_norm", "batchnorm_noise", "bn"}},
      {.section = "measure",
       .name = "samples",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Samples of the training part, from the first on, that the measurements after "
                  "training use. 0: all.",
       .interval = kCount,
       .aliases = {"n_samples", "num_samples"}},
  };
}

}  // namespace batchwise
