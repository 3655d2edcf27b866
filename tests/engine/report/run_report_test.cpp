#include "engine/report/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/error.h"
#include "engine/report/metrics.h"
#include "tests/engine/report/markup.h"
#include "tests/engine/report/sweep_report_sample.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using testing::is_well_formed;
using ::testing::Not;
using testing::occurrences;

class RunReportTest : public ::testing::Test {
 protected:
  RunReportTest() {
    std::ofstream file(file_);
    Progress progress;
    for (int step = 1; step <= 3; ++step) {
      file << step_metrics_line({.step = step, .epoch = 1, .samples = 32, .loss = 3.0 / step})
           << "\n";
    }
    progress.step = 3;
    file << epoch_metrics_line(progress, 1.5, 0.5, SplitResult{.loss = 1.0, .accuracy = 0.75}, {})
         << "\n";
  }
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "metrics.jsonl";
};

constexpr const char* kSummary = R"({
  "test_loss": 0.25, "test_accuracy": 0.984375, "train_loss": null, "stopped_by": "epochs",
  "planned_bytes": 11388304, "peak_bytes": 11388304,
  "memory": {"parameters": 410176, "partial sums": 0, "data set": 10978128},
  "batch_size": 32, "experiment": "digits <&> 'quoted'", "seed": 18446744073709551615,
  "device": "cpu", "numerics": "invariant", "numerics_levels": [1, 2], "version": "0.1.0",
  "something_new": {"a": "<i>"}})";

