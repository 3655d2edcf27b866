// The memory report as SVG and as a page of HTML.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>
#include <string>
#include <vector>

#include "engine/report/html.h"
#include "engine/report/memory_report_parts.h"
#include "tests/engine/report/markup.h"
#include "tests/engine/report/memory_report_sample.h"

namespace batchwise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::is_well_formed;
using testing::kMiB;
using ::testing::Not;
using testing::occurrences;
using testing::sample_report;

struct Rectangle {
  std::string classes;
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
  std::string title;
};

/// Those with a title, in the order they are drawn.
std::vector<Rectangle> rectangles(const std::string& svg) {
  static const std::regex kPattern(
      "<rect class=\"([^\"]*)\" x=\"([^\"]*)\" y=\"([^\"]*)\" width=\"([^\"]*)\" "
      "height=\"([^\"]*)\"><title>([^<]*)</title></rect>");
  std::vector<Rectangle> found;
  for (std::sregex_iterator at(svg.begin(), svg.end(), kPattern), end; at != end; ++at) {
    found.push_back({.classes = (*at)[1],
                     .x = std::stod((*at)[2]),
                     .y = std::stod((*at)[3]),
                     .width = std::stod((*at)[4]),
                     .height = std::stod((*at)[5]),
                     .title = (*at)[6]});
  }
  return found;
}

std::vector<Rectangle> bars_of(const MemoryReport& report, std::string_view batch) {
  std::vector<Rectangle> bars;
  for (Rectangle& bar : rectangles(batch_size_plot(report).shapes)) {
    if (bar.title.starts_with(fmt::format("batch {}:", batch))) bars.push_back(std::move(bar));
  }
  return bars;
}

TEST(BatchSizePlot, StacksTheCategoriesInProportion) {
  const std::vector<Rectangle> bars = bars_of(sample_report(), "4");
  ASSERT_EQ(bars.size(), 6u);  // one a category with bytes
  const double per_byte = bars[0].width / static_cast<double>(2 * kMiB);
  EXPECT_THAT(bars[2].title, HasSubstr("activations 4,194,304 bytes (4.0 MiB)"));
  EXPECT_NEAR(bars[2].width, per_byte * static_cast<double>(4 * kMiB), 0.02);
  for (std::size_t index = 1; index < bars.size(); ++index) {
    EXPECT_NEAR(bars[index].x, bars[index - 1].x + bars[index - 1].width, 0.011);
    EXPECT_EQ(bars[index].y, bars[0].y);
  }
  EXPECT_NEAR(bars.back().x + bars.back().width - bars[0].x,
              per_byte * static_cast<double>(11 * kMiB), 0.05);
}

TEST(BatchSizePlot, GivesEveryBatchSizeItsLine) {
  const MemoryReport report = sample_report();
  double before = 0.0;
  for (const char* batch : {"1", "2", "4", "8"}) {
    const std::vector<Rectangle> bars = bars_of(report, batch);
    ASSERT_FALSE(bars.empty()) << batch;
    EXPECT_GE(bars[0].y, before + bars[0].height) << batch;
    before = bars[0].y;
  }
  EXPECT_THAT(batch_size_plot(report).shapes, HasSubstr("no plan: more than"));
}

/// The attribute of the first element that follows `mark`.
double number_after(const std::string& text, const std::string& mark, const std::string& name) {
  const std::size_t at = text.find(name + "=\"", text.find(mark));
  return std::stod(text.substr(at + name.size() + 2));
}

TEST(BatchSizePlot, DrawsTheBudgetWhereItsBytesAre) {
  const MemoryReport report = sample_report();
  const std::string shapes = batch_size_plot(report).shapes;
  EXPECT_EQ(occurrences(shapes, "class=\"limit\""), 2);  // the budget, and the largest batch
  const std::vector<Rectangle> bars = bars_of(report, "1");
  const double per_byte = bars[0].width / static_cast<double>(2 * kMiB);
  EXPECT_NEAR(number_after(shapes, "class=\"limit\"", "x1"),
              bars[0].x + per_byte * static_cast<double>(13 * kMiB), 0.2);
  EXPECT_THAT(shapes, HasSubstr(">budget 13.0 MiB<"));
}

