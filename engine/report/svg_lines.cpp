#include "engine/report/svg_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/report/html.h"

namespace batchwise {
namespace {

constexpr double kCharacterWidth = 12.0;  ///< at the largest font size of the style
constexpr std::size_t kColours = 8;       ///< of lines, in either order
constexpr std::size_t kDashes = 4;
constexpr std::size_t kMarkedPoints = 40;  ///< at most: a line with more has no dot at each
constexpr double kCap = 4.0;               ///< half the width of an error bar's end

std::string path_through(std::span<const CurvePoint> points, const Mapping& x, const Mapping& y,
                         double shift) {
  std::string path;
  for (const CurvePoint& point : points) {
    path +=
        fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(point.x) + shift, y(point.y));
  }
  return points.size() == 1 ? path + "h0" : path;  // round ends make it a dot
}

std::string band_around(std::span<const CurvePoint> points, const Mapping& x, const Mapping& y) {
  std::string path;
  for (const CurvePoint& point : points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(point.x), y(point.high));
  }
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    path += fmt::format("L{:.1f} {:.1f}", x(point->x), y(point->low));
  }
  return path + "Z";
}

bool has_spread(const CurvePoint& point) { return point.low < point.high; }

bool has_band(const Line& line) {
  return line.with_band && !line.error_bars &&
         std::any_of(line.points.begin(), line.points.end(), has_spread);
}

/// An end that the picture does not reach has no cap; a bar without any end is not drawn.
std::string error_bar(const CurvePoint& point, const Mapping& x, const Mapping& y, double shift) {
  if (!has_spread(point) || (std::isinf(point.low) && std::isinf(point.high))) return {};
  const double middle = x(point.x) + shift;
  std::string path = fmt::format("M{0:.1f} {1:.1f}V{2:.1f}", middle, y(point.low), y(point.high));
  for (const double end : {point.low, point.high}) {
    if (!y.shows(end)) continue;
    path += fmt::format("M{:.1f} {:.1f}H{:.1f}", middle - kCap, y(end), middle + kCap);
  }
  return fmt::format("<path class=\"error\" d=\"{}\"/>\n", path);
}

std::string hover_text(const Line& line, const CurvePoint& point) {
  std::string text =
      fmt::format("{}: {} at {}", line.name, number_text(point.y), number_text(point.x));
  if (line.error_bars && has_spread(point) && std::isfinite(point.low + point.high)) {
    text += fmt::format(", {} to {}", number_text(point.low), number_text(point.high));
  }
  return escape_html(text);
}

std::string dot_class(LineStyle style) {
  if (style == LineStyle::planned) return "dot hollow";
  return style == LineStyle::dots ? "dot faint" : "dot";
}

/// So much beyond the points, at most, an axis is stretched for error bars.
Range allowed_ends(Range values, const Axis& axis) {
  if (values.empty()) return values;
  if (is_logarithmic(values, axis.scale)) {
    const double factor = std::max(values.high / values.low, 2.0);
    return {values.low / factor, values.high * factor};
  }
  const double span = std::max(values.high - values.low, 0.5 * std::abs(values.high));
  const double low = values.low - span;
  return {axis.from_zero ? std::max(low, std::min(values.low, 0.0)) : low, values.high + span};
}

}  // namespace

std::string series_class(std::size_t index) {
  return fmt::format("s{} dash{}", index % kColours, index / kColours % kDashes);
}

std::string ordered_class(std::size_t index, std::size_t count) {
  const std::size_t place = count < 2 ? 0 : index * (kColours - 1) / (count - 1);
  return fmt::format("r{} dash{}", place, count > kColours ? index % 2 : 0);
}

std::vector<std::span<const CurvePoint>> segments(std::span<const CurvePoint> points) {
  std::vector<std::span<const CurvePoint>> found;
  std::size_t first = 0;
  for (std::size_t index = 0; index <= points.size(); ++index) {
    if (index < points.size() && std::isfinite(points[index].x) && std::isfinite(points[index].y)) {
      continue;
    }
    if (index > first) found.push_back(points.subspan(first, index - first));
    first = index + 1;
  }
  return found;
}

