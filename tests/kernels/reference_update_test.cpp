// What happens once an update: results, gradient norm and clipping, and when optimizers and running
// statistics must not write.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/cpu/kernels.h"
#include "kernels/ops/optimizer.h"
#include "kernels/reference/kernels.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_harness.h"

namespace batchwise {
namespace {

using namespace testing_support;
using Floats = std::vector<float>;

const KernelTable kKernels = reference::kernels_f32();

/// Structures travel as bytes.
template <class T>
TensorView bytes_of(T& value) {
  return {&value, ElementType::u8, {static_cast<std::int64_t>(sizeof(T))}, {1}};
}

UpdateStatus results_of(Floats losses) {
  Buffer<float> loss(losses);
  const auto batch = static_cast<std::int64_t>(losses.size());
  Buffer<std::int32_t> predicted(std::vector<std::int32_t>(losses.size(), 1));
  Buffer<std::int32_t> labels(std::vector<std::int32_t>{0, 1});
  std::vector<std::int32_t> samples(losses.size(), 1);
  samples[0] = 0;  // the first sample's label is 0: predicted wrongly
  Buffer<std::int32_t> indices(samples);
  UpdateStatus status;
  status.finite = 0.5;  // neither value it may take
  run_kernel(kKernels, "update_results",
             {loss.tensor(), predicted.tensor(), labels.tensor(), indices.tensor()},
             {bytes_of(status)}, {}, {.batch_samples = batch});
  return status;
}

TEST(UpdateResults, SumsLossesAndCountsCorrectPredictions) {
  const UpdateStatus status = results_of(Floats(1000, 0.5f));
  EXPECT_EQ(status.loss_sum, 500.0);
  EXPECT_EQ(status.correct, 999.0);
  EXPECT_EQ(status.finite, 1.0);
}

TEST(UpdateResults, NoticesALossThatIsNotFinite) {
  EXPECT_EQ(results_of({1.0f, std::numeric_limits<float>::quiet_NaN()}).finite, 0.0);
  EXPECT_EQ(results_of({1.0f, std::numeric_limits<float>::infinity()}).finite, 0.0);
}

UpdateStatus norm_of(const Floats& values, double clip) {
  Buffer<float> gradient(values);
  UpdateStatus status;
  run_kernel(kKernels, "gradient_norm", {gradient.tensor()}, {bytes_of(status), {}},
             {{"clip", clip}}, {.gradient_scale = 0.25});
  return status;
}

TEST(GradientNorm, IsTheNormOfTheScaledGradient) {
  for (const std::int64_t count : {1, 1023, 1024, 1025, 300 * 1024 + 7}) {
    const Floats values = random_values(count, 1);
    long double squares = 0.0L;
    for (const float value : values) squares += static_cast<long double>(value) * value;
    const auto norm = static_cast<double>(0.25L * std::sqrt(squares));
    const UpdateStatus status = norm_of(values, 0.0);
    EXPECT_NEAR(status.gradient_norm, norm, 1e-13 * norm) << count;
    EXPECT_EQ(status.gradient_factor, 0.25);
    EXPECT_EQ(status.finite, 1.0);
  }
}

TEST(GradientNorm, ClipsOnlyBeyondTheLimit) {
  const Floats values = {12.0f, 16.0f};  // norm 20, scaled 5
  EXPECT_EQ(norm_of(values, 10.0).gradient_factor, 0.25);
  EXPECT_DOUBLE_EQ(norm_of(values, 1.0).gradient_factor, 0.25 / (5.0 + 1e-6));
}

TEST(GradientNorm, NoticesAGradientThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Floats values = random_values(3000, 1);
    values[2777] = bad;
    EXPECT_EQ(norm_of(values, 0.0).finite, 0.0);
    EXPECT_EQ(norm_of(values, 1.0).finite, 0.0);
  }
}

/// One optimizer's arena of 48 elements in three segments, the middle one frozen.
struct Arena {
  Buffer<float> gradient{random_values(48, 1)};
  Buffer<float> weights{random_values(48, 2)};
  Buffer<float> slot0{Floats(48, 0.0f)};
  Buffer<float> slot1{Floats(48, 0.0f)};
  std::array<OptimizerSegment, 3> segments = {
      {{0, 16, 1.0, 1.0, 0}, {16, 16, 1.0, 1.0, 1}, {32, 16, 0.5, 0.0, 0}}};
  UpdateStatus status;

