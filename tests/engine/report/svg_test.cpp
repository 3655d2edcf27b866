#include "engine/report/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/report/markup.h"

namespace batchwise {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::is_well_formed;
using ::testing::Not;
using testing::occurrences;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(NiceTicks, AreMultiplesOfOneTwoOrFive) {
  EXPECT_THAT(nice_ticks(0.0, 10.0), ElementsAre(0.0, 2.0, 4.0, 6.0, 8.0, 10.0));
  EXPECT_THAT(nice_ticks(-0.1, 0.32), ElementsAre(-0.1, 0.0, 0.1, 0.2, DoubleEq(0.3)));
  EXPECT_THAT(nice_ticks(3.0, 2820.0), ElementsAre(500.0, 1000.0, 1500.0, 2000.0, 2500.0));
}

TEST(NiceTicks, StayWholeWhereAsked) {
  EXPECT_THAT(nice_ticks(0.9, 3.1, 5, 1.0), ElementsAre(1.0, 2.0, 3.0));
}

TEST(NiceTicks, AreInsideTheRangeAndNeverMany) {
  for (const double low : {-1e9, -3.7, 0.0, 1e-12, 0.97, 12345.0}) {
    for (const double span : {1e-3, 0.02, 1.0, 7.3, 1e12}) {
      const auto ticks = nice_ticks(low, low + span);
      EXPECT_GE(ticks.size(), 2u) << low << " " << span;
      EXPECT_LE(ticks.size(), 8u) << low << " " << span;
      for (const double tick : ticks) {
        EXPECT_GE(tick, low - 1e-6 * span);
        EXPECT_LE(tick, low + span * (1.0 + 1e-6));
      }
    }
  }
}

TEST(LogarithmicTicks, ArePowersOfTenOverManyDecades) {
  EXPECT_THAT(logarithmic_ticks(0.05, 20.0), ElementsAre(DoubleEq(0.1), 1.0, 10.0));
  EXPECT_LE(logarithmic_ticks(1e-300, 1e300).size(), 10u);
}

TEST(LogarithmicTicks, AreFinerOverFewDecades) {
  EXPECT_THAT(logarithmic_ticks(0.9, 30.0), ElementsAre(1.0, 2.0, 5.0, 10.0, 20.0));
  EXPECT_GE(logarithmic_ticks(2.1, 4.9).size(), 3u);
}

TEST(TickText, IsShort) {
  EXPECT_EQ(tick_text(0.25), "0.25");
  EXPECT_EQ(tick_text(0.1 + 0.2), "0.3");
  EXPECT_EQ(tick_text(1000), "1000");
  EXPECT_EQ(tick_text(20000), "20k");
  EXPECT_EQ(tick_text(1.5e6), "1.5M");
  EXPECT_EQ(tick_text(1e-5), "1e-5");
  EXPECT_EQ(tick_text(2e-10), "2e-10");
}

Chart chart_of(std::vector<CurvePoint> points) {
  return {.title = "Loss",
          .x = {.label = "step"},
          .lines = {{.name = "training", .points = std::move(points)}}};
}

CurvePoint point(double x, double y) { return {.x = x, .y = y, .low = y, .high = y}; }

TEST(Chart, IsWellFormedAndDescribesItself) {
  const std::string html = to_html(chart_of({point(1, 2.5), point(2, 0.5)}));
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_THAT(html, HasSubstr("role=\"img\""));
  EXPECT_THAT(html, HasSubstr("aria-label=\"Loss against step. training: 2.5 at 1, 0.5 at 2.\""));
  EXPECT_EQ(occurrences(html, "<circle"), 2);
  EXPECT_EQ(occurrences(html, "class=\"legend\""), 0);  // one line needs none
}

TEST(Chart, PutsTheExtremesInsideTheMargins) {
  const std::string html = to_html(chart_of({point(0, 0), point(100, 1)}));
  // 4 % of the range beside each end: x from 84 to 616, y from 292 up to 16.
  EXPECT_THAT(html, HasSubstr("d=\"M103.7 281.8L596.3 26.2\""));
}

TEST(Chart, EscapesEveryText) {
  Chart chart = chart_of({point(1, 1), point(2, 2)});
  chart.title = "<t>";
  chart.note = "<n>";
  chart.x.label = "<x>";
  chart.lines[0].name = "\"<l>";
  chart.lines.push_back({.name = "<m>", .points = {point(1, 2)}});
  const std::string html = to_html(chart);
  EXPECT_TRUE(is_well_formed(html));
  for (const char* raw : {"<t>", "<n>", "<x>", "<l>", "<m>"}) EXPECT_EQ(occurrences(html, raw), 0);
  EXPECT_THAT(html, HasSubstr("&quot;&lt;l&gt;"));
}

TEST(Chart, BreaksALineAtAGap) {
  const std::string html =
      to_html(chart_of({point(1, 1), point(2, 2), point(3, kNan), point(4, 2)}));
  EXPECT_EQ(occurrences(html, "class=\"curve\""), 2);
  EXPECT_EQ(occurrences(html, "<circle"), 3);
  EXPECT_EQ(occurrences(html, "nan"), occurrences(html, "dominant"));
}

TEST(Chart, SaysWhereThereIsNothingToDraw) {
  const std::string html = to_html(chart_of({point(1, kNan)}));
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_THAT(html, HasSubstr("No values were recorded."));
  EXPECT_THAT(html, Not(HasSubstr("<svg")));
}

TEST(Chart, DrawsABandOnlyWherePointsStandForSeveral) {
  Chart chart = chart_of({point(1, 1), {.x = 2, .y = 2, .low = 1, .high = 3}});
  EXPECT_EQ(occurrences(to_html(chart), "class=\"band\""), 1);
  chart.lines[0].with_band = false;
  EXPECT_EQ(occurrences(to_html(chart), "class=\"band\""), 0);
}

TEST(Chart, OfOneValueHasFiniteCoordinates) {
  for (const double y : {0.0, 1e-3, 5.0, -2.0}) {
    for (const Scale scale : {Scale::linear, Scale::logarithmic, Scale::automatic}) {
      Chart chart = chart_of({point(32, y)});
      chart.x.scale = Scale::logarithmic;
      chart.y.scale = scale;
      const std::string html = to_html(chart);
      EXPECT_EQ(occurrences(html, "nan"), occurrences(html, "dominant")) << y;
      EXPECT_THAT(html, Not(HasSubstr("inf"))) << y;
      EXPECT_TRUE(is_well_formed(html));
    }
  }
}

TEST(Chart, TakesALogarithmicScaleForWideRangesOfPositiveValues) {
  Chart chart = chart_of({point(1, 10.0), point(2, 0.1)});
  chart.y.scale = Scale::automatic;
  EXPECT_THAT(to_html(chart), HasSubstr("(log scale)"));
  chart.lines[0].points[1].y = 1.0;
  EXPECT_THAT(to_html(chart), Not(HasSubstr("(log scale)")));
  chart.lines[0].points[1].y = 0.0;
  EXPECT_THAT(to_html(chart), Not(HasSubstr("(log scale)")));
}

TEST(BinaryTicks, ArePowersOfTwo) {
  EXPECT_THAT(binary_ticks(3.0, 70.0), ElementsAre(4.0, 8.0, 16.0, 32.0, 64.0));
  EXPECT_LE(binary_ticks(1.0, 1e12).size(), 6u);
}

/// y = 1 +- 0.5 at 1 and 2 without an end above at 2.
Chart with_error_bars() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Chart chart = chart_of({{.x = 1, .y = 1, .low = 0.5, .high = 1.5},
                          {.x = 2, .y = 2, .low = 1.5, .high = kInfinity},
                          {.x = 3, .y = 2, .low = -kInfinity, .high = kInfinity}});
  chart.lines[0].error_bars = true;
  return chart;
}

