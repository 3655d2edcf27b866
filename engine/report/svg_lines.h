// How the lines of a chart are drawn, for pictures that stack several plots too.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/report/svg.h"

namespace batchwise {

/// The rectangle of a plot in the view box.
struct PlotFrame {
  double left = 0.0, right = 0.0, top = 0.0, bottom = 0.0;
};

/// The class of line `index`: a colour, and with many lines also a dash.
[[nodiscard]] std::string series_class(std::size_t index);
/// The same of line `index` of `count` that have an order.
[[nodiscard]] std::string ordered_class(std::size_t index, std::size_t count);

/// Runs of finite points between gaps.
[[nodiscard]] std::vector<std::span<const CurvePoint>> segments(std::span<const CurvePoint> points);

/// The ranges of x and y over the points. Error bars and intervals count as far as they reach no
/// further than the points span once more, or half their value; bands of extremes do not: one
/// outlier would flatten the curve.
struct PlotRanges {
  Range x, y;
};
[[nodiscard]] PlotRanges ranges_of(const std::vector<const Line*>& lines, const Axis& y);

/// `shift`: to the right, so that error bars of several lines do not cover each other.
[[nodiscard]] std::string draw_line(const Line& line, std::string_view classes, const Mapping& x,
                                    const Mapping& y, double shift = 0.0);
/// 24 by 12 units.
[[nodiscard]] std::string legend_sample(const Line& line);

[[nodiscard]] std::string draw_y_axis(const Axis& axis, const Mapping& y, const PlotFrame& frame);
/// A label that would touch the one before it is left out.
[[nodiscard]] std::string draw_x_axis(const Axis& axis, const Mapping& x, const PlotFrame& frame);

}  // namespace batchwise
