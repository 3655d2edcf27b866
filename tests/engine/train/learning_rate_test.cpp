// Every schedule beside values computed by hand.
#include "engine/train/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using testing_support::small_experiment;

/// A peak of 0.1 over epochs of ten steps.
LearningRate schedule(std::vector<std::string> settings) {
  settings.emplace_back("optimizer.learning_rate=0.1");
  return {small_experiment(settings), 10};
}

/// Beyond the rounding of a few operations.
void expect_near(double found, double expected) {
  EXPECT_TRUE(std::abs(found - expected) <= 1e-9) << found << " instead of " << expected;
}

TEST(LearningRate, Constant) {
  const LearningRate rate = schedule({});
  EXPECT_EQ(rate.peak(), 0.1);
  for (const std::int64_t step : {1, 2, 100, 100000}) EXPECT_EQ(rate.at(step), 0.1);
}

TEST(LearningRate, StepFallsAtTheGivenEpochs) {
  const LearningRate rate =
      schedule({"schedule.kind=step", "schedule.at=[1.0, 2.5]", "schedule.factor=0.5"});
  EXPECT_EQ(rate.at(1), 0.1);
  EXPECT_EQ(rate.at(10), 0.1);
  EXPECT_EQ(rate.at(11), 0.05);  // the first step of the second epoch
  EXPECT_EQ(rate.at(25), 0.05);
  EXPECT_EQ(rate.at(26), 0.025);
  EXPECT_EQ(rate.at(1000), 0.025);
}

TEST(LearningRate, ExponentialFallsByTheFactorAnEpoch) {
  const LearningRate rate = schedule({"schedule.kind=exponential", "schedule.factor=0.25"});
  EXPECT_EQ(rate.at(1), 0.1);
  expect_near(rate.at(6), 0.05);  // half an epoch done: the square root of a quarter
  expect_near(rate.at(11), 0.025);
  expect_near(rate.at(21), 0.00625);
}

TEST(LearningRate, CosineEndsAtItsShareOfThePeak) {
  const LearningRate rate =
      schedule({"schedule.kind=cosine", "schedule.to=0.1", "training.epochs=4"});
  EXPECT_EQ(rate.at(1), 0.1);
  expect_near(rate.at(21), 0.1 * (0.1 + 0.9 * 0.5));
  // At a third and two thirds of a quarter turn the cosine is 1/2 and -1/2: 4/3 epochs are not a
  // whole step, so with three epochs.
  const LearningRate thirds = schedule({"schedule.kind=cosine", "training.epochs=3"});
  expect_near(thirds.at(11), 0.1 * 0.75);
  expect_near(thirds.at(21), 0.1 * 0.25);
  expect_near(thirds.at(31), 0.0);
  expect_near(rate.at(41), 0.01);
  expect_near(rate.at(400), 0.01);  // stays there
}

TEST(LearningRate, OneCycleRisesForAThirdThenFalls) {
  const LearningRate rate = schedule({"schedule.kind=one_cycle", "training.epochs=10"});
  expect_near(rate.at(1), 0.1 / 30.0);
  expect_near(rate.at(15), 0.05);
  expect_near(rate.at(30), 0.1);
  expect_near(rate.at(31), 0.1);
  expect_near(rate.at(66), 0.05);  // half way from epoch 3 to epoch 10
  expect_near(rate.at(101), 0.0);
}

TEST(LearningRate, OneCycleTakesAGivenWarmUp) {
  const LearningRate rate =
      schedule({"schedule.kind=one_cycle", "training.epochs=10", "schedule.warmup_epochs=1.0"});
  expect_near(rate.at(5), 0.05);
  expect_near(rate.at(11), 0.1);
}

TEST(LearningRate, WarmUpRisesLinearlyToThePeak) {
  const LearningRate rate = schedule({"schedule.warmup_epochs=0.5"});
  for (int step = 1; step <= 5; ++step) expect_near(rate.at(step), 0.02 * step);
  EXPECT_EQ(rate.at(6), 0.1);
}

TEST(LearningRate, WarmUpShorterThanAStepIsNone) {
  const LearningRate rate = schedule({"schedule.warmup_epochs=0.05"});
  EXPECT_EQ(rate.at(1), 0.1);
}

TEST(LearningRate, CosineStartsAfterTheWarmUp) {
  const LearningRate rate =
      schedule({"schedule.kind=cosine", "schedule.warmup_epochs=1.0", "training.epochs=3"});
  expect_near(rate.at(10), 0.1);
  expect_near(rate.at(11), 0.1);
  expect_near(rate.at(21), 0.05);  // half of the two epochs left
}

TEST(LearningRate, StepCountsItsEpochsFromTheStartDespiteTheWarmUp) {
  const LearningRate rate = schedule({"schedule.kind=step", "schedule.at=[1.0]",
                                      "schedule.factor=0.5", "schedule.warmup_epochs=2.0"});
  expect_near(rate.at(10), 0.05);
  expect_near(rate.at(20), 0.1);  // warm-up wins while it lasts
  expect_near(rate.at(21), 0.05);
}

TEST(LearningRate, ScalingMultipliesThePeak) {
  const std::vector<std::string> batch = {"training.batch_size=128"};
  const auto peak = [&](const std::string& scaling, const std::string& reference) {
    std::vector<std::string> settings = batch;
    settings.push_back("optimizer.learning_rate_scaling=" + scaling);
    settings.push_back("optimizer.reference_batch_size=" + reference);
    return schedule(settings).peak();
  };
  expect_near(peak("none", "32"), 0.1);
  expect_near(peak("linear", "32"), 0.4);
  expect_near(peak("sqrt", "32"), 0.2);
  expect_near(peak("linear", "256"), 0.05);
}

TEST(LearningRate, ScalingActsOnTheWholeSchedule) {
  const LearningRate rate =
      schedule({"training.batch_size=128", "optimizer.learning_rate_scaling=linear",
                "schedule.kind=step", "schedule.at=[1.0]", "schedule.factor=0.5"});
  expect_near(rate.at(1), 0.4);
  expect_near(rate.at(11), 0.2);
}

TEST(LearningRate, AnEpochOfLessThanAStepDoesNotDivideByZero) {
  const LearningRate rate(small_experiment({"schedule.kind=cosine"}), 0);
  EXPECT_TRUE(std::isfinite(rate.at(1)));
}

}  // namespace
}  // namespace batchwise
