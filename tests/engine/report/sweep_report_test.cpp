#include "engine/report/sweep_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/report/sweep_report_parts.h"
#include "tests/engine/report/markup.h"
#include "tests/engine/report/sweep_report_sample.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using testing::is_well_formed;
using ::testing::Not;
using testing::occurrences;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A page without its script, whose operators are no tags.
std::string without_script(const std::string& page) {
  const std::size_t begin = page.find("<script>");
  return page.substr(0, begin) + page.substr(page.find("</script>") + 9);
}

/// That text between `from` and the next `to`.
std::string between(const std::string& page, const std::string& from, const std::string& to) {
  const std::size_t begin = page.find(from);
  if (begin == page.npos) return {};
  return page.substr(begin, page.find(to, begin) - begin);
}

class SweepReportTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    rich_ = new SweepResults(testing::rich_sweep(folder_->path()));
    page_ = new std::string(sweep_report(*rich_));
  }
  static void TearDownTestSuite() {
    delete page_;
    delete rich_;
    delete folder_;
  }
  static inline TemporaryFolder* folder_ = nullptr;
  static inline SweepResults* rich_ = nullptr;
  static inline std::string* page_ = nullptr;
};

TEST_F(SweepReportTest, IsWellFormedWhateverTheSweep) {
  for (const SweepResults& results :
       {*rich_, testing::poor_sweep(), testing::awkward_sweep(), SweepResults()}) {
    const std::string page = sweep_report(results);
    EXPECT_TRUE(is_well_formed(without_script(page))) << results.name;
    EXPECT_EQ(occurrences(page, "<script"), 1) << results.name;
    EXPECT_THAT(page, Not(HasSubstr("http"))) << results.name;
    EXPECT_THAT(page, Not(HasSubstr("url("))) << results.name;
  }
}

TEST_F(SweepReportTest, HasATextForEveryPictureAndAScrollForEveryTable) {
  const std::string card = between(*page_, "<section class=\"card\"", "</section>");
  EXPECT_THAT(card, HasSubstr("<desc id=\"card-text\"> What fits: up to batch 2,800"));
  EXPECT_EQ(occurrences(*page_, "<svg class=\"chart\""), occurrences(*page_, "role=\"img\""));
  EXPECT_EQ(occurrences(*page_, "role=\"img\" aria-label=\"\""), 0);
  EXPECT_EQ(occurrences(*page_, "<svg"),
            occurrences(*page_, "role=\"img\"") + occurrences(*page_, "aria-hidden=\"true\""));
  EXPECT_EQ(occurrences(*page_, "<table"), occurrences(*page_, "<caption"));
  EXPECT_EQ(occurrences(*page_, "role=\"region\""), occurrences(*page_, "tabindex=\"0\""));
}

TEST_F(SweepReportTest, HasNoCoordinateThatIsNotANumber) {
  for (const SweepResults& results : {*rich_, testing::poor_sweep(), testing::awkward_sweep()}) {
    const std::string page = sweep_report(results);
    for (const char* attribute : {"d=\"", "x=\"", "y=\"", "x1=\"", "y1=\"", "y2=\"", "width=\"",
                                  "cx=\"", "cy=\"", "points=\""}) {
      const std::string start = std::string(" ") + attribute;
      for (std::size_t at = page.find(start); at != page.npos; at = page.find(start, at + 1)) {
        const std::size_t first = at + start.size();
        const std::string value = page.substr(first, page.find('"', first) - first);
        EXPECT_EQ(value.find("nan"), value.npos) << results.name << attribute << value;
        EXPECT_EQ(value.find("inf"), value.npos) << results.name << attribute << value;
      }
    }
  }
}

