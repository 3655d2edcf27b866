#include "engine/report/sweep_report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "engine/report/html.h"

namespace batchwise {
namespace {

bool is_best(const SweepResults& results, const SweepCell& cell) {
  return std::find(results.best_cells.begin(), results.best_cells.end(), cell.index) !=
         results.best_cells.end();
}

/// The chosen cell of the largest share of successes, and among those of the largest value; null
/// where none has a finite value.
template <class Share, class Value>
const SweepCell* first_of(const SweepResults& results, const Share& share, const Value& value) {
  const SweepCell* found = nullptr;
  for (const SweepCell* cell : chosen_cells(results)) {
    if (!std::isfinite(value(*cell))) continue;
    const auto merit = [&](const SweepCell& one) { return std::pair(share(one), value(one)); };
    if (found == nullptr || merit(*cell) > merit(*found)) found = cell;
  }
  return found;
}

/// Decimals that show two digits of `half`, or else four of the value.
int decimals_of(double value, double half) {
  const double shown = std::isfinite(half) && half > 0.0 ? half : std::abs(value) / 100.0;
  if (!(shown > 0.0)) return 0;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(shown))), 0, 6);
}

std::string fixed_text(double value, int decimals) {
  if (std::abs(value) >= 1e9 || (value != 0.0 && std::abs(value) < 1e-4)) {
    return fmt::format("{:.3g}", value);
  }
  if (decimals == 0) return grouped(std::llround(value));
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::vector<Series> series_of(const SweepResults& results) {
  std::vector<Series> all;
  for (const SweepCell& cell : results.cells) {
    const std::string name = cell.group.empty() ? "all cells" : cell.group;
    auto found = std::find_if(all.begin(), all.end(),
                              [&](const Series& series) { return series.name == name; });
    if (found == all.end()) {
      all.push_back({.name = name, .colour = all.size(), .best = {}, .others = {}});
      found = all.end() - 1;
    }
    (is_best(results, cell) ? found->best : found->others).push_back(&cell);
  }
  const auto by_batch_size = [](const SweepCell* left, const SweepCell* right) {
    return left->batch_size < right->batch_size;
  };
  for (Series& series : all) {
    std::stable_sort(series.best.begin(), series.best.end(), by_batch_size);
    std::stable_sort(series.others.begin(), series.others.end(), by_batch_size);
  }
  return all;
}

std::vector<const SweepCell*> chosen_cells(const SweepResults& results) {
  std::vector<const SweepCell*> chosen;
  for (const Series& series : series_of(results)) {
    chosen.insert(chosen.end(), series.best.begin(), series.best.end());
  }
  if (!chosen.empty()) return chosen;
  for (const SweepCell& cell : results.cells) chosen.push_back(&cell);
  return chosen;
}

bool any_has(const SweepResults& results, CellEstimate estimate) {
  return std::any_of(results.cells.begin(), results.cells.end(),
                     [&](const SweepCell& cell) { return std::isfinite((cell.*estimate).value); });
}

LeadAccuracy lead_accuracy(const SweepResults& results) {
  if (any_has(results, &SweepCell::validation_accuracy)) {
    return {.name = std::string(kValidationAccuracyMeasure),
            .estimate = &SweepCell::validation_accuracy};
  }
  return {.name = std::string(kTestAccuracyMeasure), .estimate = &SweepCell::test_accuracy};
}

std::string compared_accuracy(const SweepResults& results) {
  const auto compared = [&](const std::string& measure) {
    return std::any_of(
        results.comparisons.begin(), results.comparisons.end(),
        [&](const CellComparison& comparison) { return comparison.measure == measure; });
  };
  for (const std::string& measure : {lead_accuracy(results).name, std::string(kTestAccuracyMeasure),
                                     std::string(kValidationAccuracyMeasure)}) {
    if (compared(measure)) return measure;
  }
  return {};
}

const SweepCell* soonest(const SweepResults& results, CellEstimate estimate) {
  const auto share = [](const SweepCell& cell) {
    return static_cast<double>(cell.reached) /
           static_cast<double>(std::max<std::int64_t>(cell.done + cell.diverged, 1));
  };
  return first_of(results, share, [&](const SweepCell& cell) { return -(cell.*estimate).value; });
}

const SweepCell* most_accurate(const SweepResults& results) {
  const CellEstimate estimate = lead_accuracy(results).estimate;
  const auto share = [](const SweepCell& cell) {
    return static_cast<double>(cell.done) /
           static_cast<double>(std::max<std::int64_t>(cell.done + cell.diverged, 1));
  };
  return first_of(results, share, [&](const SweepCell& cell) { return (cell.*estimate).value; });
}

std::string estimate_text(const Estimate& estimate, double factor) {
  if (!std::isfinite(estimate.value)) return number_text(estimate.value);
  const double value = factor * estimate.value;
  const double half = 0.5 * factor * (estimate.high - estimate.low);
  const int decimals = decimals_of(value, half);
  if (!std::isfinite(half)) return fixed_text(value, decimals);
  return fmt::format("{} ± {}", fixed_text(value, decimals), fixed_text(half, decimals));
}

std::string percent_text(const Estimate& estimate) { return estimate_text(estimate, 100.0) + " %"; }

std::string short_text(double value) {
  if (!std::isfinite(value)) return number_text(value);
  if (std::abs(value) < 1000.0) return fmt::format("{:.3g}", value);
  if (std::abs(value) > 1e15) return fmt::format("{:.3g}", value);
  const double unit = std::pow(10.0, std::max(0.0, std::floor(std::log10(std::abs(value))) - 3.0));
  return grouped(std::llround(std::round(value / unit) * unit));
}

std::string interval_text(const Estimate& estimate) {
  if (std::isinf(estimate.high) && std::isfinite(estimate.low) && estimate.low > 0.0) {
    return fmt::format("about {}, above {}", short_text(estimate.value), short_text(estimate.low));
  }
  if (!std::isfinite(estimate.low) || !std::isfinite(estimate.high)) {
    return fmt::format("about {}", short_text(estimate.value));
  }
  return fmt::format("about {} ({} to {})", short_text(estimate.value), short_text(estimate.low),
                     short_text(estimate.high));
}

CurvePoint point_of(double x, const Estimate& estimate, double factor) {
  const double y = factor * estimate.value;
  const auto end = [&](double value) { return std::isnan(value) ? y : factor * value; };
  return {.x = x, .y = y, .low = end(estimate.low), .high = end(estimate.high)};
}

std::vector<Line> lines_of(const std::vector<Series>& all, CellEstimate estimate, double factor) {
  std::vector<Line> lines;
  const auto add = [&](const Series& series, const std::vector<const SweepCell*>& cells,
                       LineStyle style) {
    Line line{.name = series.name, .style = style, .error_bars = true, .colour = series.colour};
    for (const SweepCell* cell : cells) {
      line.points.push_back(
          point_of(static_cast<double>(cell->batch_size), cell->*estimate, factor));
    }
    if (style != LineStyle::dots) return lines.push_back(std::move(line));
    line.error_bars = false;
    line.with_band = false;
    line.name += ", other rates";
    lines.push_back(std::move(line));
  };
  for (const Series& series : all) add(series, series.best, LineStyle::curve);
  for (const Series& series : all) add(series, series.others, LineStyle::dots);
  return lines;
}

std::string spread_note(const SweepResults& results) {
  const bool repeated = std::any_of(results.cells.begin(), results.cells.end(),
                                    [](const SweepCell& cell) { return cell.runs.size() > 1; });
  return repeated ? "mean over seeds, 95 % interval" : "one seed, so without intervals";
}

Axis batch_size_axis(const SweepResults& results, bool with_planned) {
  std::set<double> sizes;
  if (with_planned) {
    for (const auto& planned : results.planned) {
      sizes.insert(static_cast<double>(planned.batch_size));
    }
  }
  for (const SweepCell& cell : results.cells) sizes.insert(static_cast<double>(cell.batch_size));
  return {.label = "batch size",
          .scale = Scale::logarithmic,
          .ticks = std::vector<double>(sizes.begin(), sizes.end())};
}

std::string extremes_text(const std::vector<Line>& lines, bool highest) {
  std::string text;
  for (const Line& line : lines) {
    if (line.style != LineStyle::curve) continue;
    const CurvePoint* found = nullptr;
    for (const CurvePoint& point : line.points) {
      if (!std::isfinite(point.y)) continue;
      if (found == nullptr || (highest ? point.y > found->y : point.y < found->y)) found = &point;
    }
    if (found == nullptr) continue;
    text +=
        fmt::format("{}{}: {} at batch size {} with {}.", text.empty() ? "" : " ", line.name,
                    highest ? "highest" : "lowest", number_text(found->x), short_text(found->y));
  }
  return text;
}

Line law_through(const Line& line, double exponent, std::string name) {
  Line law{.name = std::move(name), .with_band = false, .style = LineStyle::reference};
  const CurvePoint* first = nullptr;
  for (const CurvePoint& point : line.points) {
    if (!std::isfinite(point.y)) continue;
    if (first == nullptr) first = &point;
    const double y = first->y * std::pow(point.x / first->x, exponent);
    law.points.push_back({.x = point.x, .y = y, .low = y, .high = y});
  }
  if (law.points.size() < 2) law.points.clear();
  return law;
}

std::optional<ThroughputBend> throughput_bend(const Series& series) {
  std::map<std::int64_t, double> speeds;
  ThroughputBend bend;
  for (const SweepCell* cell : series.best) {
    const double speed = cell->samples_per_second.value;
    if (!std::isfinite(speed)) continue;
    speeds[cell->batch_size] = speed;
    bend.highest = std::max(bend.highest, speed);
  }
  if (speeds.size() < 2) return std::nullopt;
  for (const auto& [batch_size, speed] : speeds) {
    if (speed < 0.9 * bend.highest) continue;
    bend.batch_size = batch_size;
    break;
  }
  bend.still_rising = bend.batch_size == speeds.rbegin()->first;
  return bend;
}

std::optional<std::int64_t> plateau_end(const SweepResults& results, const SweepCell& best) {
  const std::string measure = compared_accuracy(results);
  std::map<int, bool> differs;
  for (const CellComparison& comparison : results.comparisons) {
    if (comparison.measure != measure) continue;
    if (std::isnan(comparison.result.p_value)) continue;
    if (comparison.first == best.index) differs[comparison.second] = comparison.differs;
    if (comparison.second == best.index) differs[comparison.first] = comparison.differs;
  }
  std::optional<std::int64_t> end;
  for (const Series& series : series_of(results)) {
    if (std::find(series.best.begin(), series.best.end(), &best) == series.best.end()) continue;
    for (const SweepCell* cell : series.best) {
      if (cell->batch_size <= best.batch_size) continue;
      const auto found = differs.find(cell->index);
      if (found == differs.end() || found->second) {
        if (found != differs.end() && !end) end = best.batch_size;
        break;
      }
      end = cell->batch_size;
    }
  }
  return end;
}

std::string charts_section(std::string_view heading, const std::vector<Chart>& charts,
                           std::string_view below) {
  std::string drawn;
  for (const Chart& chart : charts) {
    if (has_values(chart)) drawn += to_html(chart);
  }
  if (drawn.empty()) return {};
  return fmt::format("<h2>{}</h2>\n<div class=\"grid\">\n{}</div>\n{}", heading, drawn, below);
}

}  // namespace batchwise
