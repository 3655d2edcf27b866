// The gradient noise scale: estimates against a problem whose answer is known.
#include "engine/analysis/gradient_noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <optional>

#include "engine/data/shuffle.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training.h"

namespace batchwise {
namespace {

using testing_support::message_of;
using testing_support::random_samples;
using testing_support::small_experiment;
using testing_support::train_in;

// Estimates against a problem whose answer is known: a dense layer whose weights are zero gives
// every class 1/C, so that the gradient of a sample is (1/C - onehot) [x, 1] whatever else.

constexpr std::int64_t kAll = 6000, kFeatures = 8, kClasses = 3, kBatch = 32;

/// Noise whose mean depends a little on the class: a noise scale of about 50.
Samples overlapping_classes() {
  Samples samples = random_samples(kAll, {kFeatures}, kClasses, 5);
  for (std::int64_t i = 0; i < kAll; ++i) {
    float* x = reinterpret_cast<float*>(samples.features.data()) + i * kFeatures;
    x[samples.labels[static_cast<std::size_t>(i)]] += 0.7f;
  }
  return samples;
}

struct Truth {
  double variance = 0.0;  ///< tr(Sigma) over the data set, divided by N
  double signal = 0.0;    ///< |G|^2
  [[nodiscard]] double scale() const { return variance / signal; }
};

Truth truth_of(const Samples& samples) {
  std::vector<double> sum(kClasses * (kFeatures + 1), 0.0);
  double squares = 0.0;
  for (std::int64_t i = 0; i < kAll; ++i) {
    const float* x = reinterpret_cast<const float*>(samples.features.data()) + i * kFeatures;
    for (std::int64_t n = 0; n < kClasses; ++n) {
      const double dy =
          1.0 / kClasses - (n == samples.labels[static_cast<std::size_t>(i)] ? 1.0 : 0.0);
      for (std::int64_t k = 0; k <= kFeatures; ++k) {
        const double g = dy * (k < kFeatures ? static_cast<double>(x[k]) : 1.0);
        sum[static_cast<std::size_t>(n * (kFeatures + 1) + k)] += g;
        squares += g * g;
      }
    }
  }
  double signal = 0.0;
  for (const double total : sum) signal += total / kAll * (total / kAll);
  return {.variance = squares / kAll - signal, .signal = signal};
}

/// Updates at rate 0, so that all measurements are of the same weights.
class KnownProblem : public testing::Test {
 protected:
  KnownProblem()
      : session_(testing_support::experiment_of(
                     "[model]\nlayers = [{ type = \"dense\", units = 3 }]\n[optimizer]\nname = "
                     "\"sgd\"\n[training]\nbatch_size = 32\n",
                     Precision::fp32),
                 {.train = samples_, .test = std::nullopt, .notes = {}}) {
    std::vector<std::byte> weights = download_bytes(session_.weights());
    std::fill(weights.begin(), weights.end(), std::byte{0});
    upload_bytes(session_.weights(), weights);
  }

  /// As a run with this seed would measure them: every tenth update of eight epochs, 144 in all.
  /// The updates between change nothing and are left out.
  std::vector<GradientNorms> measured(std::uint64_t seed) {
    std::vector<GradientNorms> all;
    std::vector<std::int32_t> order(kAll);
    for (std::int64_t epoch = 1; epoch <= 8; ++epoch) {
      epoch_order(seed, epoch, order);
      for (std::int64_t batch = 9; (batch + 1) * kBatch <= kAll; batch += 10) {
        const auto ids = std::span(order).subspan(static_cast<std::size_t>(batch * kBatch), kBatch);
        (void)session_.update(ids, batch + 1, 0.0, &all.emplace_back());
      }
    }
    return all;
  }

  const Samples samples_ = overlapping_classes();
  const Truth truth_ = truth_of(samples_);
  Session session_;
};

// Batches of an epoch are drawn without replacement. A batch's variance, divided by B - 1, then
// has the mean of the data set's divided by N - 1, and |mean g_i|^2 falls short by variance / N:
// signal() is unbiased for |G|^2 - variance / N, the squared gradient of the distribution that the
// N samples were drawn from, not that of the samples themselves. For these the scale found is too
// large by a share of about scale / N: here 1 %, a small part of the interval. (With a third of the
// samples, 3 %, the interval holds the data set's own scale for 93.4 % of 2000 seeds, as against
// 95.4 % here, and the distribution's for 94.9 %.) Measurements that take up a good part of each
// epoch also vary less than independent ones, so that the interval is then too wide.
TEST_F(KnownProblem, IsWithinTheIntervalForNearlyAllSeeds) {
  constexpr int kSeeds = 100;
  int within = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Estimate scale = noise_scale(measured(seed));
    EXPECT_EQ(scale.count, 144);
    if (scale.contains(truth_.scale())) ++within;
  }
  EXPECT_GE(within, 93);
}

TEST_F(KnownProblem, NoiseAndSignalAreUnbiased) {
  std::vector<double> noises, signals;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    double noise = 0.0, signal = 0.0;
    const std::vector<GradientNorms> all = measured(1000 + seed);
    for (const GradientNorms& norms : all) {
      noise += norms.noise() / static_cast<double>(all.size());
      signal += norms.signal() / static_cast<double>(all.size());
    }
    noises.push_back(noise);
    signals.push_back(signal);
  }
  const auto expect_mean = [](const std::vector<double>& values, double expected) {
    const auto count = static_cast<double>(values.size());
    double mean = 0.0, squares = 0.0;
    for (const double value : values) mean += value / count;
    for (const double value : values) squares += (value - mean) * (value - mean);
    const double standard_error = std::sqrt(squares / (count - 1.0) / count);
    EXPECT_NEAR(mean, expected, 4.0 * standard_error);
    EXPECT_LT(standard_error, 0.02 * expected);
  };
  const double sample_variance = truth_.variance * kAll / (kAll - 1.0);
  expect_mean(noises, sample_variance);
  expect_mean(signals, truth_.signal - sample_variance / kAll);
}

