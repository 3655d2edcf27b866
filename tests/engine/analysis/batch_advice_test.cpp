// The model behind `batchwise advise`, on throughputs and noise scales that are made up.
#include "engine/analysis/batch_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Estimate exactly(double value) { return {.value = value, .low = value, .high = value, .count = 5}; }
Estimate between(double low, double value, double high) {
  return {.value = value, .low = low, .high = high, .count = 5};
}

/// Five repetitions with this geometric mean, that differ by this share in an order that the batch
/// decides, so that no two batches have it.
std::vector<double> repetitions(double seconds, double share, std::int64_t batch) {
  std::mt19937_64 engine(static_cast<std::uint64_t>(batch));
  std::vector<double> powers{-1.0, -0.5, 0.0, 0.5, 1.0};
  std::shuffle(powers.begin(), powers.end(), engine);
  for (double& each : powers) each = seconds * std::pow(1.0 + share, each);
  return powers;
}

/// Seconds of an update: so many for itself, and so many per sample; known to a share.
std::vector<MeasuredBatch> batches(double update, double sample, double share = 0.0) {
  std::vector<MeasuredBatch> rows;
  for (std::int64_t size = 8; size <= 8192; size *= 2) {
    rows.push_back(
        {.batch_size = size,
         .micro_batch_size = std::min<std::int64_t>(size, 1024),
         .planned_bytes = 1000 * size,
         .repetitions = repetitions(update + sample * static_cast<double>(size), share, size),
         .refused = {}});
  }
  return rows;
}

MeasuredNoise noise_of(const Estimate& scale) {
  return {.early = scale, .late = scale, .typical = scale, .updates = 100, .epochs = 1.0};
}

constexpr BaseSetting kSgd{
    .optimizer = OptimizerName::sgd, .batch_size = 32, .learning_rate = 0.1, .epochs = 90.0};
constexpr BaseSetting kAdam{
    .optimizer = OptimizerName::adam, .batch_size = 32, .learning_rate = 0.001, .epochs = 90.0};

/// B samples whose gradients have this variance and squared mean, as exact statistics.
GradientNorms norms(std::int64_t samples, double noise, double signal, std::int64_t step = 1) {
  const double of_mean = signal + noise / static_cast<double>(samples);
  return {.step = step,
          .samples = samples,
          .mean_squared_norm = of_mean + noise * (1.0 - 1.0 / static_cast<double>(samples)),
          .squared_norm_of_mean = of_mean};
}

/// With t = a + b B, r = (1 + N / B) t is least at B = sqrt(a N / b).
TEST(AdviseBatch, FindsTheBatchThatTheModelMakesFastest) {
  for (const double ratio : {16.0, 64.0, 1024.0}) {
    const double scale = 1024.0;
    const double best = std::sqrt(ratio * scale);
    const BatchAdvice advice =
        advise_batch(batches(ratio * 1e-5, 1e-5), noise_of(exactly(scale)), kSgd);
    EXPECT_LE(static_cast<double>(advice.lowest_batch), best) << ratio;
    EXPECT_GE(static_cast<double>(advice.highest_batch), best) << ratio;
    EXPECT_NEAR(std::log2(static_cast<double>(advice.batch_size) / best), 0.0, 0.51) << ratio;
  }
}

TEST(AdviseBatch, HoldsWhatIsWithinTenPerCent) {
  const double scale = 1024.0;
  const std::vector<MeasuredBatch> rows = batches(64e-5, 1e-5);
  const BatchAdvice advice = advise_batch(rows, noise_of(exactly(scale)), kSgd);
  const auto predicted = [&](const MeasuredBatch& row) {
    return (1.0 + scale / static_cast<double>(row.batch_size)) * row.seconds().value;
  };
  double best = kInfinity;
  for (const MeasuredBatch& row : rows) best = std::min(best, predicted(row));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool inside =
        rows[i].batch_size >= advice.lowest_batch && rows[i].batch_size <= advice.highest_batch;
    EXPECT_EQ(inside, predicted(rows[i]) <= 1.1 * best) << rows[i].batch_size;
    EXPECT_NEAR(advice.relative_seconds[i].value, predicted(rows[i]) / best, 1e-9);
    EXPECT_NEAR(advice.relative_seconds[i].low, predicted(rows[i]) / best, 1e-9);
  }
}

