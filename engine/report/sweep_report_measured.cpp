// What was measured besides loss and accuracy: noise scale, sharpness, gradients, BatchNorm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/report/measurement_charts.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {
namespace {

constexpr std::size_t kMostLines = 4;  ///< their bands would cover each other

/// A chosen cell and the measurements of its first run that has some.
struct MeasuredCell {
  const SweepCell* cell = nullptr;
  const Measurements* measured = nullptr;
};

std::vector<MeasuredCell> measured_cells(const SweepResults& results) {
  std::vector<MeasuredCell> found;
  for (const SweepCell* cell : chosen_cells(results)) {
    for (const SweepRun& run : cell->runs) {
      if (!run.measured) continue;
      found.push_back({.cell = cell, .measured = &*run.measured});
      break;
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const MeasuredCell& one, const MeasuredCell& two) {
                     return one.cell->batch_size < two.cell->batch_size;
                   });
  return found;
}

/// Evenly chosen, the first and the last among them.
template <class Element>
std::vector<Element> thinned(const std::vector<Element>& all) {
  if (all.size() <= kMostLines) return all;
  std::vector<Element> kept;
  for (std::size_t index = 0; index < kMostLines; ++index) {
    kept.push_back(all[index * (all.size() - 1) / (kMostLines - 1)]);
  }
  return kept;
}

Chart noise_over_training(const std::vector<MeasuredCell>& cells) {
  std::vector<Line> lines;
  for (const auto& [cell, measured] : cells) {
    if (measured->noise_over_training.empty()) continue;
    lines.push_back(noise_line(cell->name, measured->noise_over_training,
                               static_cast<double>(cell->batch_size)));
  }
  Chart chart = noise_chart(thinned(lines), "samples trained on");
  if (lines.size() > kMostLines) {
    chart.note = fmt::format("95 % interval; {} of {} cells", kMostLines, lines.size());
  }
  chart.title = "Noise scale over training, samples";
  chart.ordered_colours = true;
  return chart;
}

Chart gradient_variance(const std::vector<MeasuredCell>& cells) {
  std::vector<NamedStudy> studies;
  for (const auto& [cell, measured] : cells) {
    if (measured->gradients) studies.emplace_back(cell->name, &*measured->gradients);
  }
  Chart chart = gradient_variance_chart(thinned(studies));
  chart.ordered_colours = true;
  return chart;
}

/// The epsilon of the sharpness that cells show.
std::string sharpness_note(const std::vector<MeasuredCell>& cells) {
  for (const auto& [cell, measured] : cells) {
    for (const SharpnessResult& result : measured->sharpness) {
      if (result.dimensions == 0) return fmt::format("epsilon {:g}, full space", result.epsilon);
    }
  }
  return {};
}

Chart sharpness_chart(const SweepResults& results, const std::vector<MeasuredCell>& cells) {
  Chart chart{.title = "Sharpness",
              .note = sharpness_note(cells),
              .x = batch_size_axis(results),
              .y = {.scale = Scale::logarithmic},
              .lines = lines_of(series_of(results), &SweepCell::sharpness)};
  chart.finding = extremes_text(chart.lines, true);
  return chart;
}

/// Over the seeds of each best cell.
Chart hessian_chart(const SweepResults& results) {
  Chart chart{.title = "Largest Hessian eigenvalue",
              .note = spread_note(results),
              .x = batch_size_axis(results),
              .y = {.scale = Scale::automatic}};
  for (const Series& series : series_of(results)) {
    Line line{.name = series.name, .error_bars = true, .colour = series.colour};
    for (const SweepCell* cell : series.best) {
      std::vector<double> values;
      for (const SweepRun& run : cell->runs) {
        if (!run.measured || !run.measured->hessian) continue;
        values.push_back(run.measured->hessian->largest_eigenvalue);
      }
      if (values.empty()) continue;
      line.points.push_back(point_of(static_cast<double>(cell->batch_size), mean_estimate(values)));
    }
    chart.lines.push_back(std::move(line));
  }
  chart.finding = extremes_text(chart.lines, true);
  return chart;
}

/// Of the cell that did best, if it has BatchNorm layers.
std::vector<Chart> batchnorm_of_best(const SweepResults& results,
                                     const std::vector<MeasuredCell>& cells) {
  const SweepCell* best = most_accurate(results);
  const MeasuredCell* chosen = nullptr;
  for (const MeasuredCell& one : cells) {
    if (one.measured->batchnorm.empty()) continue;
    if (chosen == nullptr || one.cell == best) chosen = &one;
  }
  if (chosen == nullptr) return {};
  std::vector<Chart> charts = batchnorm_charts(*chosen->measured);
  for (Chart& chart : charts) {
    chart.note += fmt::format("{}of {}", chart.note.empty() ? "" : ", ", chosen->cell->name);
  }
  return charts;
}

}  // namespace

std::string measured_section(const SweepResults& results) {
  const std::vector<MeasuredCell> cells = measured_cells(results);
  Chart noise{.title = "Noise scale, samples",
              .note = "of all training, " + spread_note(results),
              .x = batch_size_axis(results),
              .y = {.scale = Scale::automatic},
              .lines = lines_of(series_of(results), &SweepCell::noise_scale)};
  noise.finding = extremes_text(noise.lines, true);
  std::vector<Chart> charts = {noise_over_training(cells), std::move(noise),
                               sharpness_chart(results, cells), hessian_chart(results),
                               gradient_variance(cells)};
  for (Chart& chart : batchnorm_of_best(results, cells)) charts.push_back(std::move(chart));
  return charts_section("Noise and curvature", charts);
}

}  // namespace batchwise
