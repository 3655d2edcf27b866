// The CUDA batchnorm, bit for bit against the reference, emulated and on a GPU where there is one.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/ops/batchnorm.h"
#include "tests/kernels/batchnorm_case.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

using Shape = BatchNormShape;

/// Below, at and above a warp, a chunk of samples and a block's channels, in one group and in ghost
/// groups with a smaller last one.
constexpr Shape kOnePixel[] = {
    {2, 1, 1, 0},   {3, 2, 1, 0},     {31, 5, 1, 0},    {32, 31, 1, 0},   {33, 8, 1, 0},
    {255, 9, 1, 0}, {256, 32, 1, 0},  {257, 7, 1, 0},   {513, 33, 1, 0},  {3, 64, 1, 2},
    {33, 65, 1, 2}, {33, 5, 1, 3},    {31, 8, 1, 32},   {257, 33, 1, 32}, {513, 3, 1, 32},
    {257, 2, 1, 2}, {513, 9, 1, 255}, {513, 9, 1, 256}, {600, 9, 1, 257}, {1, 3, 1, 0},
};
/// Below, at and above the pixels that a warp takes at a time and a chunk of features.
constexpr Shape kManyPixels[] = {
    {1, 3, 2, 0},   {3, 2, 2, 2},    {33, 5, 7, 0},   {257, 2, 3, 0},   {513, 1, 2, 0},
    {33, 3, 15, 3}, {5, 2, 16, 0},   {3, 3, 17, 2},   {2, 2, 31, 0},    {33, 2, 32, 32},
    {3, 2, 33, 0},  {31, 3, 49, 2},  {3, 1, 255, 0},  {2, 2, 256, 0},   {33, 2, 257, 32},
    {2, 1, 513, 0}, {257, 1, 9, 32}, {300, 1, 33, 0}, {300, 2, 5, 260},
};
/// More chunks than a block sums side by side; rounds of 32 of them fold too.
constexpr Shape kManyChunks[] = {
    {1025, 9, 1, 0}, {2100, 2, 1, 0}, {9000, 2, 1, 0}, {17000, 1, 1, 0}, {8193, 1, 2, 0},
};
/// More groups than are pooled at a time.
constexpr Shape kManyGroups[] = {{130, 34, 1, 1}, {201, 2, 1, 3}, {131, 1, 5, 2}};

/// Calls body(shape) for all of them.
template <class Body>
void for_each_shape(Body body) {
  for (const Shape& shape : kOnePixel) body(shape);
  for (const Shape& shape : kManyPixels) body(shape);
  for (const Shape& shape : kManyChunks) body(shape);
  for (const Shape& shape : kManyGroups) body(shape);
}

[[nodiscard]] Case statistics(const Shape& shape) {
  return batchnorm("statistics", shape, {kX}, {kMean, kInverse, kPooled});
}

/// Lays a matrix out anew with an odd row stride, so that its rows are not aligned.
void misalign(Buffer& buffer, std::int64_t rows, std::int64_t columns) {
  const std::int64_t stride = pitch(columns);
  std::int64_t next = 0;
  buffer = Buffer(ElementType::f32, {rows, columns}, {columns | 1, 1}).fill<float>([&] {
    const float value = buffer.data<float>()[next / columns * stride + next % columns];
    ++next;
    return value;
  });
}

TEST(CudaBatchNorm, StatisticsHaveTheReferencesBits) {
  for_each_shape([](const Shape& shape) { expect_same_bits_on_cuda(statistics(shape)); });
}

TEST(CudaBatchNorm, StatisticsOfLargeMeansAndSmallDeviationsHaveTheReferencesBits) {
  for (const Shape& shape : {Shape{513, 9, 1, 0}, Shape{100, 9, 1, 32}, Shape{65, 2, 49, 0}}) {
    Case test = statistics(shape);
    RandomBuffers random(2);
    const std::int64_t features = shape.channels * shape.pixels;
    test.buffers[kX] = random.matrix(shape.rows, features, 0.01f);
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      float* x = test.buffers[kX].data<float>() + row * pitch(features);
      for (std::int64_t column = 0; column < features; ++column) x[column] += 1000.0f;
    }
    expect_same_bits_on_cuda(test);
  }
}

