// The rows, one function a section, in the order in which files are written.
#include "engine/model/experiment_schema.h"

#include <cassert>

#include "engine/model/experiment_schema_sections.h"

namespace batchwise {
namespace {

std::vector<Key> top_level_keys() {
  return {
      {.section = "",
       .name = "seed",
       .type = ValueType::integer,
       .default_text = "0",
       .meaning = "Where all randomness starts: initial weights, the order of each epoch, dropout "
                  "and drawn data. The same seed gives the same bits, whatever the batch size.",
       .interval = kNotNegative,
       .aliases = {"random_state", "random_seed", "manual_seed"}},
      {.section = "",
       .name = "device",
       .default_text = "\"auto\"",
       .meaning = "Where to run: `auto` takes a GPU or else the CPU and says which, `cuda` the "
                  "first GPU, `cuda:N` the GPU of that index, `cpu` the CPU kernels, `emulated` "
                  "the CUDA kernels on the CPU.",
       .aliases = {"gpu", "accelerator"}},
      {.section = "",
       .name = "precision",
       .default_text = "\"fp32\"",
       .meaning = "The type of activations, weights and gradients. fp32 means fp32: no shorter "
                  "type is used in its place.",
       .words = {"fp32"},
       .unavailable = {"tf32", "bf16", "fp16", "fp64"},
       .aliases = {"dtype", "mixed_precision"},
       .word_aliases = {{"float32", "fp32"}, {"32", "fp32"}}},
      {.section = "",
       .name = "numerics",
       .default_text = "\"invariant\"",
       .meaning = "`invariant`: results do not depend on how samples are grouped into batches and "
                  "micro-batches. `fast`: libraries may choose by shape and give that up.",
       .words = {"invariant", "fast"},
       .aliases = {"deterministic", "reproducible"}},
      {.section = "",
       .name = "data",
       .type = ValueType::section,
       .aliases = {"dataset", "datasets"}},
      {.section = "", .name = "model", .type = ValueType::section, .aliases = {"network", "net"}},
      {.section = "", .name = "optimizer", .type = ValueType::section, .aliases = {"optim"}},
      {.section = "",
       .name = "schedule",
       .type = ValueType::section,
       .aliases = {"scheduler", "lr_scheduler", "lr_schedule"}},
      {.section = "",
       .name = "batch_schedule",
       .type = ValueType::section,
       .aliases = {"batch_scheduler", "batch_size_schedule", "batch_size_scheduler"}},
      {.section = "",
       .name = "training",
       .type = ValueType::section,
       .aliases = {"train", "fit", "trainer"}},
      {.section = "",
       .name = "measure",
       .type = ValueType::section,
       .aliases = {"measurements", "analysis", "profile"}},
      {.section = "", .name = "run", .type = ValueType::section},
  };
}

}  // namespace

const std::vector<Key>& experiment_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all;
    for (const auto& section :
         {top_level_keys(), data_keys(), model_keys(), layer_keys(), optimizer_keys(),
          schedule_keys(), batch_schedule_keys(), training_keys(), measure_keys()}) {
      all.insert(all.end(), section.begin(), section.end());
    }
    return all;
  }();
  return keys;
}

const Key* find_key(std::string_view section, std::string_view name) {
  for (const Key& key : experiment_keys()) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

const Key& key_of(std::string_view section, std::string_view name) {
  const Key* key = find_key(section, name);
  assert(key != nullptr);
  return *key;
}

}  // namespace batchwise