TEST_F(SweepReportTest, AnswersFirst) {
  const std::string answer = between(*page_, "<p class=\"answer\">", "</p>");
  EXPECT_THAT(answer, HasSubstr("Batch 512, adam, rate 0.00226 takes the fewest updates to "
                                "validation_accuracy&gt;=0.97: 66.2 ± 9.9 (3 of 3 seeds"));
  EXPECT_THAT(answer, HasSubstr("Batch 8, sgd, rate 0.032 has the highest validation accuracy: "
                                "98.58 ± 0.25 % over 3 seeds"));
  EXPECT_THAT(answer,
              HasSubstr("Batch 16, sgd, rate 0.064 is not told apart from it in test "
                        "accuracy: no difference above 0.22 points; 6 more seeds would tell "
                        "(nor are 3 others)."));
  EXPECT_LT(page_->find("class=\"answer\""), page_->find("class=\"card\""));
  EXPECT_THAT(*page_, Not(HasSubstr("Partial")));
}

/// The lead's own where it was compared; otherwise the reader must see that it is another.
TEST_F(SweepReportTest, NamesTheAccuracyThatWasCompared) {
  EXPECT_EQ(lead_accuracy(*rich_).name, kValidationAccuracyMeasure);
  EXPECT_EQ(compared_accuracy(*rich_), kTestAccuracyMeasure);
  EXPECT_THAT(batch_size_card(*rich_),
              HasSubstr("not told apart from it in test accuracy up to batch 128"));
  SweepResults results = *rich_;
  CellComparison comparison = results.comparisons.front();  // batch 16
  comparison.measure = kValidationAccuracyMeasure;
  results.comparisons.push_back(comparison);
  EXPECT_EQ(compared_accuracy(results), kValidationAccuracyMeasure);
  EXPECT_THAT(sweep_headline(results),
              HasSubstr("Batch 16, sgd, rate 0.064 is not told apart from it in validation "
                        "accuracy: no difference above 0.22 points; 6 more seeds would tell."));
  EXPECT_EQ(plateau_end(results, *most_accurate(results)), 16);
  results.comparisons.back().differs = true;
  EXPECT_THAT(batch_size_card(results),
              HasSubstr("the next larger batch differs from it in validation accuracy"));
  results.comparisons = {results.comparisons.back()};
  results.comparisons.back().measure = kStepsToTargetMeasure;
  EXPECT_EQ(compared_accuracy(results), "");
  EXPECT_EQ(plateau_end(results, *most_accurate(results)), std::nullopt);
}

TEST_F(SweepReportTest, SaysThatItIsPartial) {
  EXPECT_THAT(sweep_report(testing::poor_sweep()), HasSubstr("Partial: 1 of 2 runs are done."));
}

TEST_F(SweepReportTest, DrawsWhatThereIsAndNothingElse) {
  for (const char* title :
       {"What fits", "Throughput, samples per second", "Validation accuracy, %", "Test accuracy, %",
        "Validation loss", "Updates to the target", "Epochs to the target", "Seconds to the target",
        "Best learning rate", "Samples per second", "Bytes", "Noise scale over training, samples",
        "Sharpness", "Largest Hessian eigenvalue", "Variance of the gradient",
        "BatchNorm: deviation of batch means", "Accuracy by BatchNorm statistics, %"}) {
    EXPECT_THAT(*page_, HasSubstr(std::string(">") + title)) << title;
  }
  EXPECT_THAT(*page_, HasSubstr("perfect scaling"));
  EXPECT_THAT(*page_, HasSubstr("1 / batch size"));
  const std::string poor = sweep_report(testing::poor_sweep());
  EXPECT_EQ(occurrences(poor, "<figcaption"), 3);  // card, accuracy, throughput
  EXPECT_THAT(poor, HasSubstr("cannot read no/such/folder/metrics.jsonl"));
  EXPECT_THAT(poor, Not(HasSubstr("class=\"error\"")));  // one seed bounds nothing
}

TEST_F(SweepReportTest, SaysInWordsWhatACurveShows) {
  EXPECT_THAT(*page_, HasSubstr("Validation accuracy, % against batch size. sgd: highest at batch "
                                "size 8 with 98.6. adam: highest at batch size 8 with 98.2."));
  EXPECT_THAT(*page_, HasSubstr("sgd: a batch 64 times as large takes"));
}

