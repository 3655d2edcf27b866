// Charts as inline SVG: curves with bands over a linear or logarithmic axis, and a stacked bar.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/report/curve.h"

namespace batchwise {

enum class Scale {
  linear,
  logarithmic,
  automatic,  ///< logarithmic where every value is positive and they span a factor above 20
};

struct Axis {
  std::string label = {};
  Scale scale = Scale::linear;
  bool from_zero = false;          ///< linear only
  bool whole_numbers = false;      ///< no ticks between integers
  std::vector<double> ticks = {};  ///< empty: chosen
};

/// One curve of a chart. A point's low and high are drawn as a band where they differ.
struct Line {
  std::string name = {};
  std::vector<CurvePoint> points = {};
  bool with_band = true;
};

/// Lines take their colours from their place; those without a finite point stay out of the chart.
struct Chart {
  std::string title = {};  ///< what y is
  std::string note = {};   ///< a few words after the title
  Axis x = {};
  Axis y = {};
  std::vector<Line> lines = {};
};

/// A <figure> with caption, legend and the chart; it says so where there is nothing to draw.
[[nodiscard]] std::string to_html(const Chart& chart);

/// Multiples of 1, 2 or 5 times a power of ten in [low, high], about `count` of them and at least
/// `smallest_step` apart. Needs low < high, both finite.
[[nodiscard]] std::vector<double> nice_ticks(double low, double high, int count = 5,
                                             double smallest_step = 0.0);
/// Powers of ten in [low, high], or 1, 2 and 5 times them where there are few; nice_ticks over less
/// than about a decade. Needs 0 < low < high.
[[nodiscard]] std::vector<double> logarithmic_ticks(double low, double high);
/// "0.25", "20k", "1.5M", "1e-5"
[[nodiscard]] std::string tick_text(double value);

struct Share {
  std::string name = {};
  std::int64_t size = 0;
};

/// A bar cut in proportion to the sizes; share i has the colour of line i.
[[nodiscard]] std::string stacked_bar(std::string_view label, std::span<const Share> shares);
/// The colour of line `index` as a small picture, for a table.
[[nodiscard]] std::string swatch(std::size_t index);

}  // namespace batchwise
