// activation, dropout and gather on the cpu backend, bit for bit against the reference.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/ops/activation.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

constexpr int kFunctions = 5;

TEST(CpuActivation, HasTheReferencesBits) {
  for (int function = 0; function < kFunctions; ++function) {
    const Attributes attributes{{"function", static_cast<double>(function)}};
    for (const std::int64_t rows : {1, 2, 7, 33, 100}) {
      for (const std::int64_t features : kFeatures) {
        RandomBuffers random(1);
        const std::vector<Buffer> buffers{random.matrix(rows, features, 3.0f),
                                          random.matrix(rows, features, 3.0f),
                                          random.matrix(rows, features)};
        expect_same_bits({"activation_forward", buffers, {0}, {2}, attributes, {}, rows});
        expect_same_bits({"activation_backward", buffers, {0, 1}, {2}, attributes, {}, rows});
        expect_same_bits({"activation_backward", buffers, {0, 1}, {0}, attributes, {}, rows});
        if (!saves_input(static_cast<ActivationFunction>(function))) {
          expect_same_bits({"activation_forward", buffers, {0}, {0}, attributes, {}, rows});
        }
      }
    }
  }
}

TEST(CpuActivation, HasTheReferencesBitsAtSpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float values[] = {0.0f,   -0.0f,  1e-45f,    -1e-45f,    1e-30f,
                          -87.5f, 88.9f,  -104.0f,   9.0f,       -9.1f,
                          1e30f,  -1e30f, kInfinity, -kInfinity, __builtin_nanf("")};
  constexpr std::int64_t kCount = std::size(values);
  for (int function = 0; function < kFunctions; ++function) {
    std::size_t next = 0;
    const auto special = [&] { return values[next++ % kCount]; };
    RandomBuffers random(2);
    const std::vector<Buffer> buffers{
        Buffer(ElementType::f32, {7, 33}, {48, 1}).fill<float>(special), random.matrix(7, 33),
        random.matrix(7, 33)};
    const Attributes attributes{{"function", static_cast<double>(function)}};
    expect_same_bits({"activation_forward", buffers, {0}, {2}, attributes, {}, 7});
    expect_same_bits({"activation_backward", buffers, {1, 0}, {2}, attributes, {}, 7});
  }
}

TEST(CpuDropout, HasTheReferencesBits) {
  for (const double rate : {0.0, 0.1, 0.5, 0.999}) {
    for (const std::int64_t rows : {1, 3, 64}) {
      for (const std::int64_t features : kFeatures) {
        RandomBuffers random(3);
        UpdateScalars scalars;
        scalars.seed = 0x123456789ABCDEFull;
        scalars.step = 77;
        const Attributes attributes{{"rate", rate}, {"stream", 2864434397.0}};
        Case test{"dropout",
                  {random.matrix(rows, features), random.integers(rows, 60000),
                   random.matrix(rows, features)},
                  {0, 1},
                  {2},
                  attributes,
                  scalars,
                  rows,
                  {0, 2}};
        for (const auto& passes : splits(rows)) expect_same_bits(test, passes);
        test.inputs[1] = kAbsent;
        test.outputs[0] = 0;
        for (const auto& passes : splits(rows)) expect_same_bits(test, passes);
      }
    }
  }
}

void expect_gather(Buffer data, std::int64_t rows, std::int64_t features, std::int64_t channels) {
  RandomBuffers random(4);
  const Case test{"gather",
                  {std::move(data), random.integers(rows, 50), random.vector(channels, 100.0f),
                   random.positive(1, channels), random.matrix(rows, features)},
                  {0, rows % 2 == 0 ? kAbsent : 1, 2, 3},
                  {4},
                  {},
                  {},
                  rows,
                  {4}};
  for (const auto& passes : splits(rows)) expect_same_bits(test, passes);
}

TEST(CpuGather, HasTheReferencesBits) {
  for (const std::int64_t rows : {1, 2, 3, 16, 33}) {
    for (const std::int64_t features : kFeatures) {
      for (const std::int64_t channels : {std::int64_t{1}, features}) {
        RandomBuffers random(5);
        expect_gather(random.bytes(50, features), rows, features, channels);
        expect_gather(random.matrix(50, features), rows, features, channels);
      }
    }
    expect_gather(RandomBuffers(6).bytes(50, 300), rows, 300, 3);
  }
}

TEST(CpuGather, DividesBytesExactlyByAnyDivisor) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    RandomBuffers random(seed);
    const Case test{"gather",
                    {random.bytes(8, 784), random.vector(1, 50.0f), random.vector(1, 90.0f),
                     random.matrix(8, 784)},
                    {0, kAbsent, 1, 2},
                    {3},
                    {},
                    {},
                    8};
    expect_same_bits(test);
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
