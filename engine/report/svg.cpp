#include "engine/report/svg.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/report/html.h"
#include "engine/report/svg_lines.h"

namespace batchwise {
namespace {

// In units of the view box.
constexpr double kWidth = 640.0;
constexpr double kHeight = 360.0;
constexpr PlotFrame kFrame = {
    .left = 84.0, .right = kWidth - 24.0, .top = 16.0, .bottom = kHeight - 68.0};
constexpr double kByteLabels = 28.0;  ///< wider than numbers
constexpr double kErrorBarGap = 5.0;
constexpr std::size_t kDescribedLines = 8;

/// The chart in words, for readers that cannot see it.
std::string description(const Chart& chart, const std::vector<const Line*>& lines) {
  std::string text = fmt::format("{} against {}.", chart.title, chart.x.label);
  if (!chart.finding.empty()) text += " " + chart.finding;
  for (const Marker& marker : chart.markers) {
    text += fmt::format(" {} at {}.", marker.label, number_text(marker.x));
  }
  if (lines.size() > kDescribedLines) return text + fmt::format(" {} lines.", lines.size());
  for (const Line* line : lines) {
    const auto parts = segments(line->points);
    const CurvePoint& first = parts.front().front();
    const CurvePoint& last = parts.back().back();
    text += fmt::format(" {}: {} at {}", line->name, number_text(first.y), number_text(first.x));
    if (&first != &last) {
      text += fmt::format(", {} at {}", number_text(last.y), number_text(last.x));
    }
    text += ".";
  }
  return text;
}

std::string class_of(const Chart& chart, const std::vector<const Line*>& lines, std::size_t index) {
  const std::size_t place = lines[index]->colour.value_or(index);
  return chart.ordered_colours ? ordered_class(place, lines.size()) : series_class(place);
}

std::string legend(const Chart& chart, const std::vector<const Line*>& lines) {
  if (lines.size() < 2) return {};
  std::string items;
  for (std::size_t index = 0; index < lines.size(); ++index) {
    items += fmt::format(
        "<li><svg class=\"{}\" viewBox=\"0 0 24 12\" aria-hidden=\"true\">{}</svg>{}</li>\n",
        class_of(chart, lines, index), legend_sample(*lines[index]),
        escape_html(lines[index]->name));
  }
  return "<ul class=\"legend\">\n" + items + "</ul>\n";
}

std::string caption(const Chart& chart, bool logarithmic) {
  std::string note = logarithmic ? "log scale" : "";
  if (!chart.note.empty()) note += (note.empty() ? "" : "; ") + escape_html(chart.note);
  return fmt::format("<figcaption>{}{}</figcaption>\n", escape_html(chart.title),
                     note.empty() ? "" : fmt::format(" <span class=\"quiet\">({})</span>", note));
}

std::string draw_markers(const Chart& chart, const Mapping& x, const PlotFrame& frame) {
  std::string drawn;
  for (std::size_t index = 0; index < chart.markers.size(); ++index) {
    const Marker& marker = chart.markers[index];
    const double place = x(marker.x);
    const bool to_the_right = place < 0.5 * (frame.left + frame.right);
    const double line = frame.top + 12.0 + 22.0 * static_cast<double>(index % 4);
    drawn += fmt::format(
        "<line class=\"reference\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.0f}\" y2=\"{2:.0f}\"/>\n"
        "<text class=\"halo\" x=\"{3:.1f}\" y=\"{4:.0f}\" text-anchor=\"{5}\">{6}</text>\n",
        place, frame.top, frame.bottom, place + (to_the_right ? 6.0 : -6.0), line,
        to_the_right ? "start" : "end", escape_html(marker.label));
  }
  return drawn;
}

/// Lines with error bars stand beside each other.
std::string draw_lines(const Chart& chart, const std::vector<const Line*>& lines, const Mapping& x,
                       const Mapping& y) {
  double bars = 0.0;
  for (const Line* line : lines) bars += line->error_bars ? 1.0 : 0.0;
  double shift = -0.5 * kErrorBarGap * (bars - 1.0);
  std::string drawn;
  for (std::size_t index = 0; index < lines.size(); ++index) {
    const Line& line = *lines[index];
    drawn += draw_line(line, class_of(chart, lines, index), x, y, line.error_bars ? shift : 0.0);
    if (line.error_bars) shift += kErrorBarGap;
  }
  return drawn;
}

std::vector<const Line*> drawn_lines(const Chart& chart) {
  std::vector<const Line*> lines;
  for (const Line& line : chart.lines) {
    if (!segments(line.points).empty()) lines.push_back(&line);
  }
  return lines;
}

}  // namespace

bool has_values(const Chart& chart) { return !drawn_lines(chart).empty(); }

std::string to_html(const Chart& chart) {
  const std::vector<const Line*> lines = drawn_lines(chart);
  if (lines.empty()) {
    return fmt::format("<figure>\n{}<p class=\"quiet\">No values were recorded.</p>\n</figure>\n",
                       caption(chart, false));
  }
  PlotFrame frame = kFrame;
  if (chart.y.unit == Unit::bytes) frame.left += kByteLabels;
  const auto [x_range, y_range] = ranges_of(lines, chart.y);
  const Mapping x(x_range, chart.x, frame.left, frame.right);
  const Mapping y(y_range, chart.y, frame.bottom, frame.top);
  const std::string drawn = draw_y_axis(chart.y, y, frame) + draw_x_axis(chart.x, x, frame) +
                            draw_lines(chart, lines, x, y) + draw_markers(chart, x, frame);
  return fmt::format(
      "<figure>\n{}{}<svg class=\"chart\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" "
      "aria-label=\"{}\">\n{}</svg>\n</figure>\n",
      caption(chart, y.logarithmic()), legend(chart, lines), kWidth, kHeight,
      escape_html(description(chart, lines)), drawn);
}

std::string stacked_bar(std::string_view label, std::span<const Share> shares) {
  double total = 0.0;
  for (const Share& share : shares) total += static_cast<double>(share.size);
  std::string drawn;
  double from = 0.0;
  for (std::size_t index = 0; index < shares.size(); ++index) {
    if (shares[index].size <= 0) continue;
    const double width = 100.0 * static_cast<double>(shares[index].size) / total;
    drawn += fmt::format(
        "<rect class=\"fill {}\" x=\"{:.3f}\" width=\"{:.3f}\" height=\"1\"><title>{}</title>"
        "</rect>\n",
        series_class(index), from, width, escape_html(shares[index].name));
    from += width;
  }
  return fmt::format(
      "<svg class=\"stack\" viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"{}\">\n{}</svg>\n",
      escape_html(label), drawn);
}

std::string swatch(std::size_t index) {
  return fmt::format(
      "<svg class=\"swatch {}\" viewBox=\"0 0 24 12\" aria-hidden=\"true\"><rect class=\"fill\" "
      "width=\"24\" height=\"12\"/></svg>",
      series_class(index));
}

}  // namespace batchwise
