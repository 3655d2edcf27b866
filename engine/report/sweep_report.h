// The report of a sweep: a self-contained HTML page, the batch-size card first.
#pragma once

#include <string>

#include "engine/sweep/sweep_results.h"

namespace batchwise {

/// The page. Runs that are waiting leave gaps, and the page says how many. Curves are read from the
/// runs' metrics.jsonl; one that cannot be read is left out and named.
[[nodiscard]] std::string sweep_report(const SweepResults& results);

}  // namespace batchwise
