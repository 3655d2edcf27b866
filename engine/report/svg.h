// Charts as inline SVG: curves with bands or error bars over linear or logarithmic axes, and a
// stacked bar.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/report/axis.h"
#include "engine/report/curve.h"

namespace batchwise {

enum class LineStyle {
  curve,      ///< with a dot at each of a few points
  planned,    ///< dashed, with hollow dots: what was computed, not measured
  dots,       ///< faint dots alone
  reference,  ///< a thin dashed line without a colour: a law, a limit
};

/// One curve of a chart. A point's low and high are drawn where they differ; an end that is
/// infinite or far beyond all points leaves the picture.
struct Line {
  std::string name = {};
  std::vector<CurvePoint> points = {};
  bool with_band = true;
  LineStyle style = LineStyle::curve;
  bool error_bars = false;  ///< instead of the band
  bool interval = false;    ///< low and high bound y: the axis reaches for a band as for error bars
  std::optional<std::size_t> colour = {};  ///< that of this place; nothing: its own place
};

/// A vertical line with a few words beside it.
struct Marker {
  double x = 0.0;
  std::string label = {};
};

/// Lines take their colours from their place; those without a finite point stay out of the chart.
struct Chart {
  std::string title = {};    ///< what y is
  std::string note = {};     ///< a few words after the title
  std::string finding = {};  ///< what it shows, in sentences, for readers that cannot see it
  Axis x = {};
  Axis y = {};
  std::vector<Line> lines = {};
  std::vector<Marker> markers = {};
  bool ordered_colours = false;  ///< from a warm to a cold colour, for lines that have an order
};

/// Whether a line has a finite point.
[[nodiscard]] bool has_values(const Chart& chart);
/// A <figure> with caption, legend and the chart; it says so where there is nothing to draw.
[[nodiscard]] std::string to_html(const Chart& chart);

struct Share {
  std::string name = {};
  std::int64_t size = 0;
};

/// A bar cut in proportion to the sizes; share i has the colour of line i.
[[nodiscard]] std::string stacked_bar(std::string_view label, std::span<const Share> shares);
/// The colour of line `index` as a small picture, for a table.
[[nodiscard]] std::string swatch(std::size_t index);

}  // namespace batchwise