TEST_F(SweepReportTest, HasATableThatSortsAndReadsWithoutAScript) {
  const std::string table =
      between(*page_, "<table class=\"runs cells\" id=\"cells\">", "</table>");
  EXPECT_EQ(occurrences(table, "<tr"), 1 + 28);
  EXPECT_EQ(occurrences(table, "class=\"chosen\""), 14);
  EXPECT_EQ(occurrences(table, "<button"), 0);
  EXPECT_THAT(table, HasSubstr("<td class=\"number\" data-order=\"0.98576\">98.58 ± 0.25</td>"));
  EXPECT_THAT(*page_, HasSubstr("setAttribute(\"aria-sort\""));
  const std::string poor = sweep_report(testing::poor_sweep());
  EXPECT_THAT(poor, Not(HasSubstr("noise scale</th>")));  // a column without values
}

TEST_F(SweepReportTest, ListsClassesFailuresAndHowToRepeat) {
  const std::string classes = between(*page_, "<details>", "</details>");
  EXPECT_EQ(occurrences(classes, "<tr>"), 2 * (1 + 10));
  EXPECT_THAT(*page_, HasSubstr("batchwise sweep digits.toml --batch-sizes 8,16"));
  const std::string awkward = sweep_report(testing::awkward_sweep());
  EXPECT_THAT(awkward, HasSubstr("seed 1, diverged: loss is &lt;nan&gt; &amp; not finite"));
  EXPECT_THAT(awkward, HasSubstr("and 30 more"));
  EXPECT_THAT(awkward, HasSubstr("<h1>&lt;script&gt;alert(&#39;&amp;&#39;)"));
}

TEST(EstimateText, ShowsTwoDigitsOfTheHalfInterval) {
  EXPECT_EQ(estimate_text(testing::around(0.98576, 0.0025), 100.0), "98.58 ± 0.25");
  EXPECT_EQ(estimate_text(testing::around(12345.6, 78.0)), "12,346 ± 78");
  EXPECT_EQ(estimate_text({.value = 0.5, .low = -kInfinity, .high = kInfinity}), "0.5000");
  EXPECT_EQ(estimate_text({}), "–");
}

TEST(IntervalText, SaysWhatBoundsIt) {
  EXPECT_EQ(interval_text({.value = 312.3, .low = 250.0, .high = 401.0}), "about 312 (250 to 401)");
  EXPECT_EQ(interval_text({.value = 312.3, .low = 250.0, .high = kInfinity}),
            "about 312, above 250");
  EXPECT_EQ(interval_text({.value = 312.3, .low = 0.0, .high = kInfinity}), "about 312");
}

TEST(PlateauEnd, IsTheLastBatchBeforeOneThatDiffers) {
  TemporaryFolder folder;
  SweepResults results = testing::rich_sweep(folder.path());
  const SweepCell* best = most_accurate(results);
  ASSERT_NE(best, nullptr);
  EXPECT_EQ(best->batch_size, 8);
  EXPECT_EQ(plateau_end(results, *best), 128);
  results.comparisons[0].differs = true;  // batch 16
  EXPECT_EQ(plateau_end(results, *best), 8);
  results.comparisons.clear();
  EXPECT_EQ(plateau_end(results, *best), std::nullopt);
}

TEST(ThroughputBend, IsWhereNineTenthsAreReached) {
  std::vector<SweepCell> cells(4);
  Series series;
  const double speeds[] = {100.0, 899.0, 900.0, 1000.0};
  for (std::size_t index = 0; index < cells.size(); ++index) {
    cells[index].batch_size = 1 << index;
    cells[index].samples_per_second.value = speeds[index];
    series.best.push_back(&cells[index]);
  }
  const auto bend = throughput_bend(series);
  ASSERT_TRUE(bend);
  EXPECT_EQ(bend->batch_size, 4);
  EXPECT_FALSE(bend->still_rising);
  cells[3].samples_per_second.value = 2000.0;
  EXPECT_TRUE(throughput_bend(series)->still_rising);
}

