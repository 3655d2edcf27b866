// The charts of a sweep's report: accuracy and loss, the way to the target, speed and bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/report/html.h"
#include "engine/report/metrics_curves.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {
namespace {

constexpr std::size_t kMostCurves = 12;

/// A chart of an estimate of the cells against batch size.
Chart cells_chart(const SweepResults& results, std::string title, CellEstimate estimate,
                  const Axis& y, bool highest, double factor = 1.0) {
  Chart chart{.title = std::move(title),
              .note = spread_note(results),
              .x = batch_size_axis(results),
              .y = y,
              .lines = lines_of(series_of(results), estimate, factor)};
  chart.finding = extremes_text(chart.lines, highest);
  return chart;
}

/// The most accurate series first, at most kMostCurves cells.
std::vector<const SweepCell*> curve_cells(const SweepResults& results) {
  std::vector<const SweepCell*> cells;
  const SweepCell* best = most_accurate(results);
  std::vector<Series> all = series_of(results);
  std::stable_sort(all.begin(), all.end(), [&](const Series& left, const Series& right) {
    const auto has = [&](const Series& series) {
      return std::find(series.best.begin(), series.best.end(), best) != series.best.end();
    };
    return has(left) && !has(right);
  });
  for (const Series& series : all) {
    if (!cells.empty() && cells.size() + series.best.size() > kMostCurves) break;
    cells.insert(cells.end(), series.best.begin(), series.best.end());
  }
  if (cells.empty()) cells = chosen_cells(results);
  if (cells.size() > kMostCurves) cells.resize(kMostCurves);
  std::stable_sort(cells.begin(), cells.end(), [](const SweepCell* left, const SweepCell* right) {
    return left->batch_size < right->batch_size;
  });
  return cells;
}

struct LossCurves {
  std::vector<Line> training, validation;
  std::vector<std::string> unreadable;
};

/// Of the first seed that has begun of each cell.
LossCurves loss_curves(const SweepResults& results) {
  LossCurves curves;
  for (const SweepCell* cell : curve_cells(results)) {
    const auto run = std::find_if(cell->runs.begin(), cell->runs.end(), [](const SweepRun& one) {
      return one.state != RunState::waiting;
    });
    if (run == cell->runs.end()) continue;
    try {
      const MetricsCurves read = read_metrics_curves(run->folder / "metrics.jsonl");
      const auto add = [&](std::vector<Line>& lines, const ThinnedCurve& curve) {
        lines.push_back({.name = cell->name,
                         .points = curve.points(),
                         .with_band = false,
                         .colour = lines.size()});
      };
      add(curves.training, read.train_loss_by_samples);
      add(curves.validation, read.validation_loss_by_samples);
    } catch (const InputError& error) {
      curves.unreadable.emplace_back(error.what());
    }
  }
  return curves;
}

std::string last_values_text(const std::vector<Line>& lines) {
  std::string text;
  for (const Line& line : lines) {
    if (line.points.empty() || !std::isfinite(line.points.back().y)) continue;
    text += fmt::format("{}{} ends at {}.", text.empty() ? "" : " ", line.name,
                        short_text(line.points.back().y));
  }
  return text;
}

Chart loss_chart(std::string title, std::vector<Line> lines) {
  Chart chart{.title = std::move(title),
              .note = "one seed of each cell",
              .x = {.label = "samples trained on", .from_zero = true},
              .y = {.scale = Scale::automatic},
              .lines = std::move(lines),
              .ordered_colours = true};
  chart.finding = last_values_text(chart.lines);
  return chart;
}

std::string unreadable_text(const std::vector<std::string>& reasons) {
  constexpr std::size_t kMost = 3;
  if (reasons.empty()) return {};
  std::string items;
  for (std::size_t index = 0; index < std::min(reasons.size(), kMost); ++index) {
    items += fmt::format("<li>{}</li>\n", escape_html(reasons[index]));
  }
  if (reasons.size() > kMost)
    items += fmt::format("<li>and {} more</li>\n", reasons.size() - kMost);
  return fmt::format("<p>Left out of the curves:</p>\n<ul>\n{}</ul>\n", items);
}

/// A series' first line in that order, to which laws are drawn.
const Line* first_curve(const std::vector<Line>& lines) {
  for (const Line& line : lines) {
    if (line.style == LineStyle::curve && !line.points.empty()) return &line;
  }
  return nullptr;
}

std::string scaling_text(const std::vector<Line>& lines) {
  std::string text;
  for (const Line& line : lines) {
    if (line.style != LineStyle::curve || line.points.size() < 2) continue;
    const CurvePoint& first = line.points.front();
    const CurvePoint& last = line.points.back();
    if (!std::isfinite(first.y) || !std::isfinite(last.y) || !(last.y > 0.0)) continue;
    text += fmt::format(" {}: a batch {} times as large takes {} times fewer updates.", line.name,
                        short_text(last.x / first.x), short_text(first.y / last.y));
  }
  return text.empty() ? text : text.substr(1);
}

Chart steps_chart(const SweepResults& results) {
  Chart chart = cells_chart(results, "Updates to the target", &SweepCell::steps_to_target,
                            {.scale = Scale::logarithmic}, false);
  if (!results.resolution.empty()) chart.note = results.resolution;
  chart.finding = scaling_text(chart.lines);
  if (const Line* first = first_curve(chart.lines)) {
    chart.lines.push_back(law_through(*first, -1.0, "perfect scaling"));
  }
  return chart;
}

Chart rates_chart(const SweepResults& results) {
  Chart chart{.title = "Best learning rate",
              .note = results.searched ? "of those searched" : "of those in the sweep",
              .x = batch_size_axis(results),
              .y = {.scale = Scale::logarithmic}};
  const auto line_of = [](const Series& series, const std::vector<const SweepCell*>& cells,
                          LineStyle style) {
    Line line{.name = series.name, .style = style, .colour = series.colour};
    for (const SweepCell* cell : cells) {
      const double rate = cell->learning_rate;
      if (!(rate > 0.0)) continue;
      line.points.push_back(
          {.x = static_cast<double>(cell->batch_size), .y = rate, .low = rate, .high = rate});
    }
    return line;
  };
  Range rates;
  for (const Series& series : series_of(results)) {
    Line others = line_of(series, series.others, LineStyle::dots);
    others.name += ", tried";
    chart.lines.push_back(std::move(others));
    chart.lines.push_back(line_of(series, series.best, LineStyle::curve));
  }
  for (const SweepCell& cell : results.cells) rates.include(cell.learning_rate);
  if (!(rates.low < rates.high)) chart.lines.clear();
  chart.finding = extremes_text(chart.lines, true);
  return chart;
}

Line bytes_line(std::string name, LineStyle style, std::size_t colour) {
  return {.name = std::move(name), .with_band = false, .style = style, .colour = colour};
}

void add_point(Line& line, std::int64_t batch_size, std::int64_t bytes) {
  if (bytes <= 0) return;
  const auto y = static_cast<double>(bytes);
  line.points.push_back({.x = static_cast<double>(batch_size), .y = y, .low = y, .high = y});
}

Chart bytes_chart(const SweepResults& results) {
  Line training = bytes_line("training, planned", LineStyle::planned, 0);
  Line inference = bytes_line("inference, planned", LineStyle::planned, 2);
  for (const auto& planned : results.planned) {
    add_point(training, planned.batch_size, planned.training);
    add_point(inference, planned.batch_size, planned.inference);
  }
  Line measured = bytes_line("training, measured", LineStyle::curve, 1);
  Line limit = bytes_line("memory", LineStyle::reference, 0);
  std::int64_t high = 0;
  for (const double tick : batch_size_axis(results).ticks) {
    const auto size = static_cast<std::int64_t>(tick);
    std::int64_t peak = 0;
    for (const SweepCell& cell : results.cells) {
      if (cell.batch_size != size) continue;
      for (const SweepRun& run : cell.runs) peak = std::max(peak, run.peak_bytes);
    }
    add_point(measured, size, peak);
    high = std::max(high, peak);
  }
  for (const auto& planned : results.planned) high = std::max(high, planned.training);
  if (results.memory_bytes > 0 && results.memory_bytes / 8 <= high) {
    for (const Line* line : {&training, &measured}) {
      for (const CurvePoint& point : line->points) {
        add_point(limit, std::llround(point.x), results.memory_bytes);
      }
    }
    std::sort(limit.points.begin(), limit.points.end(),
              [](const CurvePoint& left, const CurvePoint& right) { return left.x < right.x; });
  }
  Chart chart{.title = "Bytes",
              .note = "the most that runs held, and their plans",
              .x = batch_size_axis(results, true),
              .y = {.scale = Scale::automatic, .unit = Unit::bytes},
              .lines = {training, inference, measured, limit}};
  if (results.largest_batch_size > 0) {
    chart.finding =
        fmt::format("Training at up to batch size {} fits in {}.",
                    grouped(results.largest_batch_size), bytes_text(results.memory_bytes));
  }
  return chart;
}

}  // namespace