PlotRanges ranges_of(const std::vector<const Line*>& lines, const Axis& y) {
  PlotRanges ranges;
  for (const Line* line : lines) {
    for (const auto segment : segments(line->points)) {
      for (const CurvePoint& point : segment) {
        ranges.x.include(point.x);
        ranges.y.include(point.y);
      }
    }
  }
  const Range allowed = allowed_ends(ranges.y, y);
  for (const Line* line : lines) {
    if (!line->error_bars && !line->interval) continue;
    for (const auto segment : segments(line->points)) {
      for (const CurvePoint& point : segment) {
        if (!has_spread(point) || (std::isinf(point.low) && std::isinf(point.high))) continue;
        ranges.y.include(std::max(point.low, allowed.low));
        ranges.y.include(std::min(point.high, allowed.high));
      }
    }
  }
  return ranges;
}

std::string draw_line(const Line& line, std::string_view classes, const Mapping& x,
                      const Mapping& y, double shift) {
  const bool reference = line.style == LineStyle::reference;
  std::string drawn = fmt::format("<g class=\"{}\">\n", classes);
  for (const auto segment : segments(line.points)) {
    if (has_band(line)) {
      drawn += fmt::format("<path class=\"band\" d=\"{}\"/>\n", band_around(segment, x, y));
    }
    if (line.style != LineStyle::dots) {
      const std::string_view kind = reference                          ? "reference"
                                    : line.style == LineStyle::planned ? "curve planned"
                                                                       : "curve";
      drawn +=
          fmt::format("<path class=\"{}\" d=\"{}\"/>\n", kind, path_through(segment, x, y, shift));
    }
    if (reference || line.points.size() > kMarkedPoints) continue;
    for (const CurvePoint& point : segment) {
      if (line.error_bars) drawn += error_bar(point, x, y, shift);
      drawn += fmt::format(
          "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"><title>{}</title></circle>\n",
          dot_class(line.style), x(point.x) + shift, y(point.y), hover_text(line, point));
    }
  }
  return drawn + "</g>\n";
}

std::string legend_sample(const Line& line) {
  if (line.style == LineStyle::reference) return "<path class=\"reference\" d=\"M1 6H23\"/>";
  const std::string dot =
      fmt::format("<circle class=\"{}\" cx=\"12\" cy=\"6\" r=\"4\"/>", dot_class(line.style));
  if (line.style == LineStyle::dots) return dot;
  if (line.style == LineStyle::planned) {
    return "<path class=\"curve planned\" d=\"M1 6H23\"/>" + dot;
  }
  return "<path class=\"curve\" d=\"M1 6H23\"/>";
}

std::string draw_y_axis(const Axis& axis, const Mapping& y, const PlotFrame& frame) {
  std::string drawn;
  for (const double tick : y.ticks(axis)) {
    drawn += fmt::format(
        "<line class=\"grid-line\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n"
        "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\" dominant-baseline=\"central\">{}"
        "</text>\n",
        frame.left, frame.right, y(tick), y(tick), frame.left - 8.0, y(tick),
        tick_text(tick, axis.unit));
  }
  return drawn;
}

std::string draw_x_axis(const Axis& axis, const Mapping& x, const PlotFrame& frame) {
  std::string drawn = fmt::format(
      "<line class=\"grid-line\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.0f}\" y2=\"{:.0f}\"/>\n",
      frame.left, frame.right, frame.bottom, frame.bottom);
  double free_from = 0.0;
  for (const double tick : x.ticks(axis)) {
    const std::string text = tick_text(tick, axis.unit);
    const double half_width = 0.5 * kCharacterWidth * static_cast<double>(text.size());
    drawn += fmt::format(
        "<line class=\"grid-line\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.0f}\" y2=\"{:.0f}\"/>\n",
        x(tick), x(tick), frame.bottom, frame.bottom + 5.0);
    if (x(tick) - half_width < free_from) continue;
    free_from = x(tick) + half_width + kCharacterWidth;
    drawn += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                         x(tick), frame.bottom + 25.0, text);
  }
  return drawn + fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}{}</text>\n",
                             0.5 * (frame.left + frame.right), frame.bottom + 54.0,
                             escape_html(axis.label), x.logarithmic() ? " (log scale)" : "");
}

}  // namespace batchwise
