// What happens once an update, on the cpu backend, bit for bit against the reference.
#include <gtest/gtest.h>

#include "kernels/ops/optimizer.h"
#include "tests/kernels/kernel_comparison.h"
#include "tests/kernels/update_buffers.h"

namespace batchwise::kernel_testing {
namespace {

/// Three segments, the second frozen, with tails and gaps between them.
[[nodiscard]] Buffer segments(std::int64_t size) {
  const std::int64_t first = size / 3 / 16 * 16, second = 2 * size / 3 / 16 * 16;
  return bytes_of(std::vector<OptimizerSegment>{{0, first, 1.0, 1.0, 0},
                                                {first, second - first, 1.0, 1.0, 1},
                                                {second, size - second, 0.3, 0.0, 0}});
}

void expect_optimizer(const std::string& operation, const Attributes& attributes) {
  for (const std::int64_t size : {1, 16, 47, 1000, 5000, 101771}) {
    for (const double finite : {1.0, 0.0}) {
      RandomBuffers random(1);
      std::mt19937 generator(2);
      std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
      UpdateScalars scalars;
      scalars.learning_rate = 0.0123;
      scalars.bias_correction1 = 1.0 - 0.9 * 0.9;
      scalars.bias_correction2 = 1.0 - 0.999 * 0.999;
      const Case test{operation,
                      {random.vector(size), segments(size), status(1.0 / 37.0, finite),
                       random.vector(size), random.positive(1, size), random.positive(1, size)},
                      {0, 1, 2},
                      {3, 4, 5},
                      attributes,
                      scalars,
                      1};
      expect_same_bits(test);
    }
  }
}

TEST(CpuOptimizer, SgdHasTheReferencesBits) {
  for (const double momentum : {0.0, 0.9}) {
    for (const double nesterov : {0.0, 1.0}) {
      for (const double decay : {0.0, 5e-4}) {
        expect_optimizer("optimizer_sgd",
                         {{"momentum", momentum}, {"nesterov", nesterov}, {"weight_decay", decay}});
      }
    }
  }
}

TEST(CpuOptimizer, AdamHasTheReferencesBits) {
  for (const double decoupled : {0.0, 1.0}) {
    for (const double decay : {0.0, 1e-2}) {
      expect_optimizer("optimizer_adam", {{"beta1", 0.9},
                                          {"beta2", 0.999},
                                          {"epsilon", 1e-8},
                                          {"decoupled", decoupled},
                                          {"weight_decay", decay}});
    }
  }
}

TEST(CpuOptimizer, RmspropHasTheReferencesBits) {
  for (const double momentum : {0.0, 0.9}) {
    for (const double decay : {0.0, 1e-2}) {
      expect_optimizer(
          "optimizer_rmsprop",
          {{"alpha", 0.99}, {"epsilon", 1e-8}, {"momentum", momentum}, {"weight_decay", decay}});
    }
  }
}

TEST(CpuUpdate, GradientNormHasTheReferencesBits) {
  for (const std::int64_t size : {1, 100, 1023, 1024, 1025, 5000, 101770, 300 * 1024 + 77}) {
    for (const double clip : {0.0, 0.5}) {
      RandomBuffers random(3);
      UpdateScalars scalars;
      scalars.gradient_scale = 1.0 / 3.0;
      const Case test{"gradient_norm",
                      {random.vector(size), status(9.0, 1.0), chunk_sums(size)},
                      {0},
                      {1, 2},
                      {{"clip", clip}},
                      scalars,
                      1};
      expect_same_bits(test);
    }
  }
}

TEST(CpuUpdate, GradientNormSeesWhatIsNotFinite) {
  for (const std::int64_t place : {0, 1023, 1024, 1999}) {
    RandomBuffers random(4);
    Case test{"gradient_norm",
              {random.vector(2000), status(9.0, 1.0), chunk_sums(2000)},
              {0},
              {1, 2},
              {{"clip", 1.0}},
              {},
              1};
    test.buffers[0].data<float>()[place] = __builtin_inff();
    expect_same_bits(test);
  }
}

TEST(CpuUpdate, ResultsHaveTheReferencesBits) {
  for (const std::int64_t batch : {1, 2, 255, 256, 257, 1025}) {
    RandomBuffers random(5);
    const Case test{"update_results",
                    {random.vector(batch), random.integers(batch, 3), random.integers(500, 3),
                     random.integers(batch, 500), status(1.0, 1.0)},
                    {0, 1, 2, 3},
                    {4},
                    {},
                    {},
                    batch};
    expect_same_bits(test);
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
