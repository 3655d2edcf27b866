// batchnorm on the cpu backend, bit for bit against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "kernels/ops/batchnorm.h"
#include "tests/kernels/batchnorm_case.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

using Shape = BatchNormShape;

/// Calls body(shape) for whole-batch and ghost groups, with one pixel and with more.
template <class Body>
void for_each_shape(Body body) {
  for (const std::int64_t rows : kBatches) {
    for (const std::int64_t channels : {1, 2, 15, 16, 17, 31, 64, 100, 257}) {
      for (const std::int64_t group : {0, 32, 7}) body(Shape{rows, channels, 1, group});
    }
    for (const std::int64_t pixels : {2, 9, 300}) {
      if (rows <= 100) body(Shape{rows, 5, pixels, 0});
      if (rows <= 100) body(Shape{rows, 3, pixels, 32});
    }
  }
  body({1100, 33, 1, 0});
  body({1100, 300, 1, 600});
}

TEST(CpuBatchNorm, StatisticsHaveTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    expect_same_bits(batchnorm("statistics", shape, {kX}, {kMean, kInverse, kPooled}));
  });
}

TEST(CpuBatchNorm, RunningUpdateHasTheReferencesBits) {
  for (const double finite : {1.0, 0.0}) {
    RandomBuffers random(2);
    UpdateStatus status;
    status.finite = finite;
    Buffer status_bytes(ElementType::u8, {sizeof(status)}, {1});
    std::memcpy(status_bytes.data<std::byte>(), &status, sizeof(status));
    Buffer pooled(ElementType::f64, {2, 37}, {37, 1});
    for (int i = 0; i < 74; ++i) pooled.data<double>()[i] = 0.1 * i;
    expect_same_bits(
        {"batchnorm_running_update",
         {std::move(pooled), std::move(status_bytes), random.vector(37), random.vector(37)},
         {0, 1},
         {2, 3},
         attributes({100, 37, 1, 0}),
         {},
         100});
  }
}

TEST(CpuBatchNorm, NormalizeHasTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    expect_same_bits(
        batchnorm("normalize", shape, {kX, kMean, kInverse, kGamma, kBeta}, {kResult}));
  });
}

TEST(CpuBatchNorm, BackwardHasTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    expect_same_bits(
        batchnorm("backward_sums", shape, {kDy, kX, kMean, kInverse}, {kSumDy, kSumDyXhat}));
    const std::vector<int> inputs{kDy, kX, kMean, kInverse, kSumDy, kSumDyXhat, kGamma};
    expect_same_bits(batchnorm("backward_input", shape, inputs, {kResult}));
    expect_same_bits(batchnorm("backward_input", shape, inputs, {kDy}));
  });
}

TEST(CpuBatchNorm, BackwardParametersHaveTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    Case test = batchnorm("backward_parameters", shape, {kDy, kX, kMean, kInverse},
                          {kGamma, kBeta, kAbsent, kAbsent});
    const int levels = ReductionOrder::over_samples().levels(shape.rows);
    if (levels > 0) {
      for (const int output : {2, 3}) {
        test.outputs[static_cast<std::size_t>(output)] = static_cast<int>(test.buffers.size());
        test.buffers.emplace_back(ElementType::f32, Dimensions{levels, shape.channels},
                                  Dimensions{pitch(shape.channels), 1});
      }
    }
    expect_same_bits(test);
  });
}

TEST(CpuBatchNorm, BackwardParametersDoNotDependOnTheSplit) {
  for (const std::int64_t channels : {1, 10, 40}) {
    const Shape shape{640, channels, 1, 32};
    Case test = batchnorm("backward_parameters", shape, {kDy, kX, kMean, kInverse},
                          {kGamma, kBeta, 12, 13});
    for (int partials = 0; partials < 2; ++partials) {
      test.buffers.emplace_back(ElementType::f32, Dimensions{2, channels},
                                Dimensions{pitch(channels), 1});
    }
    // Statistics of one group for all, so that a pass needs no offset into them.
    for (const int operand : {kMean, kInverse}) {
      float* data = test.buffers[static_cast<std::size_t>(operand)].data<float>();
      for (std::int64_t group = 1; group < 20; ++group) {
        std::copy_n(data, channels, data + group * pitch(channels));
      }
    }
    test.by_row = {kX, kDy};
    expect_same_bits(test, {32, 96, 512});
    expect_same_bits(test, {256, 384});
    expect_same_bits(test, {320, 32, 288});
  }
}

TEST(CpuBatchNorm, EvaluationHasTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    Case test =
        batchnorm("evaluate", shape, {kX, kRunningMean, kRunningVar, kGamma, kBeta}, {kResult});
    expect_same_bits(test);
    test.outputs = {kX};
    expect_same_bits(test);
    expect_same_bits(batchnorm("evaluate_backward", shape, {kDy, kRunningVar, kGamma}, {kResult}));
    expect_same_bits(batchnorm("evaluate_backward", shape, {kDy, kRunningVar, kGamma}, {kDy}));
  });
}

}  // namespace
}  // namespace batchwise::kernel_testing
