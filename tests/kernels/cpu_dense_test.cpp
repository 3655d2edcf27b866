// dense on the cpu backend, bit for bit against the reference.
#include <gtest/gtest.h>

#include <array>

#include "kernels/ops/activation.h"
#include "kernels/ops/reduction_order.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

/// Calls body(batch, inputs, units) for every batch size and feature size, of either axis, with a
/// partner that changes; the largest products, which take the reference long, are left out.
template <class Body>
void for_each_shape(Body body) {
  constexpr std::size_t kCount = std::size(kFeatures);
  for (std::size_t b = 0; b < std::size(kBatches); ++b) {
    for (std::size_t f = 0; f < kCount; ++f) {
      const std::int64_t inputs = kFeatures[f], units = kFeatures[(5 * f + 3 * b + 7) % kCount];
      if (kBatches[b] * inputs * units > 1'500'000) continue;
      body(kBatches[b], inputs, units);
    }
  }
  body(513, 784, 17);
  body(513, 31, 300);
  body(64, 300, 257);
  body(7, 784, 513);
}

[[nodiscard]] Buffer partials(std::int64_t batch, Dimensions shape, std::int64_t stride) {
  const int levels = ReductionOrder::over_samples().levels(batch);
  if (shape.rank() == 1) return {ElementType::f32, {levels, shape[0]}, {stride, 1}};
  return {ElementType::f32, {levels, shape[0], shape[1]}, {stride * shape[1], 1, stride}};
}

TEST(CpuDense, ForwardHasTheReferencesBits) {
  for_each_shape([](std::int64_t batch, std::int64_t inputs, std::int64_t units) {
    RandomBuffers random(1);
    const Case test{.operation = "dense_forward",
                    .buffers = {random.matrix(batch, inputs), random.weight(units, inputs),
                                random.vector(units), random.matrix(batch, units)},
                    .inputs = {0, 1, inputs % 2 == 0 ? 2 : kAbsent},
                    .outputs = {3},
                    .attributes = {},
                    .scalars = {},
                    .rows = batch};
    expect_same_bits(test);
  });
}

TEST(CpuDense, ActivationForwardHasTheReferencesBits) {
  using enum ActivationFunction;
  std::size_t shape = 0;
  for_each_shape([&](std::int64_t batch, std::int64_t inputs, std::int64_t units) {
    const ActivationFunction function = std::array{relu, leaky_relu, tanh, sigmoid}[shape++ % 4];
    RandomBuffers random(6);
    const Case test{.operation = "dense_activation_forward",
                    .buffers = {random.matrix(batch, inputs), random.weight(units, inputs),
                                random.vector(units), random.matrix(batch, units)},
                    .inputs = {0, 1, inputs % 2 == 0 ? 2 : kAbsent},
                    .outputs = {3},
                    .attributes = {{"function", static_cast<double>(function)}},
                    .scalars = {},
                    .rows = batch};
    expect_same_bits(test);
  });
}

TEST(CpuDense, BackwardInputHasTheReferencesBits) {
  for_each_shape([](std::int64_t batch, std::int64_t inputs, std::int64_t units) {
    RandomBuffers random(2);
    const Case test{.operation = "dense_backward_input",
                    .buffers = {random.matrix(batch, units), random.weight(units, inputs),
                                random.matrix(batch, inputs)},
                    .inputs = {0, 1},
                    .outputs = {2},
                    .attributes = {},
                    .scalars = {},
                    .rows = batch};
    expect_same_bits(test);
  });
}

TEST(CpuDense, BackwardWeightHasTheReferencesBitsInAnySplit) {
  for_each_shape([](std::int64_t batch, std::int64_t inputs, std::int64_t units) {
    RandomBuffers random(3);
    const std::int64_t stride = pitch(units == 1 ? 2 : units);
    const bool tree = batch > ReductionOrder::over_samples().chunk();
    Case test{.operation = "dense_backward_weight",
              .buffers = {random.matrix(batch, inputs), random.matrix(batch, units),
                          random.weight(units, inputs)},
              .inputs = {0, 1},
              .outputs = {2, tree ? 3 : kAbsent},
              .attributes = {},
              .scalars = {},
              .rows = batch,
              .by_row = {0, 1}};
    if (tree) test.buffers.push_back(partials(batch, {units, inputs}, stride));
    for (const auto& passes : splits(batch)) expect_same_bits(test, passes);
  });
}

TEST(CpuDense, BackwardBiasHasTheReferencesBitsInAnySplit) {
  for (const std::int64_t batch : {1, 2, 3, 8, 33, 255, 256, 257, 512, 513, 1031}) {
    for (const std::int64_t units : kFeatures) {
      RandomBuffers random(4);
      const bool tree = batch > ReductionOrder::over_samples().chunk();
      Case test{.operation = "dense_backward_bias",
                .buffers = {random.matrix(batch, units), random.vector(units)},
                .inputs = {0},
                .outputs = {1, tree ? 2 : kAbsent},
                .attributes = {},
                .scalars = {},
                .rows = batch,
                .by_row = {0}};
      if (tree) test.buffers.push_back(partials(batch, {units}, pitch(units)));
      for (const auto& passes : splits(batch)) expect_same_bits(test, passes);
    }
  }
}

TEST(CpuDense, ManyChunksOfSamplesFoldLikeTheReference) {
  constexpr std::int64_t kBatch = 256 * 5 + 3;
  RandomBuffers random(5);
  const Case test{.operation = "dense_backward_weight",
                  .buffers = {random.matrix(kBatch, 19), random.matrix(kBatch, 35),
                              random.weight(35, 19), partials(kBatch, {35, 19}, 48)},
                  .inputs = {0, 1},
                  .outputs = {2, 3},
                  .attributes = {},
                  .scalars = {},
                  .rows = kBatch,
                  .by_row = {0, 1}};
  for (const auto& passes : splits(kBatch)) expect_same_bits(test, passes);
  expect_same_bits(test, {256, 256, 512, 259});
}

}  // namespace
}  // namespace batchwise::kernel_testing