TEST(BatchSizePlot, MarksTheLargestBatchBetweenItsNeighbours) {
  MemoryReport report = sample_report();
  const auto place = [&] {
    const std::string shapes = batch_size_plot(report).shapes;
    return number_after(shapes, fmt::format("x2=\"{:.0f}\" y1", kPlotWidth), "y1");
  };
  EXPECT_THAT(batch_size_plot(report).shapes, HasSubstr(">largest batch: 6<"));
  EXPECT_GT(place(), bars_of(report, "4")[0].y);
  EXPECT_LT(place(), bars_of(report, "8")[0].y);
  report.largest_training_batch = 0;
  EXPECT_THAT(batch_size_plot(report).shapes, HasSubstr(">largest batch: not even 1<"));
  EXPECT_LT(place(), bars_of(report, "1")[0].y);
}

TEST(BatchSizePlot, IsNotFlattenedByAFarBudgetOrAFarBar) {
  MemoryReport report = sample_report();
  report.budget_bytes = 1000 * kMiB;
  EXPECT_THAT(batch_size_plot(report).shapes, HasSubstr("1000.0 MiB, beyond the right edge"));
  EXPECT_EQ(occurrences(batch_size_plot(report).shapes, "class=\"limit\""), 1);
  const double wide = bars_of(report, "8")[2].width;
  report.budget_bytes = 15 * kMiB;
  report.rows[3].training[MemoryCategory::activations] = 1000 * kMiB;
  const std::vector<Rectangle> bars = bars_of(report, "8");
  EXPECT_LE(bars.back().x + bars.back().width, kPlotWidth);
  EXPECT_GT(bars_of(report, "4")[2].width, 0.2 * wide);
  EXPECT_THAT(batch_size_plot(report).shapes, HasSubstr("→ 1007.0 MiB"));
}

TEST(BatchSizePlot, HasNoMoreColoursThanThereAre) {
  MemoryReport report = sample_report();
  report.rows.resize(1);
  for (std::size_t index = 0; index < kMemoryCategories; ++index) {
    report.rows[0].training.device_bytes[index] = static_cast<std::int64_t>(index + 1) * kMiB;
  }
  const std::vector<Rectangle> bars = bars_of(report, "1");
  ASSERT_EQ(bars.size(), 8u);
  // Of 1 to 14 MiB, the six largest have a colour of their own, and activations.
  EXPECT_THAT(bars.front().title, HasSubstr("activations 5,242,880 bytes"));
  const std::int64_t other = (1 + 2 + 3 + 4 + 6 + 7 + 8) * kMiB;
  EXPECT_THAT(bars.back().title, HasSubstr("other " + grouped(other) + " bytes"));
}

TEST(BatchSizePlot, SaysItsNumbersInWords) {
  const std::string text = batch_size_plot(sample_report()).description;
  EXPECT_THAT(text, HasSubstr("Batch 4: 11,534,336 bytes. Batch 8: 15,728,640 bytes, above the "
                              "budget. Batch 1,000: no plan, more than"));
  EXPECT_THAT(text, HasSubstr("activations 8,388,608,"));
  EXPECT_THAT(text, HasSubstr("Budget 13,631,488 bytes; largest batch within 13.0 MiB"));
}

TEST(TimelinePlot, DrawsABufferFromItsFirstToItsLastStep) {
  const Plot plot = timeline_plot(sample_report().timeline);
  const std::vector<Rectangle> buffers = rectangles(plot.shapes);
  ASSERT_EQ(buffers.size(), 2u);
  // 4 steps and 4 MiB: steps 0 to 2 at the bottom, steps 0 to 1 on top of it.
  EXPECT_NEAR(buffers[0].width / 3.0, buffers[1].width / 2.0, 0.01);
  EXPECT_NEAR(buffers[0].height, 3.0 * buffers[1].height, 0.03);
  EXPECT_NEAR(buffers[1].y + buffers[1].height, buffers[0].y, 0.011);
  EXPECT_EQ(buffers[0].x, buffers[1].x);
  EXPECT_EQ(buffers[0].title,
            "output of &lt;b&gt;&amp;&quot;: 3,145,728 bytes (3.0 MiB) at offset 0, from step 0 "
            "(dense_1 dense_forward) to 2 (dense_1 dense_backward_weight)");
}