TEST(Chart, DrawsErrorBarsWithACapAtEachEndThatIsShown) {
  const std::string html = to_html(with_error_bars());
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_EQ(occurrences(html, "class=\"error\""), 2);  // the third bounds nothing
  EXPECT_EQ(occurrences(html, "class=\"band\""), 0);
  EXPECT_THAT(html, HasSubstr("training: 1 at 1, 0.5 to 1.5"));
  EXPECT_THAT(html, Not(HasSubstr("inf")));
  const std::size_t second = html.rfind("class=\"error\"");
  const std::string bar = html.substr(second, html.find("/>", second) - second);
  EXPECT_EQ(occurrences(bar, "H"), 1);  // one cap
}

TEST(Chart, IsNotFlattenedByAWideErrorBar) {
  Chart chart = with_error_bars();
  chart.lines[0].points[0].low = -1000.0;
  // The points span 1, so the axis goes down to 1 - 1 and no further.
  EXPECT_THAT(to_html(chart), HasSubstr(">0</text>"));
  EXPECT_THAT(to_html(chart), Not(HasSubstr(">-")));
}

TEST(Chart, ShowsABandThatIsAnInterval) {
  Chart chart =
      chart_of({{.x = 1, .y = 10, .low = 6, .high = 14}, {.x = 2, .y = 10, .low = 6, .high = 14}});
  EXPECT_THAT(to_html(chart), Not(HasSubstr(">6</text>")));
  chart.lines[0].interval = true;
  EXPECT_THAT(to_html(chart), HasSubstr(">6</text>"));
  EXPECT_THAT(to_html(chart), HasSubstr(">14</text>"));
}