TEST(AdviseBatch, IsWiderWhereSecondsOrNoiseAreUncertain) {
  const auto width = [](double uncertainty, const Estimate& scale) {
    const BatchAdvice advice =
        advise_batch(batches(64e-5, 1e-5, uncertainty), noise_of(scale), kSgd);
    return advice.highest_batch / advice.lowest_batch;
  };
  const auto sure = width(0.0, exactly(1024.0));
  EXPECT_GT(width(0.3, exactly(1024.0)), sure);
  EXPECT_GT(width(0.0, between(100.0, 1024.0, 10000.0)), sure);
}

TEST(MeasuredBatch, LeavesOutRepetitionsThatWereNotMade) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const MeasuredBatch row{.batch_size = 8, .repetitions = {1.0, none, 4.0}};
  EXPECT_NEAR(row.seconds().value, 2.0, 1e-12);
  EXPECT_EQ(row.seconds().count, 2);
  std::vector<MeasuredBatch> rows = batches(64e-5, 1e-5);
  const BatchAdvice whole = advise_batch(rows, noise_of(exactly(1024.0)), kSgd);
  for (MeasuredBatch& each : rows) {
    if (each.batch_size > 1000) each.repetitions = {each.repetitions[0], each.repetitions[1], none};
  }
  const BatchAdvice fewer = advise_batch(rows, noise_of(exactly(1024.0)), kSgd);
  EXPECT_EQ(fewer.batch_size, whole.batch_size);
  EXPECT_EQ(fewer.highest_batch, whole.highest_batch);
}

/// What slows the machine for a while slows all batches, and says nothing of one against another.
TEST(AdviseBatch, IsNoWiderWhereAllBatchesAreSlowerTogether) {
  std::vector<MeasuredBatch> rows = batches(64e-5, 1e-5);
  const BatchAdvice calm = advise_batch(rows, noise_of(exactly(1024.0)), kSgd);
  for (MeasuredBatch& row : rows) {
    row.repetitions[0] *= 5.0;
    row.repetitions[3] *= 2.0;
  }
  const BatchAdvice slowed = advise_batch(rows, noise_of(exactly(1024.0)), kSgd);
  EXPECT_EQ(slowed.lowest_batch, calm.lowest_batch);
  EXPECT_EQ(slowed.highest_batch, calm.highest_batch);
  EXPECT_GT(rows[0].seconds().high / rows[0].seconds().low, 2.0);
}

TEST(AdviseBatch, IsUndecidedWhereTheIntervalIsWide) {
  const BatchAdvice decided =
      advise_batch(batches(64e-5, 1e-5), noise_of(between(900.0, 1024.0, 1100.0)), kSgd);
  EXPECT_FALSE(decided.undecided);
  EXPECT_THAT(decided.batch_reason, Not(HasSubstr("undecided")));
  const BatchAdvice wide =
      advise_batch(batches(64e-5, 1e-5), noise_of(between(0.0, kInfinity, kInfinity)), kSgd);
  EXPECT_TRUE(wide.undecided);
  EXPECT_THAT(wide.batch_reason, HasSubstr("a longer --within"));
  MeasuredNoise unknown = noise_of(between(0.0, kInfinity, kInfinity));
  unknown.measurable = false;
  const BatchAdvice blind = advise_batch(batches(64e-5, 1e-5), unknown, kSgd);
  EXPECT_THAT(blind.batch_reason, HasSubstr("cannot be measured at this setting"));
  EXPECT_THAT(blind.batch_reason, Not(HasSubstr("--within")));
  MeasuredNoise rising = noise_of(between(10.0, 1024.0, 100000.0));
  rising.early = between(10.0, 12.0, 14.0);
  rising.late = between(90000.0, 95000.0, 100000.0);
  const BatchAdvice rose = advise_batch(batches(64e-5, 1e-5), rising, kSgd);
  EXPECT_TRUE(rose.undecided);
  EXPECT_THAT(rose.batch_reason, HasSubstr("rose from 12 to 9.5e+04"));
}

/// At the same speed the smaller batch: less memory, and more updates.
TEST(AdviseBatch, PrefersTheSmallerOfEqualBatches) {
  std::vector<MeasuredBatch> rows = batches(0.0, 1e-5);
  EXPECT_EQ(advise_batch(rows, noise_of(exactly(1e-3)), kSgd).batch_size, 8);
  // Where an update takes as long whatever its batch, the largest, or one hardly slower.
  for (MeasuredBatch& row : rows) row.repetitions = {1e-3, 1e-3, 1e-3};
  EXPECT_EQ(advise_batch(rows, noise_of(exactly(1e7)), kSgd).batch_size, 8192);
  EXPECT_EQ(advise_batch(rows, noise_of(exactly(10.0)), kSgd).batch_size, 512);
}