TEST(TimelinePlot, TellsKeptFromTemporary) {
  StepTimeline timeline = sample_report().timeline;
  std::vector<Rectangle> buffers = rectangles(timeline_plot(timeline).shapes);
  EXPECT_THAT(buffers[0].classes, HasSubstr("s0"));  // over the first backward step
  EXPECT_THAT(buffers[1].classes, HasSubstr("s4"));
  EXPECT_THAT(timeline_plot(timeline).shapes, HasSubstr(">backward<"));
  timeline.steps = {"a", "b", "c", "d"};
  buffers = rectangles(timeline_plot(timeline).shapes);
  EXPECT_THAT(buffers[0].classes, HasSubstr("s4"));
  EXPECT_THAT(timeline_plot(timeline).shapes, Not(HasSubstr("backward")));
}

TEST(TimelinePlot, DrawsTheBytesAliveAtEachStep) {
  const std::string shapes = timeline_plot(sample_report().timeline).shapes;
  const std::vector<Rectangle> buffers = rectangles(shapes);
  const double step = buffers[1].width / 2.0;
  const double top = buffers[1].y;  // 4 MiB at steps 0 and 1, then 3 MiB, then nothing
  const double bottom = buffers[0].y + buffers[0].height;
  const double x = buffers[0].x;
  EXPECT_THAT(shapes, HasSubstr(fmt::format(
                          "M{:.1f} {:.1f}H{:.1f}V{:.1f}H{:.1f}V{:.1f}H{:.1f}V{:.1f}H{:.1f}\"", x,
                          top, x + step, top, x + 2.0 * step, buffers[0].y, x + 3.0 * step, bottom,
                          x + 4.0 * step)));
}

TEST(TimelinePlot, SaysItsNumbersInWords) {
  EXPECT_THAT(timeline_plot(sample_report().timeline).description,
              HasSubstr("2 buffers in 4 steps at batch 4 in micro-batches of 4. They lie in "
                        "4,194,304 bytes; the most that is alive at once is 4,194,304 bytes, at "
                        "step 0 (dense_1 dense_forward), and no placement needs less than "
                        "4,194,304 bytes. 1 buffers are kept"));
}

TEST(TimelinePlot, OfHundredsOfStepsStaysSmall) {
  StepTimeline timeline;
  for (int step = 0; step < 1000; ++step) {
    timeline.steps.push_back(fmt::format("dense_{} dense_forward", step));
    timeline.buffers.push_back({.name = "output",
                                .layer = "dense",
                                .offset = 0,
                                .bytes = 100,
                                .first = step,
                                .last = step});
  }
  timeline.arena_bytes = timeline.lower_bound = 100;
  EXPECT_LT(timeline_plot(timeline).shapes.size(), 400'000u);
}

TEST(ByteTicks, AreFewAndRound) {
  EXPECT_THAT(byte_ticks(13 * kMiB), ElementsAre(0, 3 * kMiB, 6 * kMiB, 9 * kMiB, 12 * kMiB));
  EXPECT_THAT(byte_ticks(1), ElementsAre(0, 1));
  for (const std::int64_t high : {2, 5, 1000, 123456789}) {
    EXPECT_GE(byte_ticks(high).size(), 3u) << high;
    EXPECT_LE(byte_ticks(high).size(), 5u) << high;
    EXPECT_LE(byte_ticks(high).back(), high);
  }
  EXPECT_LE(byte_ticks(std::numeric_limits<std::int64_t>::max()).size(), 5u);
  EXPECT_EQ(byte_tick_text(4 * kMiB), "4 MiB");
  EXPECT_EQ(byte_tick_text(3 * kMiB / 2), "1.5 MiB");
}

TEST(MemoryReportSvg, StandsAloneAndDescribesItself) {
  const std::string svg = to_svg(sample_report());
  EXPECT_TRUE(is_well_formed(svg));
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, HasSubstr("role=\"img\" aria-labelledby=\"title text\""));
  EXPECT_THAT(svg, HasSubstr("<title id=\"title\">Memory of digits</title>"));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(svg, HasSubstr("Batch 8: 15,728,640 bytes"));
  EXPECT_THAT(svg, HasSubstr("They lie in 4,194,304 bytes"));
  EXPECT_EQ(occurrences(svg, "http"), 1);
}

TEST(MemoryReportPage, IsWellFormedAndNeedsNothingElse) {
  const std::string page = to_page(sample_report());
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_EQ(occurrences(page, "http"), 0);
  EXPECT_EQ(occurrences(page, "<script"), 0);
  EXPECT_EQ(occurrences(page, "role=\"img\""), 2);
  EXPECT_EQ(occurrences(page, "<caption>"), 3);
  EXPECT_EQ(occurrences(page, "role=\"region\""), occurrences(page, "tabindex=\"0\""));
}

