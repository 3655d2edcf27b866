// The keys of [batch_schedule].
#include "engine/model/experiment_schema_sections.h"

namespace batchwise {

std::vector<Key> batch_schedule_keys() {
  return {
      {.section = "batch_schedule",
       .name = "kind",
       .default_text = "\"constant\"",
       .meaning = "When the batch grows, always between two epochs. `step`: after each epoch of "
                  "`at`. `plateau`: when the validation loss at the end of `patience` epochs has "
                  "not improved, as others lower the learning rate then (Smith et al. 2018, "
                  "\"Don't Decay the Learning Rate, Increase the Batch Size\"); it needs "
                  "validation data.",
       .words = {"constant", "step", "plateau"},
       .aliases = {"type", "name", "policy"},
       .word_aliases = {{"multistep", "step"}, {"none", "constant"}, {"on_plateau", "plateau"}}},
      {.section = "batch_schedule",
       .name = "at",
       .type = ValueType::integers,
       .default_text = "required",
       .meaning = "The numbers of whole epochs, rising, after which the batch size is multiplied "
                  "by `factor`.",
       .interval = kPositiveCount,
       .kinds = {"step"},
       .required_for = {"step"},
       .aliases = {"milestones", "boundaries", "epochs"}},
      {.section = "batch_schedule",
       .name = "factor",
       .type = ValueType::integer,
       .default_text = "2",
       .meaning = "What the batch size is multiplied by.",
       .interval = {.lowest = 2, .highest = kLargestCount},
       .kinds = {"step", "plateau"},
       .aliases = {"gamma", "growth", "multiplier"}},
      {.section = "batch_schedule",
       .name = "max_batch_size",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Samples the batch grows to at most; there it stays. 0, or more than there are: "
                  "the training set.",
       .interval = kCount,
       .kinds = {"step", "plateau"},
       .aliases = {"max", "maximum", "max_batch", "largest"}},
      {.section = "batch_schedule",
       .name = "patience",
       .type = ValueType::integer,
       .default_text = "2",
       .meaning = "Epochs without improvement of the validation loss after which the batch grows. "
                  "Counting begins anew then.",
       .interval = kPositiveCount,
       .kinds = {"plateau"},
       .aliases = {"n_iter_no_change", "wait", "rounds"}},
      {.section = "batch_schedule",
       .name = "min_delta",
       .type = ValueType::number,
       .default_text = "0.0",
       .meaning = "How far the validation loss must fall below the best to count as an "
                  "improvement.",
       .interval = kNotNegative,
       .kinds = {"plateau"},
       .aliases = {"delta", "tol", "threshold", "min_change"}},
  };
}

}  // namespace batchwise
