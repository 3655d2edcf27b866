#include "engine/report/comparison_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <vector>

#include "engine/error.h"
#include "engine/report/metrics.h"
#include "tests/engine/report/markup.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using testing::is_well_formed;
using ::testing::Not;
using testing::occurrences;

class ComparisonReportTest : public ::testing::Test {
 protected:
  ComparedRun run(const std::string& name, std::int64_t batch_size, double accuracy,
                  double samples_per_second) {
    const auto file = folder_ / (std::to_string(files_++) + ".jsonl");
    std::ofstream(file) << step_metrics_line({.step = 1, .samples = batch_size, .loss = 2.0})
                        << "\n"
                        << step_metrics_line({.step = 2, .samples = batch_size, .loss = 1.0})
                        << "\n";
    return {.name = name,
            .batch_size = batch_size,
            .test_accuracy = accuracy,
            .test_loss = 0.5,
            .training_seconds = 1.25,
            .samples_per_second = samples_per_second,
            .planned_bytes = 11388304,
            .metrics_file = file};
  }
  TemporaryFolder folder_;
  int files_ = 0;
};

TEST_F(ComparisonReportTest, ShowsEachRunAndMarksTheBest) {
  const std::vector<ComparedRun> runs = {run("small", 32, 0.975, 20000.0),
                                         run("large <b>", 2048, 0.5, 160000.0)};
  const std::string page = comparison_report("Two & two", runs);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("<h1>Two &amp; two</h1>"));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">small</th><td class=\"number\">32</td>"
                              "<td class=\"number best\">0.975</td><td class=\"number\">0.5</td>"
                              "<td class=\"number\">1.25</td><td class=\"number\">20,000</td>"
                              "<td class=\"number\">11,388,304</td></tr>"));
  EXPECT_THAT(page, HasSubstr("large &lt;b&gt;"));
  EXPECT_THAT(page, HasSubstr("<td class=\"number best\">160,000</td>"));
}

TEST_F(ComparisonReportTest, DrawsAgainstBatchSizeAndSamples) {
  const std::vector<ComparedRun> runs = {run("b", 2048, 0.5, 160000.0),
                                         run("a", 32, 0.975, 20000.0)};
  const std::string page = comparison_report("t", runs);
  EXPECT_THAT(page, HasSubstr("Test accuracy against batch size. Test accuracy: 0.975 at 32, "
                              "0.5 at 2048."));
  EXPECT_THAT(page, HasSubstr("batch size (log scale)"));
  EXPECT_THAT(page, HasSubstr("Training loss against samples trained on. b: 2 at 2048, 1 at 4096. "
                              "a: 2 at 32, 1 at 64."));
  EXPECT_EQ(occurrences(page, "No values were recorded."), 1);  // validation
}

TEST_F(ComparisonReportTest, AveragesRunsOfOneBatchSize) {
  const std::vector<ComparedRun> runs = {
      run("seed 0", 32, 0.5, 100.0), run("seed 1", 32, 1.0, 100.0), run("large", 64, 0.25, 100.0)};
  const std::string page = comparison_report("t", runs);
  EXPECT_THAT(page, HasSubstr("Test accuracy: 0.75 at 32, 0.25 at 64."));
  EXPECT_THAT(page, HasSubstr("mean and range of the runs of a batch size"));
}

TEST_F(ComparisonReportTest, HandlesMissingValuesAndNoRuns) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<ComparedRun> runs = {run("failed", 32, nan, nan)};
  const std::string page = comparison_report("t", runs);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("<td class=\"number\">–</td>"));
  EXPECT_THAT(page, Not(HasSubstr("number best")));
  EXPECT_THAT(page, Not(HasSubstr(">nan<")));
  EXPECT_TRUE(is_well_formed(comparison_report("t", {})));
}

TEST_F(ComparisonReportTest, TellsManyRunsApart) {
  std::vector<ComparedRun> runs;
  runs.reserve(20);
  for (int index = 0; index < 20; ++index) {
    runs.push_back(run("run " + std::to_string(index), 1 << index, 0.5, 100.0));
  }
  const std::string page = comparison_report("t", runs);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("<svg class=\"s3 dash2\""));
  EXPECT_THAT(page, HasSubstr("20 lines."));
}

TEST_F(ComparisonReportTest, NamesAMetricsFileThatIsNotThere) {
  std::vector<ComparedRun> runs = {run("a", 32, 0.5, 1.0)};
  runs[0].metrics_file = folder_ / "gone.jsonl";
  EXPECT_THROW((void)comparison_report("t", runs), InputError);
}

}  // namespace
}  // namespace batchwise
