// Training to a target: where it ends, what it says, and that resuming changes nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using testing_support::small_experiment;
using testing_support::train;
using testing_support::train_in;

/// The step of the first validation at least as good, found by training without a target.
std::int64_t first_step_at(const Experiment& experiment, double loss) {
  const TemporaryFolder folder;
  Experiment plain = experiment;
  plain.training.until = "none";
  (void)train_in(folder / "run", plain);
  for (const nlohmann::json& line : testing_support::metrics_of(folder / "run")) {
    if (!line.contains("validation_loss") || line.at("validation_loss") > loss) continue;
    return line.at("step");
  }
  return -1;
}

Experiment towards(const std::string& until, std::vector<std::string> settings = {}) {
  for (const std::string& setting :
       {std::string("data.validation_split=0.2"), std::string("training.epochs=6"),
        fmt::format("training.until=\"{}\"", until)}) {
    settings.push_back(setting);
  }
  return small_experiment(settings);
}

TEST(TrainingUntil, EndsAtTheFirstValidationThatReachesTheTarget) {
  const double start = train(towards("none", {"training.max_steps=1"})).validation->loss;
  const double target = start * 0.6;
  for (const char* every : {"0", "2"}) {
    const Experiment experiment = towards(fmt::format("validation_loss<={}", target),
                                          {fmt::format("training.validate_every_steps={}", every)});
    const std::int64_t expected = first_step_at(experiment, target);
    ASSERT_GT(expected, 1);
    const TrainingSummary summary = train(experiment);
    EXPECT_EQ(summary.stopped_by, "until");
    EXPECT_EQ(summary.progress.step, expected);
    EXPECT_LE(summary.validation->loss, target);
  }
}

TEST(TrainingUntil, CountsAnEpochThatItEndsWith) {
  // 240 samples: 8 updates an epoch, and a validation after the eighth.
  const TrainingSummary summary =
      train(towards("validation_loss<=1e9", {"training.validate_every_steps=8"}));
  EXPECT_EQ(summary.progress.step, 8);
  EXPECT_EQ(summary.progress.epoch, 2);
  EXPECT_EQ(summary.stopped_by, "until");
}

TEST(TrainingUntil, KeepsTheWeightsThatReachedTheTarget) {
  // Accuracy may rise where the loss, which early stopping watches, is no longer the lowest.
  const TrainingSummary summary =
      train(towards("validation_accuracy>=0.7",
                    {"training.early_stopping={patience=50}", "training.validate_every_steps=1"}));
  ASSERT_EQ(summary.stopped_by, "until");
  EXPECT_GE(summary.validation->accuracy, 0.7);
}

TEST(TrainingUntil, WatchesTrainingFiguresAtTheEndOfEpochs) {
  const TrainingSummary summary = train(towards("train_loss<=1e9"));
  EXPECT_EQ(summary.stopped_by, "until");
  EXPECT_EQ(summary.progress.epoch, 2);
}

TEST(TrainingUntil, SaysWhenTheTargetWasNotReached) {
  const TemporaryFolder folder;
  const TrainingSummary summary = train_in(folder / "run", towards("validation_accuracy>=1.5"));
  EXPECT_EQ(summary.stopped_by, "epochs");
  const auto json = nlohmann::json::parse(testing_support::text_of(folder / "run/summary.json"));
  EXPECT_EQ(json.at("until").at("target"), "validation_accuracy>=1.5");
  EXPECT_EQ(json.at("until").at("reached"), false);
}

TEST(TrainingUntil, EndsAtTheSameStepWhenItIsResumed) {
  const double start = train(towards("none", {"training.max_steps=1"})).validation->loss;
  const Experiment experiment =
      towards(fmt::format("validation_loss<={}", start * 0.6), {"training.validate_every_steps=2"});
  const TrainingSummary whole = train(experiment);
  ASSERT_EQ(whole.stopped_by, "until");
  const TemporaryFolder folder;
  EXPECT_THROW((void)train_in(folder / "run", experiment, whole.progress.step - 1), Interrupted);
  const TrainingSummary resumed = train_in(folder / "run", experiment);
  EXPECT_EQ(resumed.stopped_by, "until");
  EXPECT_EQ(resumed.progress.step, whole.progress.step);
  EXPECT_EQ(resumed.weights_sha256, whole.weights_sha256);
  // And once more, from the end.
  const TrainingSummary again = train_in(folder / "run", experiment);
  EXPECT_EQ(again.progress.step, whole.progress.step);
  EXPECT_EQ(again.weights_sha256, whole.weights_sha256);
}

}  // namespace
}  // namespace batchwise
