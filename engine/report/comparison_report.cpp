#include "engine/report/comparison_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "engine/report/html.h"
#include "engine/report/metrics_curves.h"
#include "engine/report/svg.h"

namespace batchwise {
namespace {

using Runs = std::span<const ComparedRun>;

/// The run with the highest value of `member`, null where none has a finite one.
const ComparedRun* highest(Runs runs, double ComparedRun::*member) {
  const ComparedRun* best = nullptr;
  for (const ComparedRun& run : runs) {
    if (!std::isfinite(run.*member)) continue;
    if (best == nullptr || run.*member > best->*member) best = &run;
  }
  return best;
}

std::string winner(std::string_view what, const ComparedRun* run, double ComparedRun::*member) {
  if (run == nullptr) return {};
  return fmt::format(
      "<div><dt>{}</dt><dd>{}</dd><dd>"
      "{}, batch size {}</dd></div>\n",
      what, number_text(run->*member), escape_html(run->name), grouped(run->batch_size));
}

std::string headline(std::string_view title, Runs runs) {
  return fmt::format(
      "<h1>{}</h1>\n<dl class=\"headline\">\n{}{}</dl>\n", escape_html(title),
      winner("highest test accuracy", highest(runs, &ComparedRun::test_accuracy),
             &ComparedRun::test_accuracy),
      winner("most samples per second", highest(runs, &ComparedRun::samples_per_second),
             &ComparedRun::samples_per_second));
}

std::string cell(const std::string& text, bool best = false) {
  return fmt::format("<td class=\"number{}\">{}</td>", best ? " best" : "", text);
}

std::string table(Runs runs) {
  const ComparedRun* most_accurate = highest(runs, &ComparedRun::test_accuracy);
  const ComparedRun* fastest = highest(runs, &ComparedRun::samples_per_second);
  std::string html =
      "<h2>Runs</h2>\n<p class=\"quiet\">The highest accuracy and the highest throughput are bold."
      "</p>\n<div class=\"scroll\" role=\"region\" aria-label=\"Runs\" tabindex=\"0\">\n"
      "<table class=\"runs\">\n<caption>Results of each run</caption>\n<thead>\n"
      "<tr><th scope=\"col\">run</th>";
  for (const std::string_view column : {"batch size", "test accuracy", "test loss",
                                        "training seconds", "samples/s", "planned bytes"}) {
    html += fmt::format("<th scope=\"col\" class=\"number\">{}</th>", column);
  }
  html += "</tr>\n</thead>\n<tbody>\n";
  for (const ComparedRun& run : runs) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>{}{}{}{}{}{}</tr>\n", escape_html(run.name),
                        cell(grouped(run.batch_size)),
                        cell(number_text(run.test_accuracy), &run == most_accurate),
                        cell(number_text(run.test_loss)), cell(number_text(run.training_seconds)),
                        cell(number_text(run.samples_per_second), &run == fastest),
                        cell(grouped(run.planned_bytes)));
  }
  return html + "</tbody>\n</table>\n</div>\n";
}

/// A point a batch size: the mean of its runs, with their extremes as band.
Line by_batch_size(Runs runs, std::string name, double ComparedRun::*member) {
  std::map<std::int64_t, std::vector<double>> values;
  for (const ComparedRun& run : runs) {
    if (std::isfinite(run.*member)) values[run.batch_size].push_back(run.*member);
  }
  Line line{.name = std::move(name)};
  for (const auto& [batch_size, of_size] : values) {
    double mean = 0.0;
    for (const double value : of_size) mean += value / static_cast<double>(of_size.size());
    const auto [low, high] = std::minmax_element(of_size.begin(), of_size.end());
    line.points.push_back(
        {.x = static_cast<double>(batch_size), .y = mean, .low = *low, .high = *high});
  }
  return line;
}

Axis batch_size_axis(const Line& line) {
  Axis axis{.label = "batch size", .scale = Scale::logarithmic};
  for (const CurvePoint& point : line.points) axis.ticks.push_back(point.x);
  return axis;
}

std::string batch_size_chart(Runs runs, const std::string& title, double ComparedRun::*member,
                             const Axis& y) {
  Line line = by_batch_size(runs, title, member);
  const bool repeated = line.points.size() < runs.size();
  const Axis x = batch_size_axis(line);
  return to_html({.title = title,
                  .note = repeated ? "mean and range of the runs of a batch size" : "",
                  .x = x,
                  .y = y,
                  .lines = {std::move(line)}});
}

std::string loss_chart(const std::string& title, std::vector<Line> lines) {
  return to_html({.title = title,
                  .note = {},
                  .x = {.label = "samples trained on", .from_zero = true},
                  .y = {.scale = Scale::automatic},
                  .lines = std::move(lines)});
}

std::string charts(Runs runs) {
  std::vector<Line> training;
  std::vector<Line> validation;
  for (const ComparedRun& run : runs) {
    const MetricsCurves curves = read_metrics_curves(run.metrics_file);
    training.push_back(
        {.name = run.name, .points = curves.train_loss_by_samples.points(), .with_band = false});
    validation.push_back({.name = run.name,
                          .points = curves.validation_loss_by_samples.points(),
                          .with_band = false});
  }
  return "<h2>Curves</h2>\n<div class=\"grid\">\n" +
         batch_size_chart(runs, "Test accuracy", &ComparedRun::test_accuracy, {}) +
         batch_size_chart(runs, "Samples per second", &ComparedRun::samples_per_second,
                          {.from_zero = true}) +
         loss_chart("Training loss", std::move(training)) +
         loss_chart("Validation loss", std::move(validation)) + "</div>\n";
}

}  // namespace

std::string comparison_report(std::string_view title, std::span<const ComparedRun> runs) {
  return html_page(title, headline(title, runs) + table(runs) + charts(runs));
}

}  // namespace batchwise
