#include "engine/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/report/html.h"

namespace batchwise {
namespace {

// In units of the view box.
constexpr double kWidth = 640.0;
constexpr double kHeight = 360.0;
constexpr double kLeft = 84.0;
constexpr double kRight = kWidth - 24.0;
constexpr double kTop = 16.0;
constexpr double kBottom = kHeight - 68.0;
constexpr double kCharacterWidth = 12.0;  ///< at the largest font size of the style

constexpr std::size_t kColours = 8;
constexpr std::size_t kDashes = 4;
constexpr std::size_t kMarkedPoints = 40;  ///< at most: a line with more has no dot at each

/// The class of line `index`: a colour, and with many lines also a dash.
std::string series_class(std::size_t index) {
  return fmt::format("s{} dash{}", index % kColours, index / kColours % kDashes);
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  [[nodiscard]] bool empty() const { return low > high; }
};

/// From values to places in the view box.
class Mapping {
 public:
  Mapping(Range values, const Axis& axis, double from, double to)
      : logarithmic_(is_logarithmic(values, axis.scale)), from_(from), to_(to) {
    if (axis.from_zero && !logarithmic_) values.include(0.0);
    values_ = widened(values, axis.from_zero);
  }

  [[nodiscard]] bool logarithmic() const { return logarithmic_; }

  /// A value outside the range is moved to its end.
  [[nodiscard]] double operator()(double value) const {
    const double share = (transformed(value) - transformed(values_.low)) /
                         (transformed(values_.high) - transformed(values_.low));
    return from_ + (to_ - from_) * std::clamp(share, 0.0, 1.0);
  }

  [[nodiscard]] std::vector<double> ticks(const Axis& axis) const {
    if (!axis.ticks.empty()) return axis.ticks;
    if (logarithmic_) return logarithmic_ticks(values_.low, values_.high);
    return nice_ticks(values_.low, values_.high, 5, axis.whole_numbers ? 1.0 : 0.0);
  }

 private:
  static bool is_logarithmic(Range values, Scale scale) {
    if (scale == Scale::linear || values.low <= 0.0) return false;
    return scale == Scale::logarithmic || values.high / values.low > 20.0;
  }

  [[nodiscard]] double transformed(double value) const {
    return logarithmic_ ? std::log(std::max(value, std::numeric_limits<double>::min())) : value;
  }

  /// Leaves room beside the outermost values, and some where they are all the same.
  [[nodiscard]] Range widened(Range values, bool from_zero) const {
    if (logarithmic_) {
      const double factor =
          values.low == values.high ? 2.0 : std::pow(values.high / values.low, 0.04);
      return {values.low / factor, values.high * factor};
    }
    double margin = 0.04 * (values.high - values.low);
    if (!(margin > 1e-12 * std::abs(values.high))) {
      margin = values.high == 0.0 ? 1.0 : 0.1 * std::abs(values.high);
    }
    const bool at_zero = from_zero && values.low == 0.0;
    return {at_zero ? 0.0 : values.low - margin, values.high + margin};
  }

  bool logarithmic_;
  double from_;
  double to_;
  Range values_;
};

/// Runs of finite points between gaps.
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

std::string path_through(std::span<const CurvePoint> points, const Mapping& x, const Mapping& y) {
  std::string path;
  for (const CurvePoint& point : points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(point.x), y(point.y));
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

bool has_band(const Line& line) {
  return line.with_band &&
         std::any_of(line.points.begin(), line.points.end(),
                     [](const CurvePoint& point) { return point.low < point.high; });
}

std::string draw(const Line& line, std::size_t index, const Mapping& x, const Mapping& y) {
  std::string drawn = fmt::format("<g class=\"{}\">\n", series_class(index));
  for (const auto segment : segments(line.points)) {
    if (has_band(line)) {
      drawn += fmt::format("<path class=\"band\" d=\"{}\"/>\n", band_around(segment, x, y));
    }
    drawn += fmt::format("<path class=\"curve\" d=\"{}\"/>\n", path_through(segment, x, y));
    if (line.points.size() > kMarkedPoints) continue;
    for (const CurvePoint& point : segment) {
      drawn += fmt::format(
          "<circle class=\"dot\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"><title>{}: {} at {}"
          "</title></circle>\n",
          x(point.x), y(point.y), escape_html(line.name), number_text(point.y),
          number_text(point.x));
    }
  }
  return drawn + "</g>\n";
}

std::string draw_y_axis(const Axis& axis, const Mapping& y) {
  std::string drawn;
  for (const double tick : y.ticks(axis)) {
    drawn += fmt::format(
        "<line class=\"grid-line\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n"
        "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\" dominant-baseline=\"central\">{}"
        "</text>\n",
        kLeft, kRight, y(tick), y(tick), kLeft - 8.0, y(tick), tick_text(tick));
  }
  return drawn;
}

/// A label that would touch the one before it is left out.
std::string draw_x_axis(const Axis& axis, const Mapping& x) {
  std::string drawn = fmt::format(
      "<line class=\"grid-line\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.0f}\" y2=\"{:.0f}\"/>\n",
      kLeft, kRight, kBottom, kBottom);
  double free_from = 0.0;
  for (const double tick : x.ticks(axis)) {
    const std::string text = tick_text(tick);
    const double half_width = 0.5 * kCharacterWidth * static_cast<double>(text.size());
    drawn += fmt::format(
        "<line class=\"grid-line\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.0f}\" y2=\"{:.0f}\"/>\n",
        x(tick), x(tick), kBottom, kBottom + 5.0);
    if (x(tick) - half_width < free_from) continue;
    free_from = x(tick) + half_width + kCharacterWidth;
    drawn += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                         x(tick), kBottom + 25.0, text);
  }
  return drawn + fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}{}</text>\n",
                             0.5 * (kLeft + kRight), kBottom + 54.0, escape_html(axis.label),
                             x.logarithmic() ? " (log scale)" : "");
}

