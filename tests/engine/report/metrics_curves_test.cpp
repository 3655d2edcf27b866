#include "engine/report/metrics_curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "engine/error.h"
#include "engine/report/metrics.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

class MetricsCurvesTest : public ::testing::Test {
 protected:
  MetricsCurves curves_of(const std::string& text) {
    std::ofstream(file_) << text;
    return read_metrics_curves(file_);
  }
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "metrics.jsonl";
};

TEST_F(MetricsCurvesTest, PutsEachKindOfLineIntoItsCurves) {
  Progress progress;
  progress.step = 2;
  progress.samples_in_epoch = 40;
  progress.epoch_training_seconds = 0.5;
  const SplitResult validation{.loss = 0.75, .accuracy = 0.5};
  const MetricsCurves curves = curves_of(
      step_metrics_line({.step = 1, .epoch = 1, .samples = 32, .loss = 2.0, .learning_rate = 0.1}) +
      "\n" + validation_metrics_line(progress, {.loss = 1.5}) + "\n" +
      batch_size_metrics_line({.epoch = 1, .step = 1, .batch_size = 8}) + "\n" +
      noise_metrics_line({.epoch = 1, .norms = {.step = 1, .samples = 8}}) + "\n" +
      step_metrics_line({.step = 2, .epoch = 1, .samples = 8, .loss = 1.0, .learning_rate = 0.2}) +
      "\n" + epoch_metrics_line(progress, 1.25, 0.25, validation, {}) + "\n");
  EXPECT_EQ(curves.unreadable_lines, 0);
  ASSERT_EQ(curves.train_loss.points().size(), 2u);
  EXPECT_EQ(curves.train_loss.points()[1].x, 2.0);
  EXPECT_EQ(curves.train_loss.points()[1].y, 1.0);
  EXPECT_EQ(curves.learning_rate.points()[1].y, 0.2);
  EXPECT_EQ(curves.train_loss_by_samples.points()[1].x, 40.0);
  ASSERT_EQ(curves.validation_loss.points().size(), 2u);
  EXPECT_EQ(curves.validation_loss.points()[0].y, 1.5);
  EXPECT_EQ(curves.validation_loss_by_samples.points()[0].x, 32.0);
  EXPECT_EQ(curves.validation_loss_by_samples.points()[1].x, 40.0);
  EXPECT_EQ(curves.validation_loss_by_samples.points()[1].y, 0.75);
  ASSERT_EQ(curves.train_accuracy.points().size(), 1u);
  EXPECT_EQ(curves.train_accuracy.points()[0].x, 1.0);
  EXPECT_EQ(curves.train_accuracy.points()[0].y, 0.25);
  EXPECT_EQ(curves.validation_accuracy.points()[0].y, 0.5);
  EXPECT_EQ(curves.samples_per_second.points()[0].y, 80.0);
}

TEST_F(MetricsCurvesTest, CountsLinesItCannotRead) {
  const MetricsCurves curves = curves_of(
      "{\"kind\":\"step\",\"step\":1,\"loss\":2}\nnot json\n[1]\n{\"kind\":7}\n{}\n\n"
      "{\"kind\":\"other\"}\n{\"kind\":\"step\",\"st");
  EXPECT_EQ(curves.unreadable_lines, 6);
  EXPECT_EQ(curves.train_loss.points().size(), 1u);
}

TEST_F(MetricsCurvesTest, ANullIsAGap) {
  const MetricsCurves curves =
      curves_of("{\"kind\":\"step\",\"step\":1,\"samples\":null,\"loss\":null}\n");
  EXPECT_EQ(curves.train_loss.missing(), 1);
  ASSERT_EQ(curves.train_loss.points().size(), 1u);
  EXPECT_TRUE(std::isnan(curves.train_loss.points()[0].y));
}

TEST_F(MetricsCurvesTest, ALongRunKeepsAFewPoints) {
  std::ofstream file(file_);
  for (int step = 1; step <= 20'000; ++step) {
    file << step_metrics_line({.step = step, .samples = 1, .loss = step % 2 == 0 ? 1.0 : 3.0})
         << "\n";
  }
  file.close();
  const MetricsCurves curves = read_metrics_curves(file_);
  EXPECT_LE(curves.train_loss.points().size(), 600u);
  EXPECT_GE(curves.train_loss.points().size(), 300u);
  EXPECT_EQ(curves.train_loss.points()[0].y, 2.0);
  EXPECT_EQ(curves.train_loss.points()[0].low, 1.0);
  EXPECT_EQ(curves.train_loss.points()[0].high, 3.0);
}

TEST_F(MetricsCurvesTest, AnEmptyFileHasNoPoints) {
  EXPECT_TRUE(curves_of("").train_loss.points().empty());
}

TEST_F(MetricsCurvesTest, AFileThatIsNotThereIsNamed) {
  try {
    (void)read_metrics_curves(file_);
    FAIL() << "read a file that does not exist";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(file_.string()));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("No such file"));
  }
  EXPECT_THROW((void)read_metrics_curves(folder_.path()), InputError);
}

}  // namespace
}  // namespace batchwise
