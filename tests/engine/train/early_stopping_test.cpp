// Early stopping: when it stops, and that the best weights are kept.
#include "engine/train/early_stopping.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using testing_support::small_experiment;
using testing_support::train;
using testing_support::train_in;

TEST(EarlyStopping, CountsValidationsSinceTheBest) {
  const EarlyStoppingConfig config{.patience = 2, .min_delta = 0.0};
  EarlyStopping stopping;
  EXPECT_TRUE(stopping.note(1.0, 1, 10, config));
  EXPECT_TRUE(stopping.note(0.5, 2, 20, config));
  EXPECT_FALSE(stopping.note(0.5, 3, 30, config));  // equal is no improvement
  EXPECT_FALSE(stopping.should_stop(config));
  EXPECT_FALSE(stopping.note(0.6, 4, 40, config));
  EXPECT_TRUE(stopping.should_stop(config));
  EXPECT_EQ(stopping.best_loss, 0.5);
  EXPECT_EQ(stopping.best_epoch, 2);
  EXPECT_EQ(stopping.best_step, 20);
}

TEST(EarlyStopping, ForgetsItsPatienceAtAnImprovement) {
  const EarlyStoppingConfig config{.patience = 2, .min_delta = 0.0};
  EarlyStopping stopping;
  for (const double loss : {1.0, 1.1, 0.9, 1.0, 0.8}) {
    (void)stopping.note(loss, 1, 1, config);
    EXPECT_FALSE(stopping.should_stop(config)) << loss;
  }
}

TEST(EarlyStopping, WantsMoreThanMinDelta) {
  const EarlyStoppingConfig config{.patience = 1, .min_delta = 0.25};
  EarlyStopping stopping;
  EXPECT_TRUE(stopping.note(1.0, 1, 1, config));
  EXPECT_FALSE(stopping.note(0.75, 2, 2, config));  // by exactly min_delta
  EXPECT_TRUE(stopping.should_stop(config));
  EXPECT_TRUE(stopping.note(0.74, 3, 3, config));
}

TEST(EarlyStopping, TakesNanForNoImprovement) {
  const EarlyStoppingConfig config{.patience = 1, .min_delta = 0.0};
  EarlyStopping stopping;
  EXPECT_FALSE(stopping.note(std::nan(""), 1, 1, config));
  EXPECT_TRUE(stopping.should_stop(config));
}

TEST(EarlyStopping, IsOffWithoutPatience) {
  const EarlyStoppingConfig config{.patience = 0, .min_delta = 0.0};
  EarlyStopping stopping;
  for (int validation = 0; validation < 5; ++validation) {
    (void)stopping.note(1.0, 1, 1, config);
    EXPECT_FALSE(stopping.should_stop(config));
  }
}

/// Labels that are noise, and a rate that overfits within a few epochs.
Experiment overfitting(std::vector<std::string> settings = {}) {
  for (const char* setting :
       {"data.name=random", "data.samples=120", "data.validation_split=0.3", "data.test_samples=0",
        "optimizer.learning_rate=0.02", "training.batch_size=8", "training.epochs=40",
        "training.early_stopping={patience=3}"}) {
    settings.emplace_back(setting);
  }
  return small_experiment(settings);
}

TEST(EarlyStopping, KeepsTheBestWeightsOfARun) {
  const TrainingSummary stopped = train(overfitting());
  ASSERT_EQ(stopped.stopped_by, "early_stopping");
  const EarlyStopping& best = stopped.progress.early_stopping;
  EXPECT_LT(stopped.progress.epoch, 40);
  EXPECT_EQ(stopped.progress.epoch - 1, best.best_epoch + 3);
  ASSERT_TRUE(stopped.validation);
  EXPECT_EQ(stopped.validation->loss, best.best_loss);

  Experiment to_best = overfitting();
  to_best.training.early_stopping.patience = 0;
  to_best.training.epochs = best.best_epoch;
  const TrainingSummary plain = train(to_best);
  EXPECT_EQ(plain.weights_sha256, stopped.weights_sha256);
  EXPECT_EQ(plain.validation->loss, best.best_loss);
}

TEST(EarlyStopping, ValidatesInsideEpochsToo) {
  const TrainingSummary stopped = train(overfitting({"training.validate_every_steps=2"}));
  ASSERT_EQ(stopped.stopped_by, "early_stopping");
  const EarlyStopping& best = stopped.progress.early_stopping;
  Experiment to_best = overfitting();
  to_best.training.early_stopping.patience = 0;
  to_best.training.max_steps = best.best_step;
  const TrainingSummary plain = train(to_best);
  EXPECT_EQ(plain.weights_sha256, stopped.weights_sha256);
  EXPECT_EQ(plain.validation->loss, best.best_loss);  // of the weights kept, not of an earlier step
}

TEST(EarlyStopping, JudgesAnEpochThatALimitCutsShort) {
  const std::vector<std::string> settings{"data.validation_split=0.2", "training.max_steps=11",
                                          "training.early_stopping.patience=3"};
  Experiment experiment = small_experiment(settings);
  const TrainingSummary limited = train(experiment);
  ASSERT_EQ(limited.stopped_by, "max_steps");
  ASSERT_EQ(limited.progress.early_stopping.best_step, 11);  // the loss still falls
  experiment.training.early_stopping.patience = 0;
  EXPECT_EQ(limited.weights_sha256, train(experiment).weights_sha256);
}

TEST(EarlyStopping, WritesTheBestWeightsAndSaysWhich) {
  const TemporaryFolder folder;
  const TrainingSummary stopped = train_in(folder / "run", overfitting());
  const auto summary = nlohmann::json::parse(testing_support::text_of(folder / "run/summary.json"));
  EXPECT_EQ(summary.at("best_epoch"), stopped.progress.early_stopping.best_epoch);
  EXPECT_EQ(summary.at("stopped_by"), "early_stopping");
  const RunFolder::StoredWeights stored = RunFolder::open(folder / "run").read_weights();
  EXPECT_EQ(weights_sha256(stored.tensors), stopped.weights_sha256);
}

}  // namespace
}  // namespace batchwise