TEST(Chart, TellsPlannedFromMeasuredAndDrawsMarkers) {
  Chart chart = chart_of({point(1, 1), point(2, 2)});
  chart.lines.push_back({.name = "plan", .points = {point(1, 1)}, .style = LineStyle::planned});
  chart.lines.push_back({.name = "other", .points = {point(1, 3)}, .style = LineStyle::dots});
  chart.lines.push_back({.name = "law", .points = {point(1, 1)}, .style = LineStyle::reference});
  chart.markers = {{.x = 1.5, .label = "batch <64>"}};
  chart.finding = "It rises.";
  const std::string html = to_html(chart);
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_EQ(occurrences(html, "class=\"curve planned\""), 2);  // the legend's too
  EXPECT_EQ(occurrences(html, "class=\"dot hollow\""), 2);
  EXPECT_EQ(occurrences(html, "class=\"dot faint\""), 2);
  EXPECT_EQ(occurrences(html, "class=\"reference\""), 3);  // the marker's line too
  EXPECT_THAT(html, HasSubstr("Loss against step. It rises. batch &lt;64&gt; at 1.5."));
}

TEST(Chart, WritesBytesOnTheirAxis) {
  Chart chart = chart_of({point(1, 1 << 20), point(2, 64 << 20)});
  chart.y = {.scale = Scale::automatic, .unit = Unit::bytes};
  EXPECT_THAT(to_html(chart), HasSubstr(">4 MiB</text>"));
  chart.y.scale = Scale::linear;
  EXPECT_THAT(to_html(chart), HasSubstr(">48 MiB</text>"));
}

TEST(Chart, OrdersColours) {
  Chart chart = chart_of({point(1, 1)});
  chart.lines.resize(3, chart.lines[0]);
  chart.ordered_colours = true;
  const std::string html = to_html(chart);
  for (const char* colour : {"r0 ", "r3 ", "r7 "}) {
    EXPECT_EQ(occurrences(html, std::string("class=\"") + colour), 2) << colour;
  }
}

TEST(StackedBar, CutsInProportionAndLeavesOutWhatIsEmpty) {
  const Share shares[] = {{"a", 1}, {"b", 0}, {"<c>", 3}};
  const std::string html = stacked_bar("memory", shares);
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_EQ(occurrences(html, "<rect"), 2);
  EXPECT_THAT(html, HasSubstr("s0 dash0\" x=\"0.000\" width=\"25.000\""));
  EXPECT_THAT(html, HasSubstr("s2 dash0\" x=\"25.000\" width=\"75.000\""));
  EXPECT_THAT(html, HasSubstr("&lt;c&gt;"));
}

TEST(StackedBar, OfNothingIsEmpty) {
  const Share shares[] = {{"a", 0}};
  EXPECT_EQ(occurrences(stacked_bar("memory", shares), "<rect"), 0);
}

}  // namespace
}  // namespace batchwise