  void run(std::string_view optimizer, const Attributes& attributes,
           KernelTable kernels = kKernels) {
    run_kernel(kernels, optimizer, {gradient.tensor(), bytes_of(segments), bytes_of(status)},
               {weights.tensor(), slot0.tensor(), slot1.tensor()}, attributes,
               {.learning_rate = 0.1, .bias_correction1 = 0.1, .bias_correction2 = 0.001});
  }
};

struct Optimizer {
  const char* name;
  Attributes attributes;
};

std::vector<Optimizer> optimizers() {
  return {{"optimizer_sgd", {{"momentum", 0.9}, {"nesterov", 0.0}, {"weight_decay", 0.01}}},
          {"optimizer_adam",
           {{"beta1", 0.9},
            {"beta2", 0.999},
            {"epsilon", 1e-8},
            {"decoupled", 0.0},
            {"weight_decay", 0.01}}},
          {"optimizer_rmsprop",
           {{"alpha", 0.99}, {"epsilon", 1e-8}, {"momentum", 0.9}, {"weight_decay", 0.01}}}};
}

TEST(Optimizers, WriteNothingWhenTheUpdateIsVoid) {
  for (const Optimizer& optimizer : optimizers()) {
    Arena arena;
    arena.status.finite = 0.0;
    arena.run(optimizer.name, optimizer.attributes);
    EXPECT_TRUE(same_bits<float>(arena.weights.values(), Arena{}.weights.values()));
    EXPECT_TRUE(same_bits<float>(arena.slot0.values(), Arena{}.slot0.values()));
    EXPECT_TRUE(same_bits<float>(arena.slot1.values(), Arena{}.slot1.values()));
  }
}

TEST(Optimizers, MoveEveryWeightButFrozenOnes) {
  for (const Optimizer& optimizer : optimizers()) {
    Arena arena;
    arena.run(optimizer.name, optimizer.attributes);
    const Floats weights = arena.weights.values(), initial = Arena{}.weights.values();
    const Floats state = arena.slot0.values();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const bool frozen = i >= 16 && i < 32;
      EXPECT_EQ(weights[i] == initial[i], frozen) << optimizer.name << " element " << i;
      EXPECT_EQ(state[i] == 0.0f, frozen) << optimizer.name << " element " << i;
    }
  }
}

TEST(Optimizers, ForgetStateTooSmallToMatterOnEveryBackend) {
  for (const KernelTable kernels : {reference::kernels_f32(), cpu::kernels()}) {
    for (const Optimizer& optimizer : optimizers()) {
      Arena arena;
      arena.gradient = Buffer<float>(Floats(48, 0.0f));
      // Momenta below 2^-100 and means of squares below 2^-126 become zero.
      const bool squares_first = std::string_view(optimizer.name) == "optimizer_rmsprop";
      const float tiny = squares_first ? 0x1p-127f : 0x1p-101f;
      arena.slot0 = Buffer<float>(Floats(48, tiny));
      arena.slot1 = Buffer<float>(Floats(48, 0x1p-140f));  // subnormal
      arena.run(optimizer.name, optimizer.attributes, kernels);
      const Floats slot0 = arena.slot0.values(), slot1 = arena.slot1.values();
      EXPECT_EQ(slot0[40], 0.0f) << optimizer.name;  // of the segment without decay
      if (std::string_view(optimizer.name) != "optimizer_sgd") {
        EXPECT_EQ(slot1[40], 0.0f) << optimizer.name;
      }
      EXPECT_EQ(slot0[20], tiny) << "a frozen segment is not touched";
    }
  }
}

TEST(Sgd, WithoutMomentumNeedsNoStateAndHonoursTheSegmentsFactors) {
  Arena arena;
  const Floats initial = arena.weights.values(), gradient = arena.gradient.values();
  arena.status.gradient_factor = 0.5;
  run_kernel(kKernels, "optimizer_sgd",
             {arena.gradient.tensor(), bytes_of(arena.segments), bytes_of(arena.status)},
             {arena.weights.tensor(), {}, {}},
             {{"momentum", 0.0}, {"nesterov", 0.0}, {"weight_decay", 0.01}},
             {.learning_rate = 0.1});
  const Floats weights = arena.weights.values();
  EXPECT_FLOAT_EQ(weights[3], initial[3] - 0.1f * (0.5f * gradient[3] + 0.01f * initial[3]));
  EXPECT_FLOAT_EQ(weights[40], initial[40] - 0.05f * 0.5f * gradient[40]);
}

TEST(Adam, MovesByAboutTheLearningRateInItsFirstStep) {
  Arena arena;
  const Floats initial = arena.weights.values();
  arena.run("optimizer_adam", {{"beta1", 0.9},
                               {"beta2", 0.999},
                               {"epsilon", 1e-8},
                               {"decoupled", 1.0},
                               {"weight_decay", 0.0}});
  EXPECT_NEAR(std::abs(arena.weights.values()[0] - initial[0]), 0.1, 1e-5);
  EXPECT_NEAR(std::abs(arena.weights.values()[47] - initial[47]), 0.05, 1e-5);
}

struct RunningStatistics {
  Buffer<float> mean{Floats{1.0f, 2.0f}};
  Buffer<float> variance{Floats{3.0f, 4.0f}};

  void update(UpdateStatus status, std::int64_t samples, double pixels) {
    Buffer<double> pooled(2, 2, {10.0, 20.0, 30.0, 60.0});
    run_kernel(kKernels, "batchnorm_running_update", {pooled.matrix_tensor(), bytes_of(status)},
               {mean.tensor(), variance.tensor()}, {{"momentum", 0.25}, {"pixels", pixels}},
               {.batch_samples = samples});
  }
};

TEST(BatchNormRunningUpdate, BlendsMeanAndUnbiasedVariance) {
  RunningStatistics running;
  running.update({}, 4, 4.0);  // 16 values: M2 / 15
  EXPECT_EQ(running.mean.values(), (Floats{3.25f, 6.5f}));
  EXPECT_EQ(running.variance.values(), (Floats{2.75f, 4.0f}));
}

TEST(BatchNormRunningUpdate, IsVoidWithTheUpdateAndFiniteForASingleValue) {
  RunningStatistics running;
  running.update({.finite = 0.0}, 4, 4.0);
  EXPECT_EQ(running.mean.values(), (Floats{1.0f, 2.0f}));
  running.update({}, 1, 1.0);
  EXPECT_EQ(running.variance.values(), (Floats{9.75f, 18.0f}));
}

}  // namespace
}  // namespace batchwise
