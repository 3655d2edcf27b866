#include "engine/report/metrics.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace batchwise {
namespace {

using Json = nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The same bits, so that a lost last digit or sign shows.
void expect_same(const Json& found, double expected) {
  ASSERT_TRUE(found.is_number()) << found;
  EXPECT_EQ(std::bit_cast<std::uint64_t>(found.get<double>()),
            std::bit_cast<std::uint64_t>(expected))
      << found << " against " << expected;
}

TEST(Metrics, AStepReadsBackExactly) {
  for (const double loss :
       {0.1, 1.0 / 3.0, 2.3897211597068235, 0.0, -0.0, 1.0, 1e300, 5e-324, 9007199254740993.0,
        123456789012345680.0, std::numeric_limits<double>::max()}) {
    const Json line = Json::parse(step_metrics_line(
        {.step = 7, .epoch = 2, .samples = 31, .loss = loss, .learning_rate = 1e-5}));
    EXPECT_EQ(line.size(), 6u);
    EXPECT_EQ(line["kind"], "step");
    EXPECT_EQ(line["step"], 7);
    EXPECT_EQ(line["epoch"], 2);
    EXPECT_EQ(line["samples"], 31);
    expect_same(line["loss"], loss);
    expect_same(line["learning_rate"], 1e-5);
  }
}

TEST(Metrics, WhatIsNotFiniteIsNull) {
  for (const double loss : {kNan, -kNan, std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity()}) {
    EXPECT_TRUE(Json::parse(step_metrics_line({.loss = loss}))["loss"].is_null()) << loss;
  }
}

TEST(Metrics, AnEpochReadsBackExactly) {
  Progress progress;
  progress.epoch = 3;
  progress.step = 846;
  progress.samples_in_epoch = 9000;
  progress.epoch_training_seconds = 0.7;
  const SplitResult validation{.loss = 0.2 / 3.0, .accuracy = 0.982, .samples = 1000};
  const Json line =
      Json::parse(epoch_metrics_line(progress, 1.0 / 7.0, 0.9944444, validation,
                                     {.memory_bytes = 3221225472, .utilization = 0.37}));
  EXPECT_EQ(line.size(), 11u);
  EXPECT_EQ(line["kind"], "epoch");
  EXPECT_EQ(line["epoch"], 3);
  EXPECT_EQ(line["step"], 846);
  expect_same(line["train_loss"], 1.0 / 7.0);
  expect_same(line["train_accuracy"], 0.9944444);
  expect_same(line["validation_loss"], 0.2 / 3.0);
  expect_same(line["validation_accuracy"], 0.982);
  expect_same(line["seconds"], 0.7);
  expect_same(line["samples_per_second"], 9000 / 0.7);
  EXPECT_EQ(line["device_memory_bytes"], 3221225472);
  expect_same(line["device_utilization"], 0.37);
}

TEST(Metrics, AnEpochWithoutValidationTimeOrGpuHasNulls) {
  const Json line = Json::parse(epoch_metrics_line(Progress(), kNan, 0.5, std::nullopt, {}));
  for (const char* key : {"train_loss", "validation_loss", "validation_accuracy",
                          "samples_per_second", "device_memory_bytes", "device_utilization"}) {
    ASSERT_TRUE(line.contains(key)) << key;
    EXPECT_TRUE(line[key].is_null()) << key;
  }
  expect_same(line["train_accuracy"], 0.5);
}

TEST(Metrics, AValidationReadsBackExactly) {
  Progress progress;
  progress.step = 100;
  progress.epoch = 2;
  const Json line =
      Json::parse(validation_metrics_line(progress, {.loss = kNan, .accuracy = 1.0 / 3.0}));
  EXPECT_EQ(line.size(), 5u);
  EXPECT_EQ(line["kind"], "validation");
  EXPECT_EQ(line["step"], 100);
  EXPECT_EQ(line["epoch"], 2);
  EXPECT_TRUE(line["validation_loss"].is_null());
  expect_same(line["validation_accuracy"], 1.0 / 3.0);
}

TEST(Metrics, NormsOfGradientsReadBackExactly) {
  const Json line = Json::parse(noise_metrics_line({.epoch = 2,
                                                    .norms = {.step = 30,
                                                              .samples = 64,
                                                              .mean_squared_norm = 1.0 / 3.0,
                                                              .squared_norm_of_mean = kNan}}));
  EXPECT_EQ(line.size(), 6u);
  EXPECT_EQ(line["kind"], "noise");
  EXPECT_EQ(line["step"], 30);
  EXPECT_EQ(line["epoch"], 2);
  EXPECT_EQ(line["samples"], 64);
  expect_same(line["mean_squared_norm"], 1.0 / 3.0);
  EXPECT_TRUE(line["squared_norm_of_mean"].is_null());
}

TEST(Metrics, AChangeOfTheBatchReadsBackExactly) {
  const Json line = Json::parse(batch_size_metrics_line({.epoch = 4,
                                                         .step = 30,
                                                         .batch_size = 128,
                                                         .micro_batch_size = 64,
                                                         .learning_rate = 0.1 / 3.0,
                                                         .planned_bytes = 3221225472}));
  EXPECT_EQ(line.size(), 7u);
  EXPECT_EQ(line["kind"], "batch_size");
  EXPECT_EQ(line["epoch"], 4);
  EXPECT_EQ(line["step"], 30);
  EXPECT_EQ(line["batch_size"], 128);
  EXPECT_EQ(line["micro_batch_size"], 64);
  expect_same(line["learning_rate"], 0.1 / 3.0);
  EXPECT_EQ(line["planned_bytes"], 3221225472);
}

}  // namespace
}  // namespace batchwise