std::string accuracy_section(const SweepResults& results) {
  LossCurves curves = loss_curves(results);
  const bool validated = has_values({.lines = curves.validation});
  std::vector<Chart> charts = {
      cells_chart(results, "Validation accuracy, %", &SweepCell::validation_accuracy, {}, true,
                  100.0),
      cells_chart(results, "Test accuracy, %", &SweepCell::test_accuracy, {}, true, 100.0),
      validated ? loss_chart("Validation loss", std::move(curves.validation))
                : loss_chart("Training loss", std::move(curves.training)),
      cells_chart(results, "Accuracy gap, points", &SweepCell::accuracy_gap, {}, false, 100.0)};
  charts.back().note = "training less held-out accuracy; " + charts.back().note;
  return charts_section("Accuracy and loss", charts, unreadable_text(curves.unreadable));
}

std::string target_section(const SweepResults& results) {
  if (results.until.empty()) return charts_section("Learning rate", {rates_chart(results)});
  return charts_section(
      fmt::format("The way to {}", escape_html(results.until)),
      {steps_chart(results),
       cells_chart(results, "Epochs to the target", &SweepCell::epochs_to_target,
                   {.scale = Scale::automatic}, false),
       cells_chart(results, "Seconds to the target", &SweepCell::seconds_to_target,
                   {.scale = Scale::automatic}, false),
       rates_chart(results)});
}

std::string speed_section(const SweepResults& results) {
  return charts_section("Throughput and memory",
                        {cells_chart(results, "Samples per second", &SweepCell::samples_per_second,
                                     {.scale = Scale::automatic, .from_zero = true}, true),
                         bytes_chart(results)});
}

}  // namespace batchwise