/// A pass finds its groups' statistics at the start of theirs, so only what is pooled is compared.
TEST(CudaBatchNorm, PooledStatisticsDoNotDependOnTheSplitAtGroups) {
  for (const Shape& shape :
       {Shape{200, 34, 1, 32}, Shape{200, 3, 1, 2}, Shape{100, 2, 5, 32}, Shape{1100, 3, 1, 300}}) {
    Case test = statistics(shape);
    test.by_row = {kX};
    test.workspace = {kMean, kInverse};
    const std::int64_t rest = shape.rows - 3 * shape.group;
    expect_same_bits_on_cuda(test, {shape.group, 2 * shape.group, rest});
    expect_same_bits_on_cuda(test, {2 * shape.group, shape.group, rest});
  }
}

TEST(CudaBatchNorm, RunningUpdateHasTheReferencesBits) {
  for (const double finite : {1.0, 0.0}) {
    for (const std::int64_t channels : {1, 37, 129}) {
      RandomBuffers random(2);
      UpdateStatus status;
      status.finite = finite;
      Buffer status_bytes(ElementType::u8, {sizeof(status)}, {1});
      std::memcpy(status_bytes.data<std::byte>(), &status, sizeof(status));
      double value = 0.0;
      Buffer pooled = Buffer(ElementType::f64, {2, channels}, {channels, 1}).fill<double>([&] {
        return value += 0.1;
      });
      for (const std::int64_t rows : {1, 100}) {
        expect_same_bits_on_cuda(
            {"batchnorm_running_update",
             {pooled, status_bytes, random.vector(channels), random.vector(channels)},
             {0, 1},
             {2, 3},
             attributes({rows, channels, 1, 0}),
             {},
             rows});
      }
    }
  }
}

TEST(CudaBatchNorm, NormalizeHasTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    expect_same_bits_on_cuda(
        batchnorm("normalize", shape, {kX, kMean, kInverse, kGamma, kBeta}, {kResult}));
  });
}

TEST(CudaBatchNorm, BackwardSumsHaveTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    expect_same_bits_on_cuda(
        batchnorm("backward_sums", shape, {kDy, kX, kMean, kInverse}, {kSumDy, kSumDyXhat}));
  });
}

TEST(CudaBatchNorm, BackwardInputHasTheReferencesBits) {
  const std::vector<int> inputs{kDy, kX, kMean, kInverse, kSumDy, kSumDyXhat, kGamma};
  for_each_shape([&](const Shape& shape) {
    expect_same_bits_on_cuda(batchnorm("backward_input", shape, inputs, {kResult}));
    expect_same_bits_on_cuda(batchnorm("backward_input", shape, inputs, {kDy}));
  });
}

/// Of a batch, with the partial sums that it needs.
[[nodiscard]] Case backward_parameters(const Shape& shape) {
  Case test = batchnorm("backward_parameters", shape, {kDy, kX, kMean, kInverse},
                        {kGamma, kBeta, kAbsent, kAbsent});
  const int levels = ReductionOrder::over_samples().levels(shape.rows);
  for (int i = 0; levels > 0 && i < 2; ++i) {
    test.outputs[static_cast<std::size_t>(2 + i)] = kFirstPartials + i;
    test.workspace.push_back(kFirstPartials + i);
    test.buffers.emplace_back(ElementType::f32, Dimensions{levels, shape.channels},
                              Dimensions{pitch(shape.channels), 1});
  }
  return test;
}

TEST(CudaBatchNorm, BackwardParametersHaveTheReferencesBits) {
  for_each_shape([](const Shape& shape) { expect_same_bits_on_cuda(backward_parameters(shape)); });
}