TEST(AdviseBatch, LeavesOutWhatWasNotMeasured) {
  std::vector<MeasuredBatch> rows = batches(64e-5, 1e-5);
  for (MeasuredBatch& row : rows) {
    if (row.batch_size >= 64) row = {.batch_size = row.batch_size, .refused = "no memory"};
  }
  const BatchAdvice advice = advise_batch(rows, noise_of(exactly(1024.0)), kSgd);
  EXPECT_EQ(advice.batch_size, 32);
  EXPECT_EQ(advice.highest_batch, 32);
  EXPECT_TRUE(std::isnan(advice.relative_seconds.back().value));
  EXPECT_EQ(advise_batch({}, noise_of(exactly(1.0)), kSgd).batch_size, 0);
}

TEST(AdviseBatch, NamesThePassesOfABatchThatDoesNotFitInOne) {
  std::vector<MeasuredBatch> rows = batches(1.0, 1e-9);
  const BatchAdvice advice = advise_batch(rows, noise_of(exactly(1e6)), kSgd);
  EXPECT_EQ(advice.batch_size, 8192);
  EXPECT_EQ(advice.micro_batch_size, 1024);
  EXPECT_THAT(advice.micro_batch_reason, HasSubstr("of the batch of 8192"));
}

TEST(AdviseBatch, LetsTheLearningRateOfSgdFollowTheNoiseScale) {
  EXPECT_DOUBLE_EQ(learning_rate_ratio(kInfinity, 32, 64, 1.0), 2.0);  // linear far below it
  EXPECT_DOUBLE_EQ(learning_rate_ratio(0.0, 32, 64, 1.0), 1.0);        // level far above it
  EXPECT_DOUBLE_EQ(learning_rate_ratio(32.0, 32, 96, 1.0), 1.5);
  EXPECT_DOUBLE_EQ(learning_rate_ratio(kInfinity, 32, 128, 0.5), 2.0);
  const BatchAdvice advice =
      advise_batch(batches(512e-5, 1e-5), noise_of(between(256.0, 512.0, 1024.0)), kSgd);
  const auto batch = static_cast<double>(advice.batch_size);
  ASSERT_GT(batch, 32.0);
  EXPECT_NEAR(advice.learning_rate.value, 0.1 * 17.0 / (1.0 + 512.0 / batch), 1e-12);
  EXPECT_NEAR(advice.learning_rate.low, 0.1 * 9.0 / (1.0 + 256.0 / batch), 1e-12);
  EXPECT_NEAR(advice.learning_rate.high, 0.1 * 33.0 / (1.0 + 1024.0 / batch), 1e-12);
}

TEST(AdviseBatch, LetsThatOfAdamFollowTheSquareRootUpToTheWholeRule) {
  const MeasuredNoise noise = noise_of(exactly(512.0));
  const BatchAdvice advice = advise_batch(batches(512e-5, 1e-5), noise, kAdam);
  const double ratio = 17.0 / (1.0 + 512.0 / static_cast<double>(advice.batch_size));
  EXPECT_NEAR(advice.learning_rate.value, 0.001 * std::sqrt(ratio), 1e-12);
  EXPECT_NEAR(advice.learning_rate.low, 0.001 * std::sqrt(ratio), 1e-12);
  EXPECT_NEAR(advice.learning_rate.high, 0.001 * ratio, 1e-12);
}

TEST(AdviseBatch, AsksForWarmupWhereTheRateRises) {
  const MeasuredNoise noise = noise_of(exactly(512.0));
  const BatchAdvice rises = advise_batch(batches(512e-5, 1e-5), noise, kSgd);
  ASSERT_GT(rises.learning_rate.value, 0.2);
  EXPECT_EQ(rises.warmup_epochs.low, 1.0);
  EXPECT_EQ(rises.warmup_epochs.high, 5.0);
  BaseSetting at_best = kSgd;
  at_best.batch_size = rises.batch_size;
  const BatchAdvice stays = advise_batch(batches(512e-5, 1e-5), noise, at_best);
  EXPECT_DOUBLE_EQ(stays.learning_rate.value, 0.1);
  EXPECT_EQ(stays.warmup_epochs.high, 0.0);
}

