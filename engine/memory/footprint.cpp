#include "engine/memory/footprint.h"

namespace batchwise {

std::string_view name_of(MemoryCategory category) {
  switch (category) {
    case MemoryCategory::parameters: return "parameters";
    case MemoryCategory::gradients: return "gradients";
    case MemoryCategory::optimizer_state: return "optimizer state";
    case MemoryCategory::master_weights: return "master weights";
    case MemoryCategory::activations: return "activations";
    case MemoryCategory::workspace: return "workspace";
    case MemoryCategory::partial_sums: return "partial sums";
    case MemoryCategory::results: return "results";
    case MemoryCategory::tables: return "tables";
    case MemoryCategory::data_set: return "data set";
    case MemoryCategory::evaluation: return "evaluation";
    case MemoryCategory::rounding: return "rounding";
    case MemoryCategory::graphs: return "graphs";
    case MemoryCategory::overhead: return "overhead";
  }
  return "?";
}

}  // namespace batchwise
