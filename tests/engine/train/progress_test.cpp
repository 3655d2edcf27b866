// A run's progress reads back exactly, NaN and infinity too.
#include "engine/train/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using testing_support::message_of;

Progress example() {
  Progress progress;
  progress.step = 123456789012;
  progress.epoch = 7;
  progress.samples_in_epoch = 96;
  progress.epoch_loss_sum = 0.1 + 0.2;
  progress.epoch_correct = 55;
  progress.epoch_training_seconds = 1.0 / 3.0;
  progress.skipped_updates = 2;
  progress.trained_samples = 1000;
  progress.training_seconds = 1e-300;
  progress.seconds = 12.5;
  progress.train_loss = 0.7;
  progress.train_accuracy = 0.3;
  progress.validated_step = 120;
  progress.stopped_early = true;
  progress.early_stopping = {
      .best_loss = 0.1, .best_epoch = 3, .best_step = 99, .validations_since_best = 4};
  progress.batch_size = 128;
  progress.batch_start = {.steps = 87, .epochs = 5};
  progress.plateau = {.best_loss = 0.2, .epochs_since_best = 1};
  progress.metrics_bytes = 18446744073709551615u;
  return progress;
}

TEST(Progress, ReadsBackExactly) {
  const Progress before = example();
  const Progress after = Progress::from_json(before.to_json());
  EXPECT_EQ(after.step, before.step);
  EXPECT_EQ(after.epoch, before.epoch);
  EXPECT_EQ(after.samples_in_epoch, before.samples_in_epoch);
  EXPECT_EQ(after.epoch_loss_sum, before.epoch_loss_sum);
  EXPECT_EQ(after.epoch_correct, before.epoch_correct);
  EXPECT_EQ(after.epoch_training_seconds, before.epoch_training_seconds);
  EXPECT_EQ(after.skipped_updates, before.skipped_updates);
  EXPECT_EQ(after.trained_samples, before.trained_samples);
  EXPECT_EQ(after.training_seconds, before.training_seconds);
  EXPECT_EQ(after.seconds, before.seconds);
  EXPECT_EQ(after.train_loss, before.train_loss);
  EXPECT_EQ(after.train_accuracy, before.train_accuracy);
  EXPECT_EQ(after.validated_step, before.validated_step);
  EXPECT_EQ(after.stopped_early, before.stopped_early);
  EXPECT_EQ(after.early_stopping.best_loss, before.early_stopping.best_loss);
  EXPECT_EQ(after.early_stopping.best_epoch, before.early_stopping.best_epoch);
  EXPECT_EQ(after.early_stopping.best_step, before.early_stopping.best_step);
  EXPECT_EQ(after.early_stopping.validations_since_best,
            before.early_stopping.validations_since_best);
  EXPECT_EQ(after.batch_size, before.batch_size);
  EXPECT_EQ(after.batch_start, before.batch_start);
  EXPECT_EQ(after.plateau.best_loss, before.plateau.best_loss);
  EXPECT_EQ(after.plateau.epochs_since_best, before.plateau.epochs_since_best);
  EXPECT_EQ(after.metrics_bytes, before.metrics_bytes);
  EXPECT_EQ(after.to_json(), before.to_json());
}

TEST(Progress, StartsBeforeTheFirstStepAndValidation) {
  const Progress start = Progress::from_json(Progress{}.to_json());
  EXPECT_EQ(start.step, 0);
  EXPECT_EQ(start.epoch, 1);
  EXPECT_TRUE(std::isnan(start.train_loss));
  EXPECT_TRUE(std::isinf(start.early_stopping.best_loss));
  EXPECT_GT(start.early_stopping.best_loss, 0.0);
  EXPECT_EQ(start.batch_size, 0);
  EXPECT_TRUE(std::isinf(start.plateau.best_loss));
}

TEST(Progress, SurvivesSumsThatAreNotFinite) {
  Progress progress = example();
  progress.epoch_loss_sum = std::nan("");
  progress.train_loss = std::numeric_limits<double>::infinity();
  const Progress after = Progress::from_json(progress.to_json());
  EXPECT_TRUE(std::isnan(after.epoch_loss_sum));
  EXPECT_FALSE(std::isfinite(after.train_loss));
  EXPECT_EQ(after.step, progress.step);
}

TEST(Progress, RefusesWhatItDidNotWrite) {
  for (const char* text : {"", "{", "[]", "{}", "null"}) {
    EXPECT_THAT(message_of([&] { (void)Progress::from_json(text); }),
                HasSubstr("state cannot be read"))
        << text;
  }
  const nlohmann::json whole = nlohmann::json::parse(example().to_json());
  for (const auto& item : whole.items()) {
    nlohmann::json part = whole;
    part.erase(item.key());
    EXPECT_THAT(message_of([&] { (void)Progress::from_json(part.dump()); }), HasSubstr(item.key()));
  }
  nlohmann::json json = whole;
  json["step"] = "five";
  EXPECT_THAT(message_of([&] { (void)Progress::from_json(json.dump()); }),
              HasSubstr("state cannot be read"));
}

}  // namespace
}  // namespace batchwise