// From measurements to estimates.

GradientNorms norms_of(std::int64_t step, double noise, double signal) {
  constexpr double kCount = 4.0;
  const double squared_mean = signal + noise / kCount;
  return {.step = step,
          .samples = 4,
          .mean_squared_norm = squared_mean + noise * (kCount - 1.0) / kCount,
          .squared_norm_of_mean = squared_mean};
}

TEST(NoiseScale, IsTheRatioOfMeansAndNotTheMeanOfRatios) {
  const std::vector<GradientNorms> measured{norms_of(1, 6.0, 1.0),
                                            norms_of(2, 4.0, 3.0),
                                            norms_of(3, 5.0, 2.0),
                                            {.step = 4, .samples = 1, .mean_squared_norm = 9.0}};
  EXPECT_DOUBLE_EQ(measured[0].noise(), 6.0);
  EXPECT_DOUBLE_EQ(measured[0].signal(), 1.0);
  const Estimate scale = noise_scale(measured);
  EXPECT_DOUBLE_EQ(scale.value, 2.5);
  EXPECT_EQ(scale.count, 3);
  EXPECT_TRUE(scale.contains(2.5));
}

TEST(NoiseScale, OverTrainingIsThatOfEachStretch) {
  std::vector<GradientNorms> measured;
  for (std::int64_t i = 0; i < 95; ++i) {
    measured.push_back(norms_of(10 * (i + 1), i < 30 ? 3.0 : 8.0, 2.0 + 0.01 * double(i % 2)));
  }
  const std::vector<NoiseWindow> windows = noise_scale_over_training(measured, 3);
  ASSERT_EQ(windows.size(), 3U);  // 31, 32 and 32
  EXPECT_EQ(windows[0].first_step, 10);
  EXPECT_EQ(windows[0].last_step, 310);
  EXPECT_EQ(windows[1].first_step, 320);
  EXPECT_EQ(windows[2].last_step, 950);
  EXPECT_EQ(windows[2].scale.count, 32);
  EXPECT_NEAR(windows[2].scale.value, 4.0, 0.02);
  EXPECT_EQ(noise_scale_over_training(measured).size(), 3U);
  EXPECT_EQ(noise_scale_over_training(std::span(measured).first(59)).size(), 1U);
  EXPECT_EQ(noise_scale_over_training(std::span(measured).first(3)).size(), 1U);
  EXPECT_TRUE(noise_scale_over_training({}).empty());
}

TEST(NoiseScale, OverTrainingHasNoMoreWindowsThanAskedForAndNoneOfFewerThanThirty) {
  std::vector<GradientNorms> measured;
  while (measured.size() < 1300) {
    measured.push_back(norms_of(static_cast<std::int64_t>(measured.size()), 3.0, 2.0));
  }
  for (const int most : {1, 4, 20, 40}) {
    for (std::size_t count = 1; count <= measured.size(); ++count) {
      const auto windows = noise_scale_over_training(std::span(measured).first(count), most);
      ASSERT_LE(windows.size(), static_cast<std::size_t>(most)) << count;
      if (count >= 30 * static_cast<std::size_t>(most)) {
        ASSERT_EQ(windows.size(), static_cast<std::size_t>(most)) << count;
      }
      std::int64_t next = 0;
      for (const NoiseWindow& window : windows) {
        ASSERT_EQ(window.first_step, next) << count;
        ASSERT_TRUE(window.scale.count >= 30 || windows.size() == 1) << count;
        next = window.last_step + 1;
      }
      ASSERT_EQ(next, static_cast<std::int64_t>(count));
    }
  }
}

TEST(ReadGradientNorms, GivesWhatARunMeasured) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run", small_experiment({"measure.noise_scale_every_steps=3"}));
  const std::vector<GradientNorms> read = read_gradient_norms(folder / "run/metrics.jsonl");
  ASSERT_EQ(read.size(), 6U);
  EXPECT_EQ(read.front().step, 3);
  EXPECT_EQ(read.back().step, 18);
  EXPECT_EQ(read.back().samples, 32);
  EXPECT_GT(read.back().mean_squared_norm, read.back().squared_norm_of_mean);
}

TEST(ReadGradientNorms, PassesOtherAndTornLinesOver) {
  const TemporaryFolder folder;
  std::ofstream(folder / "metrics.jsonl")
      << R"({"kind":"step","step":10,"epoch":1,"samples":32,"loss":1.5,"learning_rate":0.1})"
      << "\n"
      << R"({"kind":"noise","step":10,"epoch":1,"samples":32,"mean_squared_norm":2.5,)"
      << R"("squared_norm_of_mean":0.5})"
      << "\n[]\n"
      << R"({"kind":"noise","step":20,"epoch":1,"samples":32,"mean_squared_norm":null,)"
      << R"("squared_norm_of_mean":null})"
      << "\n"
      << R"({"kind":"noise","step":30,"epo)";
  const std::vector<GradientNorms> read = read_gradient_norms(folder / "metrics.jsonl");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].step, 10);
  EXPECT_EQ(read[0].samples, 32);
  EXPECT_EQ(read[0].mean_squared_norm, 2.5);
  EXPECT_EQ(read[0].squared_norm_of_mean, 0.5);
  EXPECT_TRUE(std::isnan(read[1].mean_squared_norm));
  EXPECT_THAT(message_of([&] { (void)read_gradient_norms(folder / "none"); }),
              testing::HasSubstr("cannot read"));
}

}  // namespace
}  // namespace batchwise
