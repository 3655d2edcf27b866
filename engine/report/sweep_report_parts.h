// What the sections of a sweep's report share: which cells belong together, estimates as points and
// as texts, and the sections themselves.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/report/svg.h"
#include "engine/sweep/sweep_results.h"

namespace batchwise {

/// Cells that differ in batch size and learning rate alone.
struct Series {
  std::string name;                      ///< "sgd, linear"; "all cells" where there is one series
  std::size_t colour = 0;                ///< the same in every picture
  std::vector<const SweepCell*> best;    ///< one a batch size, in order of it
  std::vector<const SweepCell*> others;  ///< other learning rates
};
[[nodiscard]] std::vector<Series> series_of(const SweepResults& results);
/// The best cells of all series; all cells where none is called the best.
[[nodiscard]] std::vector<const SweepCell*> chosen_cells(const SweepResults& results);

using CellEstimate = Estimate SweepCell::*;

/// By which accuracy cells are ordered: validation, or else test.
struct LeadAccuracy {
  std::string name;
  CellEstimate estimate = nullptr;
};
[[nodiscard]] LeadAccuracy lead_accuracy(const SweepResults& results);
/// The accuracy that cells were compared by: the lead where it was, or else the other; empty
/// without such comparisons.
[[nodiscard]] std::string compared_accuracy(const SweepResults& results);
/// Of the highest lead accuracy, after those where fewer runs diverged; null where nothing is done.
[[nodiscard]] const SweepCell* most_accurate(const SweepResults& results);
/// Of the lowest such estimate to the target, after those where more runs reached it; null where
/// none did.
[[nodiscard]] const SweepCell* soonest(const SweepResults& results, CellEstimate estimate);
[[nodiscard]] bool any_has(const SweepResults& results, CellEstimate estimate);

/// "98.42 ± 0.31"; without the half-interval where there is none; an en dash for NaN. A value times
/// `factor`.
[[nodiscard]] std::string estimate_text(const Estimate& estimate, double factor = 1.0);
/// "98.4 %", "98.42 ± 0.31 %"
[[nodiscard]] std::string percent_text(const Estimate& estimate);
/// Three significant digits, or from 1,000 on at least four, thousands grouped.
[[nodiscard]] std::string short_text(double value);
/// "about 310 (250 to 400)"
[[nodiscard]] std::string interval_text(const Estimate& estimate);

[[nodiscard]] CurvePoint point_of(double x, const Estimate& estimate, double factor = 1.0);
/// With error bars, a point a batch size: of the best cells, or as faint dots of the others.
[[nodiscard]] std::vector<Line> lines_of(const std::vector<Series>& all, CellEstimate estimate,
                                         double factor = 1.0);
/// What error bars of this sweep are.
[[nodiscard]] std::string spread_note(const SweepResults& results);
/// A tick at each batch size of the sweep, and where asked at those that are planned alone.
[[nodiscard]] Axis batch_size_axis(const SweepResults& results, bool with_planned = false);
/// "sgd: highest at batch size 64 with 98.6." of each curve.
[[nodiscard]] std::string extremes_text(const std::vector<Line>& lines, bool highest);
/// y proportional to x^exponent through the line's first point, as far as the line reaches.
[[nodiscard]] Line law_through(const Line& line, double exponent, std::string name);

/// Where throughput of a series' best cells first has 90 % of its highest.
struct ThroughputBend {
  std::int64_t batch_size = 0;
  double highest = 0.0;
  bool still_rising = false;  ///< it is the largest batch size of the sweep
};
[[nodiscard]] std::optional<ThroughputBend> throughput_bend(const Series& series);
/// The largest batch size up to which no best cell of the series of `best` differs from it in
/// compared_accuracy(); nothing without such comparisons.
[[nodiscard]] std::optional<std::int64_t> plateau_end(const SweepResults& results,
                                                      const SweepCell& best);

// The sections, as HTML; empty where there is nothing to show.
[[nodiscard]] std::string sweep_headline(const SweepResults& results);
[[nodiscard]] std::string batch_size_card(const SweepResults& results);
[[nodiscard]] std::string accuracy_section(const SweepResults& results);
[[nodiscard]] std::string target_section(const SweepResults& results);
[[nodiscard]] std::string speed_section(const SweepResults& results);
[[nodiscard]] std::string measured_section(const SweepResults& results);
[[nodiscard]] std::string comparisons_section(const SweepResults& results);
[[nodiscard]] std::string cells_section(const SweepResults& results);
[[nodiscard]] std::string classes_section(const SweepResults& results);
[[nodiscard]] std::string repeat_section(const SweepResults& results);
/// Makes the columns of the table of cells sortable.
[[nodiscard]] std::string_view sort_script();
/// A grid of those charts that have values, below a heading; empty without any.
[[nodiscard]] std::string charts_section(std::string_view heading, const std::vector<Chart>& charts,
                                         std::string_view below = {});

}  // namespace batchwise