TEST(MemoryReportPage, GivesTheAnswerFirstAndExactBytesBelow) {
  const std::string page = to_page(sample_report());
  EXPECT_THAT(page, HasSubstr("<dt>largest training batch</dt><dd>6</dd><dd>within 13.0 MiB</dd>"));
  EXPECT_THAT(page, HasSubstr("<dt>memory at batch 4</dt><dd>11.0 MiB</dd><dd>11,534,336 bytes"));
  EXPECT_THAT(page,
              HasSubstr("<td class=\"number\">15,728,640</td><td class=\"number\">above</td>"));
  EXPECT_THAT(page,
              HasSubstr("<td class=\"number\">11,534,336</td><td class=\"number\">within</td>"));
  EXPECT_THAT(page, HasSubstr("no plan: more than &quot;all&quot;, 500 samples"));
  EXPECT_THAT(page, HasSubstr("<td class=\"number\">-3,145,728</td>"));  // the first lever
}

TEST(MemoryReportPage, EveryLineOfATableHasEveryColumn) {
  MemoryReport report = sample_report();
  report.rows[1].measured = MeasuredMemory{.allocator_bytes = 1};
  const std::string page = to_page(report);
  const std::size_t start = page.find("<table", page.find("By batch size"));
  const std::string table = page.substr(start, page.find("</table>", start) - start);
  const int columns = occurrences(table, "scope=\"col\"");
  for (std::size_t at = table.find("<tr><th scope=\"row\">"); at != table.npos;
       at = table.find("<tr><th scope=\"row\">", at + 1)) {
    const std::string line = table.substr(at, table.find("</tr>", at) - at);
    int cells = 1 + occurrences(line, "<td");
    if (const std::size_t span = line.find("colspan=\""); span != line.npos) {
      cells += std::stoi(line.substr(span + 9)) - 1;
    }
    EXPECT_EQ(cells, columns) << line;
  }
}

TEST(MemoryReportPage, WithoutABudgetSpeaksOfNone) {
  MemoryReport report = sample_report();
  report.budget_bytes.reset();
  const std::string page = to_page(report);
  EXPECT_EQ(occurrences(page, "udget"), 0);
  EXPECT_EQ(occurrences(page, "largest training batch"), 0);
  EXPECT_EQ(occurrences(batch_size_plot(report).shapes, "class=\"limit\""), 0);
}

TEST(MemoryReportPage, EscapesEveryText) {
  MemoryReport report = sample_report();
  const std::string raw = "<i>&\"";
  report.experiment = report.device = report.precision = report.optimizer = raw;
  report.budget_source = report.largest_note = report.formula[0] = raw;
  report.rows[4].refused = report.layers[0].layer = raw;
  report.levers[0] = {.name = raw, .how = raw, .consequence = raw};
  for (std::string& step : report.timeline.steps) step = raw;
  for (BufferBar& buffer : report.timeline.buffers) buffer.name = buffer.layer = raw;
  for (const std::string& text : {to_page(report), to_svg(report)}) {
    EXPECT_TRUE(is_well_formed(text));
    EXPECT_EQ(occurrences(text, "<i>"), 0);
    EXPECT_EQ(occurrences(text, "<b>"), 0);
    EXPECT_GT(occurrences(text, "&lt;i&gt;&amp;&quot;"), 3);
  }
}

TEST(MemoryReportPage, OfNothingIsWellFormed) {
  EXPECT_TRUE(is_well_formed(to_page({})));
  EXPECT_TRUE(is_well_formed(to_svg({})));
  EXPECT_THAT(to_svg({}), HasSubstr("There are no steps to draw."));
}

TEST(MemoryReportPage, HoldsHugeNumbers) {
  MemoryReport report = sample_report();
  report.rows[3].training[MemoryCategory::data_set] = std::int64_t{1} << 61;
  report.timeline.arena_bytes = std::int64_t{1} << 61;
  const std::string page = to_page(report);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("2,305,843,009,213,693,952"));
  EXPECT_EQ(occurrences(page, "inf\""), 0);
  EXPECT_EQ(occurrences(page, "nan"), occurrences(page, "dominant"));
}

}  // namespace
}  // namespace batchwise
