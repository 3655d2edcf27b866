// Which cells of a sweep differ, and by how much at most. Internal to engine/sweep.
#pragma once

#include "engine/sweep/sweep_results.h"

namespace batchwise {

/// Every two cells of best_cells that share a group; where only one batch size was swept, every two
/// cells. Over the seeds that both have. With a target: by the logarithm of the steps
/// to it; else by test (or else validation) accuracy.
[[nodiscard]] std::vector<CellComparison> compare_cells(const SweepResults& results);

}  // namespace batchwise
