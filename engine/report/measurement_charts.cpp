#include "engine/report/measurement_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/report/html.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {
namespace {

Axis sizes_axis(const std::set<double>& sizes) {
  return {.label = "batch size",
          .scale = Scale::logarithmic,
          .ticks = std::vector<double>(sizes.begin(), sizes.end())};
}

/// A line a layer of one of BatchNormNoise's estimates.
Chart layers_chart(const Measurements& measurements, std::string title,
                   Estimate BatchNormNoise::*member) {
  Chart chart{.title = std::move(title), .y = {.scale = Scale::automatic}};
  std::set<double> sizes;
  for (const BatchNormNoise& noise : measurements.batchnorm) {
    const auto size = static_cast<double>(noise.batch_size);
    sizes.insert(size);
    auto line = std::find_if(chart.lines.begin(), chart.lines.end(),
                             [&](const Line& one) { return one.name == noise.layer; });
    if (line == chart.lines.end()) {
      chart.lines.push_back({.name = noise.layer, .error_bars = true});
      line = chart.lines.end() - 1;
    }
    line->points.push_back(point_of(size, noise.*member));
  }
  chart.x = sizes_axis(sizes);
  return chart;
}

std::string facts_row(std::string_view name, const std::string& value) {
  return fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", name, value);
}

std::string facts_of(const Measurements& measured) {
  std::string rows;
  if (measured.noise_scale) {
    rows += facts_row("noise scale, all training", interval_text(*measured.noise_scale));
  }
  if (measured.gradients) {
    const GradientStudy& study = *measured.gradients;
    rows += facts_row("noise scale, last weights", interval_text(study.noise_scale));
    rows += facts_row(
        "norm of the full gradient",
        fmt::format("{} ({} samples)", short_text(study.full_norm), grouped(study.samples)));
    rows += facts_row("exponent of the variance", estimate_text(study.variance_law.exponent) +
                                                      " (-1 where samples are independent)");
  }
  if (measured.hessian) {
    rows += facts_row(
        "largest Hessian eigenvalue",
        fmt::format("{} (residual {}, {} products)",
                    short_text(measured.hessian->largest_eigenvalue),
                    short_text(measured.hessian->residual), grouped(measured.hessian->products)));
  }
  if (rows.empty()) return {};
  return "<table class=\"facts\">\n<caption>Gradients and curvature</caption>\n<tbody>\n" + rows +
         "</tbody>\n</table>\n";
}

std::string sharpness_table(const Measurements& measured) {
  if (measured.sharpness.empty()) return {};
  std::string rows;
  for (const SharpnessResult& result : measured.sharpness) {
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"number\">{:g}</td><td class=\"number\">{}</td>"
        "<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
        result.dimensions == 0 ? "full" : grouped(result.dimensions) + " dimensions",
        result.epsilon, short_text(result.sharpness), short_text(result.loss),
        short_text(result.worst_loss));
  }
  return "<div class=\"scroll\" role=\"region\" aria-label=\"Sharpness\" tabindex=\"0\">\n"
         "<table class=\"runs\">\n<caption>Sharpness</caption>\n<thead>\n<tr>"
         "<th scope=\"col\">space</th><th scope=\"col\" class=\"number\">epsilon</th>"
         "<th scope=\"col\" class=\"number\">sharpness</th>"
         "<th scope=\"col\" class=\"number\">loss</th>"
         "<th scope=\"col\" class=\"number\">highest loss</th></tr>\n</thead>\n<tbody>\n" +
         rows + "</tbody>\n</table>\n</div>\n";
}

}  // namespace

Line noise_line(std::string name, std::span<const NoiseWindow> windows, double per_step) {
  Line line{.name = std::move(name), .interval = true};
  for (const NoiseWindow& window : windows) {
    const double middle = 0.5 * static_cast<double>(window.first_step + window.last_step);
    CurvePoint point = point_of(middle * per_step, window.scale);
    if (!(point.y > 0.0)) point.y = std::nan("");  // the signal was lost in the noise
    line.points.push_back(point);
  }
  return line;
}