TEST_F(RunReportTest, IsWellFormedAndEscapesWhatItIsGiven) {
  const std::string page = run_report(file_, kSummary);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("<h1>digits &lt;&amp;&gt; &#39;quoted&#39;</h1>"));
  EXPECT_THAT(page, Not(HasSubstr("<i>")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

TEST_F(RunReportTest, ShowsEveryFact) {
  const std::string page = run_report(file_, kSummary);
  EXPECT_THAT(page, HasSubstr("<div><dt>test accuracy</dt><dd><data value=\"0.984375\" "
                              "title=\"0.984375\">0.984375</data></dd></div>"));
  EXPECT_THAT(page, HasSubstr("<dt>numerics levels</dt><dd>1, 2</dd>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">train loss</th><td>–</td>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">seed</th><td>18446744073709551615</td>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">something new</th><td>{&quot;a&quot;:"));
  EXPECT_THAT(page, HasSubstr("10.9 MiB (11,388,304 bytes)"));
  EXPECT_THAT(page,
              HasSubstr("<td class=\"number\">10,978,128</td>"
                        "<td class=\"number\">10.5 MiB</td><td class=\"number\">96.4 %</td>"));
  EXPECT_EQ(occurrences(page, "<li value="), 2);
}

TEST_F(RunReportTest, DrawsTheCurves) {
  const std::string page = run_report(file_, kSummary);
  EXPECT_THAT(page, HasSubstr("Loss against step. training: 3 at 1, 1 at 3. validation: 1 at 3."));
  EXPECT_THAT(page, HasSubstr("Accuracy against epoch. training: 0.5 at 1. validation: 0.75"));
  EXPECT_EQ(occurrences(page, "<table"), occurrences(page, "<caption"));
}

TEST_F(RunReportTest, SaysHowToRepeatTheRun) {
  const std::string page = run_report(file_, kSummary);
  EXPECT_THAT(page, HasSubstr("batchwise train " + (folder_ / "experiment.toml").string() +
                              " --seed 18446744073709551615 --device cpu --out "));
  EXPECT_THAT(page, HasSubstr("batchwise evaluate " + folder_.path().string()));
}

TEST_F(RunReportTest, QuotesAPathForTheShell) {
  const auto folder = folder_ / "it's a run";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(file_, folder / "metrics.jsonl");
  EXPECT_THAT(run_report(folder / "metrics.jsonl", "{}"),
              HasSubstr("it&#39;\\&#39;&#39;s a run&#39;"));
}

TEST_F(RunReportTest, HandlesASummaryAndMetricsWithoutValues) {
  std::ofstream(file_, std::ios::trunc) << "torn";
  for (const char* summary :
       {"{}", R"({"test_accuracy":null,"memory":null,"numerics_levels":null,"planned_bytes":null,
                 "experiment":null,"seed":null})"}) {
    const std::string page = run_report(file_, summary);
    EXPECT_TRUE(is_well_formed(page));
    EXPECT_THAT(page, HasSubstr("<dt>test accuracy</dt><dd>–</dd>"));
    EXPECT_THAT(page, HasSubstr("1 lines of metrics.jsonl could not be read"));
    EXPECT_EQ(occurrences(page, "No values were recorded."), 4);
    EXPECT_THAT(page, Not(HasSubstr("nan")));
  }
}

TEST_F(RunReportTest, MarksWhereTheBatchSizeGrew) {
  std::ofstream(file_, std::ios::app)
      << R"({"kind":"batch_size","epoch":2,"step":3,"batch_size":64})"
      << "\n";
  const std::string page = run_report(file_, kSummary);
  EXPECT_EQ(occurrences(page, ">batch 64</text>"), 2);  // loss and learning rate
  EXPECT_THAT(page, HasSubstr("batch 64 at 3."));
}

TEST_F(RunReportTest, DrawsTheNoiseScaleOverTraining) {
  EXPECT_THAT(run_report(file_, kSummary), Not(HasSubstr("Noise scale")));
  std::ofstream file(file_, std::ios::app);
  for (int step = 1; step <= 40; ++step) {
    file << R"({"kind":"noise","step":)" << step
         << R"(,"epoch":1,"samples":32,"mean_squared_norm":33,"squared_norm_of_mean":)"
         << 2.0 + 0.1 * (step % 2) << "}\n";
  }
  file.close();
  const std::string page = run_report(file_, kSummary);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("Noise scale, samples against step."));
  EXPECT_THAT(page, Not(HasSubstr("could not be read")));
}

TEST_F(RunReportTest, ShowsMeasurementsWhereTheyAreGiven) {
  const Measurements measurements = testing::sample_measurements(32);
  const std::string page = run_report(file_, kSummary, &measurements);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("variance: falls as batch size to the power -0.98"));
  EXPECT_THAT(page, HasSubstr("BatchNorm: deviation of batch means"));
  EXPECT_THAT(page, HasSubstr("<caption>Sharpness</caption>"));
  EXPECT_THAT(page, HasSubstr("27 (residual 0.0001, 40 products)"));
  EXPECT_THAT(page, HasSubstr("about 300 (240 to 360)"));
}

TEST_F(RunReportTest, SaysWhetherTheTargetWasReached) {
  const auto page = [&](const char* reached) {
    return run_report(file_, std::string(R"({"steps":1234,"until":{"target":"train_loss<=0.1",)") +
                                 "\"reached\":" + reached + "}}");
  };
  EXPECT_THAT(page("true"),
              HasSubstr("<dd>reached after 1,234 updates</dd><dd>train_loss&lt;=0.1"));
  EXPECT_THAT(page("false"), HasSubstr("<dt>target</dt><dd>not reached</dd>"));
  EXPECT_THAT(run_report(file_, R"({"until":null})"), Not(HasSubstr("<dt>target</dt>")));
}

TEST_F(RunReportTest, ListsPrecisionAndRecallOfEachClass) {
  const std::string page =
      run_report(file_,
                 R"({"classes":[{"precision":0.5,"recall":0.25,"f1":0.3333,"samples":1200},
                     {"precision":null,"recall":0,"f1":null,"samples":0}]})");
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">0</th><td class=\"number\">50.00</td>"
                              "<td class=\"number\">25.00</td><td class=\"number\">33.33</td>"
                              "<td class=\"number\">1,200</td></tr>"));
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">1</th><td class=\"number\">–</td>"));
  EXPECT_EQ(occurrences(page, "&quot;precision&quot;"), 0);  // not as JSON among the facts
}

TEST_F(RunReportTest, RefusesASummaryThatIsNone) {
  for (const char* summary : {"", "[]", "{\"test_loss\":"}) {
    EXPECT_THROW((void)run_report(file_, summary), InputError) << summary;
  }
}

}  // namespace
}  // namespace batchwise