TEST(SeriesOf, SplitsByWhatIsNeitherBatchSizeNorRate) {
  TemporaryFolder folder;
  const SweepResults results = testing::rich_sweep(folder.path());
  const std::vector<Series> all = series_of(results);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "sgd");
  EXPECT_EQ(all[1].name, "adam");
  EXPECT_EQ(all[0].best.size(), 7u);
  EXPECT_EQ(all[0].others.size(), 7u);
}

TEST(SeriesOf, IsAGroupOfCells) {
  SweepResults results;
  for (int index = 1; index <= 8; ++index) {
    SweepCell cell;
    cell.index = index;
    cell.batch_size = index <= 4 ? 8 : 16;
    cell.group = index % 2 == 0 ? "sgd" : "adam";
    results.cells.push_back(cell);
  }
  results.best_cells = {1, 2, 5, 6};  // of each batch size and group
  const std::vector<Series> all = series_of(results);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "adam");
  EXPECT_EQ(all[0].best.size(), 2u);
  EXPECT_EQ(all[0].others.size(), 2u);
}

TEST(Soonest, PutsCellsThatAlwaysReachTheTargetFirst) {
  SweepResults results;
  results.cells.resize(2);
  for (SweepCell& cell : results.cells) cell.done = cell.reached = 2;
  results.cells[0].steps_to_target.value = 100.0;
  results.cells[1].steps_to_target.value = 50.0;
  EXPECT_EQ(soonest(results, &SweepCell::steps_to_target), &results.cells[1]);
  results.cells[1].reached = 1;
  EXPECT_EQ(soonest(results, &SweepCell::steps_to_target), &results.cells[0]);
}

TEST(MostAccurate, PutsCellsThatNeverDivergedFirst) {
  SweepResults results;
  results.cells.resize(2);
  for (SweepCell& cell : results.cells) cell.done = 2;
  results.cells[0].test_accuracy.value = 0.8;
  results.cells[1].test_accuracy.value = 0.9;
  EXPECT_EQ(most_accurate(results), &results.cells[1]);
  results.cells[1].diverged = 1;
  EXPECT_EQ(most_accurate(results), &results.cells[0]);
}

TEST_F(SweepReportTest, TellsStepsApartByAFactor) {
  SweepResults results = *rich_;
  CellComparison comparison = results.comparisons.front();
  comparison.measure = kStepsToTargetMeasure;
  comparison.first = 27;  // batch 512, adam
  comparison.second = 25;
  comparison.differs = false;
  comparison.result.not_above = 0.25;  // of logarithms
  comparison.result.more_pairs = 1;
  results.comparisons = {comparison};
  EXPECT_THAT(sweep_report(results),
              HasSubstr("Batch 256, adam, rate 0.0016 is not told apart from it in steps to "
                        "target: no difference beyond a factor of 1.28; 1 more seed would tell."));
}

TEST(LawThrough, KeepsTheProduct) {
  const Line line{.points = {{.x = 8, .y = 100}, {.x = 32, .y = 60}}};
  const Line law = law_through(line, -1.0, "law");
  ASSERT_EQ(law.points.size(), 2u);
  EXPECT_DOUBLE_EQ(law.points[0].y, 100.0);
  EXPECT_DOUBLE_EQ(law.points[1].y, 25.0);
}

/// For a look at the pages: BATCHWISE_SAMPLES names the folder they go to.
TEST_F(SweepReportTest, WritesSamples) {
  const char* wanted = std::getenv("BATCHWISE_SAMPLES");
  const std::filesystem::path folder = wanted != nullptr ? wanted : folder_->path();
  std::ofstream(folder / "rich.html") << *page_;
  std::ofstream(folder / "poor.html") << sweep_report(testing::poor_sweep());
  std::ofstream(folder / "awkward.html") << sweep_report(testing::awkward_sweep());
  EXPECT_GT(std::filesystem::file_size(folder / "awkward.html"), 10000u);
}

}  // namespace
}  // namespace batchwise
