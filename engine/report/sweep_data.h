// What a sweep found as text, CSV and JSON.
#pragma once

#include <string>

#include "engine/sweep/sweep_results.h"

namespace batchwise {

/// For people: a line a cell (of a search: the best cells), means with the half width of their 95 %
/// intervals, then what differs and what does not, then notes.
[[nodiscard]] std::string to_text(const SweepResults& results);

/// One line a run, a header first; quoted as in RFC 4180, lines end in \n; empty: there is no such
/// figure. Figures that are the same whenever and wherever the sweep is repeated
/// (docs/numerics.md), and killed or not.
[[nodiscard]] std::string results_csv(const SweepResults& results);
/// Likewise, figures of this machine on that day: seconds, samples a second, bytes held.
[[nodiscard]] std::string timings_csv(const SweepResults& results);

/// One JSON object: everything. NaN and infinities are null.
[[nodiscard]] std::string to_json(const SweepResults& results);

}  // namespace batchwise