/// With groups of one sample every row has statistics of its own, which a pass finds by its rows.
TEST(CudaBatchNorm, BackwardParametersDoNotDependOnTheSplit) {
  for (const Shape& shape :
       {Shape{40, 9, 1, 1}, Shape{515, 3, 1, 1}, Shape{515, 1, 3, 1}, Shape{1800, 2, 1, 1}}) {
    Case test = backward_parameters(shape);
    test.by_row = {kX, kDy, kMean, kInverse};
    for (const auto& passes : splits(shape.rows)) expect_same_bits_on_cuda(test, passes);
  }
}

/// Passes that begin and end at, before and behind a chunk's edge, of few chunks and of many.
TEST(CudaBatchNorm, BackwardParametersAreResumedAtAnyRow) {
  const auto expect = [](const Shape& shape, const std::vector<std::int64_t>& passes) {
    Case test = backward_parameters(shape);
    test.by_row = {kX, kDy};
    expect_same_bits_on_cuda(test, passes);
  };
  expect({1024, 9, 1, 0}, {256, 768});
  expect({1024, 9, 1, 0}, {255, 1, 1, 511, 256});
  expect({1025, 1, 1, 0}, {1024, 1});
  expect({1536, 2, 1, 0}, {257, 1278, 1});
  expect({1536, 2, 1, 0}, {300, 700, 536});
  expect({600, 2, 3, 0}, {257, 300, 43});
  expect({17500, 1, 1, 0}, {700, 16500, 300});
}

TEST(CudaBatchNorm, EvaluationHasTheReferencesBits) {
  for_each_shape([](const Shape& shape) {
    Case test =
        batchnorm("evaluate", shape, {kX, kRunningMean, kRunningVar, kGamma, kBeta}, {kResult});
    expect_same_bits_on_cuda(test);
    test.outputs = {kX};
    expect_same_bits_on_cuda(test);
    for (const int result : {kResult, kDy}) {
      expect_same_bits_on_cuda(
          batchnorm("evaluate_backward", shape, {kDy, kRunningVar, kGamma}, {result}));
    }
  });
}

/// Enough elements for several rows a thread, whose groups end inside a thread's rows.
TEST(CudaBatchNorm, MapsOfManyRowsHaveTheReferencesBits) {
  for (const Shape& shape : {Shape{33800, 5, 1, 3}, Shape{33800, 3, 3, 7}}) {
    expect_same_bits_on_cuda(
        batchnorm("normalize", shape, {kX, kMean, kInverse, kGamma, kBeta}, {kResult}));
    expect_same_bits_on_cuda(batchnorm(
        "backward_input", shape, {kDy, kX, kMean, kInverse, kSumDy, kSumDyXhat, kGamma}, {kDy}));
    expect_same_bits_on_cuda(
        batchnorm("evaluate", shape, {kX, kRunningMean, kRunningVar, kGamma, kBeta}, {kX}));
    expect_same_bits_on_cuda(
        batchnorm("evaluate_backward", shape, {kDy, kRunningVar, kGamma}, {kDy}));
  }
}

TEST(CudaBatchNorm, UnalignedRowsHaveTheReferencesBits) {
  const Shape shape{35, 34, 1, 32};
  for (const int misaligned : {static_cast<int>(kX), static_cast<int>(kDy), static_cast<int>(kMean),
                               static_cast<int>(kSumDy)}) {
    const auto expect = [&](Case test) {
      const bool by_group = misaligned == kMean || misaligned == kSumDy;
      misalign(test.buffers[static_cast<std::size_t>(misaligned)], by_group ? 2 : shape.rows,
               shape.channels);
      expect_same_bits_on_cuda(test);
    };
    expect(statistics(shape));
    expect(batchnorm("normalize", shape, {kX, kMean, kInverse, kGamma, kBeta}, {kResult}));
    expect(batchnorm("backward_input", shape,
                     {kDy, kX, kMean, kInverse, kSumDy, kSumDyXhat, kGamma}, {kResult}));
    expect(batchnorm("evaluate", shape, {kX, kRunningMean, kRunningVar, kGamma, kBeta}, {kX}));
    expect(batchnorm("evaluate_backward", shape, {kDy, kRunningVar, kGamma}, {kResult}));
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