/// The chart in words, for readers that cannot see it.
std::string description(const Chart& chart, const std::vector<const Line*>& lines) {
  std::string text = fmt::format("{} against {}.", chart.title, chart.x.label);
  if (lines.size() > kColours) return text + fmt::format(" {} lines.", lines.size());
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

std::string legend(const std::vector<const Line*>& lines) {
  if (lines.size() < 2) return {};
  std::string items;
  for (std::size_t index = 0; index < lines.size(); ++index) {
    items += fmt::format(
        "<li><svg class=\"{}\" viewBox=\"0 0 24 12\" aria-hidden=\"true\"><path class=\"curve\" "
        "d=\"M1 6H23\"/></svg>{}</li>\n",
        series_class(index), escape_html(lines[index]->name));
  }
  return "<ul class=\"legend\">\n" + items + "</ul>\n";
}

std::string caption(const Chart& chart, bool logarithmic) {
  std::string note = logarithmic ? "log scale" : "";
  if (!chart.note.empty()) note += (note.empty() ? "" : "; ") + escape_html(chart.note);
  return fmt::format("<figcaption>{}{}</figcaption>\n", escape_html(chart.title),
                     note.empty() ? "" : fmt::format(" <span class=\"quiet\">({})</span>", note));
}

/// The ranges of x and of y. Bands are left out of the latter: one outlier would flatten the curve.
std::pair<Range, Range> ranges_of(const std::vector<const Line*>& lines) {
  Range x;
  Range y;
  for (const Line* line : lines) {
    for (const auto segment : segments(line->points)) {
      for (const CurvePoint& point : segment) {
        x.include(point.x);
        y.include(point.y);
      }
    }
  }
  return {x, y};
}

}  // namespace

std::string to_html(const Chart& chart) {
  std::vector<const Line*> lines;
  for (const Line& line : chart.lines) {
    if (!segments(line.points).empty()) lines.push_back(&line);
  }
  if (lines.empty()) {
    return fmt::format("<figure>\n{}<p class=\"quiet\">No values were recorded.</p>\n</figure>\n",
                       caption(chart, false));
  }
  const auto [x_range, y_range] = ranges_of(lines);
  const Mapping x(x_range, chart.x, kLeft, kRight);
  const Mapping y(y_range, chart.y, kBottom, kTop);
  std::string drawn = draw_y_axis(chart.y, y) + draw_x_axis(chart.x, x);
  for (std::size_t index = 0; index < lines.size(); ++index) {
    drawn += draw(*lines[index], index, x, y);
  }
  return fmt::format(
      "<figure>\n{}{}<svg class=\"chart\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" "
      "aria-label=\"{}\">\n{}</svg>\n</figure>\n",
      caption(chart, y.logarithmic()), legend(lines), kWidth, kHeight,
      escape_html(description(chart, lines)), drawn);
}

std::vector<double> nice_ticks(double low, double high, int count, double smallest_step) {
  const double wanted = std::max((high - low) / count, smallest_step);
  const double power = std::pow(10.0, std::floor(std::log10(wanted)));
  const double fraction = wanted / power;
  const double multiple = fraction < 1.5 ? 1.0 : fraction < 3.5 ? 2.0 : fraction < 7.5 ? 5.0 : 10.0;
  const double step = multiple * power;
  const double first = std::ceil(low / step - 1e-9);
  const int more = static_cast<int>(std::floor(high / step + 1e-9) - first);
  std::vector<double> ticks;
  // The added zero turns -0 into 0.
  for (int index = 0; index <= more; ++index) ticks.push_back((first + index) * step + 0.0);
  return ticks;
}

std::vector<double> logarithmic_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const int stride = 1 + (last - first) / 8;
  const bool few = last - first <= 3;
  std::vector<double> ticks;
  for (int power = first; power <= last; power += stride) {
    for (const double multiple : {1.0, 2.0, 5.0}) {
      const double tick = multiple * std::pow(10.0, power);
      if ((few || multiple == 1.0) && tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks.size() < 3 ? nice_ticks(low, high) : ticks;
}

std::string tick_text(double value) {
  constexpr std::array<std::pair<double, std::string_view>, 4> kSuffixes = {
      {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  if (std::abs(value) >= 1e4 && std::abs(value) < 1e15) {
    for (const auto& [unit, suffix] : kSuffixes) {
      if (std::abs(value) >= unit) return fmt::format("{:.6g}{}", value / unit, suffix);
    }
  }
  std::string text = fmt::format("{:.6g}", value);
  const std::size_t exponent = text.find('e');  // e-05 becomes e-5
  if (exponent != std::string::npos && text[exponent + 2] == '0') text.erase(exponent + 2, 1);
  return text;
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