Chart noise_chart(std::vector<Line> lines, std::string x_label) {
  Chart chart{.title = "Noise scale, samples",
              .note = "95 % interval",
              .x = {.label = std::move(x_label)},
              .y = {.scale = Scale::automatic},
              .lines = std::move(lines)};
  for (const Line& line : chart.lines) {
    if (line.points.size() < 2) continue;
    const double first = line.points.front().y;
    const double last = line.points.back().y;
    if (!(first > 0.0) || !(last > 0.0)) continue;
    const double factor = std::max(last / first, first / last);
    chart.finding += fmt::format(
        "{}{} {}.", chart.finding.empty() ? "" : " ", line.name,
        factor < 1.1 ? "ends where it began"
                     : fmt::format("{} to {} times what it was", last > first ? "grows" : "falls",
                                   short_text(last / first)));
  }
  return chart;
}

Chart gradient_variance_chart(std::span<const NamedStudy> studies) {
  Chart chart{.title = "Variance of the gradient",
              .note = "at the last weights",
              .y = {.scale = Scale::automatic}};
  std::set<double> sizes;
  for (const auto& [name, study] : studies) {
    Line line{.name = name, .error_bars = true};
    for (const GradientStatistics& statistics : study->batches) {
      const auto size = static_cast<double>(statistics.batch_size);
      sizes.insert(size);
      line.points.push_back(point_of(size, statistics.variance));
    }
    const double exponent = study->variance_law.exponent.value;
    if (std::isfinite(exponent)) {
      chart.finding += fmt::format("{}{}: falls as batch size to the power {:.2f}.",
                                   chart.finding.empty() ? "" : " ", name, exponent);
    }
    chart.lines.push_back(std::move(line));
  }
  if (!chart.lines.empty()) {
    chart.lines.push_back(law_through(chart.lines.front(), -1.0, "1 / batch size"));
  }
  chart.x = sizes_axis(sizes);
  chart.x.label = "batch size of the gradient";
  return chart;
}

std::vector<Chart> batchnorm_charts(const Measurements& measurements) {
  std::vector<Chart> charts = {layers_chart(measurements, "BatchNorm: deviation of batch means",
                                            &BatchNormNoise::mean_deviation),
                               layers_chart(measurements, "BatchNorm: deviation of batch variances",
                                            &BatchNormNoise::variance_ratio)};
  charts[0].note = "in standard deviations";
  charts[1].note = "relative";
  for (Chart& chart : charts) chart.finding = extremes_text(chart.lines, true);
  Line own{.name = "each batch's statistics", .error_bars = true};
  Line running{.name = "running statistics", .style = LineStyle::reference};
  std::set<double> sizes;
  for (const BatchNormAccuracy& accuracy : measurements.batchnorm_accuracy) {
    const auto size = static_cast<double>(accuracy.batch_size);
    const double y = 100.0 * accuracy.running_statistics;
    sizes.insert(size);
    own.points.push_back(point_of(size, accuracy.batch_statistics, 100.0));
    running.points.push_back({.x = size, .y = y, .low = y, .high = y});
  }
  charts.push_back({.title = "Accuracy by BatchNorm statistics, %",
                    .x = sizes_axis(sizes),
                    .lines = {own, running}});
  return charts;
}

std::string measurements_html(std::span<const NoiseWindow> noise,
                              const Measurements* measurements) {
  std::vector<Chart> charts = {noise_chart({noise_line("noise scale", noise)}, "step")};
  std::string tables;
  if (measurements != nullptr) {
    if (measurements->gradients) {
      const NamedStudy study{"variance", &*measurements->gradients};
      charts.push_back(gradient_variance_chart({&study, 1}));
    }
    for (Chart& chart : batchnorm_charts(*measurements)) charts.push_back(std::move(chart));
    const std::string facts = facts_of(*measurements);
    const std::string sharpness = sharpness_table(*measurements);
    if (!facts.empty() || !sharpness.empty()) {
      tables = "<div class=\"grid\">\n" + facts + sharpness + "</div>\n";
    }
  }
  const std::string drawn = charts_section("Noise and curvature", charts, tables);
  if (!drawn.empty() || tables.empty()) return drawn;
  return "<h2>Noise and curvature</h2>\n" + tables;
}

}  // namespace batchwise