TEST(SummarizeNoise, AveragesByProgressUpToAnyTime) {
  std::vector<GradientNorms> measured;
  std::mt19937_64 engine(5);
  std::normal_distribution<double> normal(1.0, 0.05);
  for (int i = 0; i < 400; ++i) {
    const double scale = 100.0 * (1 + i / 100);
    measured.push_back(norms(64, scale * normal(engine), normal(engine), i));
  }
  const MeasuredNoise noise = summarize_noise(measured, 64);
  EXPECT_NEAR(noise.early.value, 100.0, 5.0);
  EXPECT_NEAR(noise.late.value, 400.0, 20.0);
  EXPECT_NEAR(noise.typical.low, noise.early.low / kModelFactor,
              1e-9);  // of a training that ends there
  EXPECT_GT(noise.typical.high, noise.typical.value);
  EXPECT_LT(noise.typical.high, noise.late.high * kModelFactor);
  // Weighted by the progress of an update, 64 / (64 + scale).
  double sum = 0.0;
  double weights = 0.0;
  for (const double scale : {100.0, 200.0, 300.0, 400.0}) {
    sum += scale * 64.0 / (64.0 + scale);
    weights += 64.0 / (64.0 + scale);
  }
  EXPECT_NEAR(noise.typical.value, sum / weights, 10.0);
}

/// A quarter in which nothing is left to learn makes no progress and leaves the mean bounded.
TEST(SummarizeNoise, StaysBoundedWhereTheEndIsNot) {
  std::vector<GradientNorms> measured;
  for (int i = 0; i < 400; ++i) {
    measured.push_back(norms(64, 100.0, i < 300 ? 1.0 : (i % 2 == 0 ? 1.0 : -1.0), i));
  }
  const MeasuredNoise noise = summarize_noise(measured, 64);
  EXPECT_EQ(noise.late.high, kInfinity);
  EXPECT_NEAR(noise.early.value, 100.0, 1e-6);
  // (3 * 64 * 100 / 164 + 64) / (3 * 64 / 164)
  EXPECT_NEAR(noise.typical.high, kModelFactor * (100.0 + 164.0 / 3.0), 1e-6);
}

/// Fieller's lower end may be below 0, and near -B the weight 1 / (1 + end / B) has a pole.
TEST(SummarizeNoise, IsNotBelowZero) {
  std::vector<GradientNorms> measured;
  for (int i = 0; i < 60; ++i) measured.push_back(norms(64, i == 7 ? 4000.0 : -30.0, 1.0, i));
  const std::vector<NoiseWindow> stretches = noise_scale_over_training(measured, 4);
  ASSERT_EQ(stretches.size(), 2u);
  ASSERT_LT(stretches[0].scale.low, -64.0);
  const MeasuredNoise noise = summarize_noise(measured, 64);
  EXPECT_EQ(noise.typical.low, 0.0);
  EXPECT_GE(noise.typical.value, 0.0);
  EXPECT_GE(noise.typical.high, noise.typical.value);
}

TEST(SummarizeNoise, OfNothingBoundsNothing) {
  for (const MeasuredNoise& noise :
       {summarize_noise({}, 32), summarize_noise(std::vector{norms(1, 1.0, 1.0)}, 32)}) {
    EXPECT_EQ(noise.typical.low, 0.0);
    EXPECT_EQ(noise.typical.high, kInfinity);
  }
}

TEST(AdviceLine, SaysWhatTheBatchCostsAgainstSmallAndLargeOnes) {
  const std::vector<GradientNorms> measured{norms(32, 310.0, 1.0), norms(32, 310.0, 1.0)};
  const std::string line = advice_line(measured, 31);
  EXPECT_THAT(line, HasSubstr("noise scale 310 (310 to 310)"));
  EXPECT_THAT(line, HasSubstr("batch 31 takes about 1.10 times the samples"));
  EXPECT_THAT(line, HasSubstr("a batch of 310 would take 2 times"));
  const std::vector<GradientNorms> unsure{norms(32, 300.0, 1.0), norms(32, 300.0, -2.0)};
  EXPECT_THAT(advice_line(unsure, 32), HasSubstr("too uncertain"));
  EXPECT_THAT(advice_line({}, 32), IsEmpty());
}

}  // namespace
}  // namespace batchwise
