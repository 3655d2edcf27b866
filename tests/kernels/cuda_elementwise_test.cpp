// The CUDA gather and dropout, bit for bit against the reference, emulated and on a GPU where there
// is one.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/ops/philox.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

/// Below, at and above a quad, a warp's quads and a block's.
constexpr std::int64_t kWidths[] = {1, 2, 3, 4, 5, 10, 127, 128, 129, 1023, 1025};

/// Rows of `columns` random floats, `stride` apart and none of them aligned.
[[nodiscard]] Buffer unaligned(RandomBuffers& random, std::int64_t rows, std::int64_t columns) {
  Buffer source = random.matrix(rows, columns);
  const std::int64_t stride = source.view().strides[0];
  std::int64_t next = 0;
  return Buffer(ElementType::f32, {rows, columns}, {columns | 1, 1}).fill<float>([&] {
    const std::int64_t row = next / columns, column = next % columns;
    ++next;
    return source.data<float>()[row * stride + column];
  });
}

[[nodiscard]] UpdateScalars seeded() {
  UpdateScalars scalars;
  scalars.seed = 0xFEDCBA9876543210ull;
  scalars.step = (std::uint64_t{5} << 32) + 77;  // of which the low half counts
  return scalars;
}

[[nodiscard]] Case dropout(Buffer x, Buffer y, std::int64_t rows, double rate) {
  return {"dropout",
          {std::move(x), RandomBuffers(1).integers(rows, 60000), std::move(y)},
          {0, 1},
          {2},
          {{"rate", rate}, {"stream", 2864434397.0}},
          seeded(),
          rows,
          {0, 2}};
}

TEST(CudaDropout, HasTheReferencesBitsInAnyMicroBatches) {
  for (const std::int64_t rows : {1, 3, 33}) {
    for (const std::int64_t features : kWidths) {
      RandomBuffers random(2);
      const Case test =
          dropout(random.matrix(rows, features), random.matrix(rows, features), rows, 0.3);
      for (const auto& passes : splits(rows)) expect_same_bits_on_cuda(test, passes);
    }
  }
}

TEST(CudaDropout, HasTheReferencesBitsAtAnyRate) {
  for (const double rate : {0.0, 0x1p-32, 0.5, 0.999, 1.0 - 0x1p-33}) {
    RandomBuffers random(3);
    expect_same_bits_on_cuda(dropout(random.matrix(5, 300), random.matrix(5, 300), 5, rate));
  }
}

/// A word equal to the threshold is kept, whichever of the four it is.
TEST(CudaDropout, DecidesAtTheThresholdItself) {
  RandomBuffers random(8);
  Case test = dropout(random.matrix(1, 4), random.matrix(1, 4), 1, 0.0);
  const std::uint64_t step = test.scalars.step;
  const PhiloxBlock words =
      philox({0, 0, static_cast<std::uint32_t>(step), 2864434397u}, test.scalars.seed);
  test.inputs[1] = kAbsent;
  for (const std::uint32_t word : words) {
    test.attributes = {{"rate", word * 0x1p-32}, {"stream", 2864434397.0}};
    expect_same_bits_on_cuda(test);
  }
}

TEST(CudaDropout, NumbersSamplesByPlaceWhereIndicesAreAbsent) {
  RandomBuffers random(4);
  Case test = dropout(random.matrix(17, 50), random.matrix(17, 50), 17, 0.5);
  test.inputs[1] = kAbsent;
  for (const auto& passes : splits(17)) expect_same_bits_on_cuda(test, passes);
}

TEST(CudaDropout, WorksInPlace) {
  RandomBuffers random(5);
  Case test = dropout(random.matrix(9, 70), random.matrix(1, 1), 9, 0.5);
  test.by_row = {0};
  test.outputs = {0};
  for (const auto& passes : splits(9)) expect_same_bits_on_cuda(test, passes);
}

TEST(CudaDropout, WorksOnUnalignedRowsAndSpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {-0.0f, kInfinity, -kInfinity, __builtin_nanf(""), 1e-45f, 3e38f, 1.5f};
  int next = 0;
  const auto value = [&] { return special[next++ % 7]; };
  for (const std::int64_t features : {1, 2, 3, 4, 6, 61}) {
    RandomBuffers random(6);
    expect_same_bits_on_cuda(
        dropout(Buffer(ElementType::f32, {9, features}, {features | 1, 1}).fill<float>(value),
                unaligned(random, 9, features), 9, 0.5));
    expect_same_bits_on_cuda(
        dropout(random.matrix(9, features), unaligned(random, 9, features), 9, 0.5));
  }
}

TEST(CudaDropout, OfNoRowsDoesNothing) {
  RandomBuffers random(7);
  Case test = dropout(random.matrix(3, 8), random.matrix(3, 8), 3, 0.5);
  expect_same_bits_on_cuda(test, {1, 0, 2});
}

constexpr std::int64_t kSamples = 50;

[[nodiscard]] Case gather(Buffer data, Buffer x, std::int64_t channels) {
  RandomBuffers random(8);
  const std::int64_t rows = x.view().shape[0];
  return {"gather",
          {std::move(data), random.integers(rows, kSamples), random.vector(channels, 100.0f),
           random.positive(1, channels), std::move(x)},
          {0, 1, 2, 3},
          {4},
          {},
          {},
          rows,
          {4}};
}

TEST(CudaGather, HasTheReferencesBitsInAnyMicroBatches) {
  for (const std::int64_t rows : {1, 3, 33}) {
    for (const std::int64_t features : kWidths) {
      for (const std::int64_t channels : {std::int64_t{1}, features}) {
        RandomBuffers random(9);
        const Buffer x = random.matrix(rows, features);
        const Case bytes = gather(random.bytes(kSamples, features), x, channels);
        const Case floats = gather(random.matrix(kSamples, features), x, channels);
        for (const auto& passes : splits(rows)) {
          expect_same_bits_on_cuda(bytes, passes);
          expect_same_bits_on_cuda(floats, passes);
        }
      }
    }
  }
}

TEST(CudaGather, FindsTheChannelOfEveryElement) {
  for (const std::int64_t pixels : {2, 3, 4, 5, 64, 100}) {
    for (const std::int64_t channels : {2, 3, 7}) {
      RandomBuffers random(10);
      expect_same_bits_on_cuda(gather(random.bytes(kSamples, pixels * channels),
                                      random.matrix(5, pixels * channels), channels));
    }
  }
}

TEST(CudaGather, TakesSamplesInOrderWhereIndicesAreAbsent) {
  RandomBuffers random(11);
  Case test = gather(random.bytes(kSamples, 30), random.matrix(33, 30), 1);
  test.inputs[1] = kAbsent;
  for (const auto& passes : splits(33)) expect_same_bits_on_cuda(test, passes);
}

TEST(CudaGather, WorksOnUnalignedRows) {
  for (const std::int64_t features : {2, 3, 4, 6, 61}) {
    RandomBuffers random(12);
    const Buffer aligned = random.matrix(9, features), loose = unaligned(random, 9, features);
    for (const std::int64_t channels : {std::int64_t{1}, features}) {
      expect_same_bits_on_cuda(gather(unaligned(random, kSamples, features), aligned, channels));
      expect_same_bits_on_cuda(gather(random.matrix(kSamples, features), loose, channels));
      expect_same_bits_on_cuda(gather(random.bytes(kSamples, features), loose, channels));
    }
  }
}

TEST(CudaGather, DividesAsIeeeDoes) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    RandomBuffers random(seed);
    expect_same_bits_on_cuda({"gather",
                              {random.bytes(1, 256), random.vector(1, 50.0f),
                               random.vector(1, 90.0f), random.matrix(1, 256)},
                              {0, kAbsent, 1, 2},
                              {3},
                              {},
                              {},
                              1});
  }
}

TEST(CudaGather, KeepsSpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {-0.0f, kInfinity, -kInfinity, __builtin_nanf(""), 1e-45f, 3e38f, -1.5f};
  int next = 0;
  const auto value = [&] { return special[next++ % 7]; };
  Buffer data = Buffer(ElementType::f32, {kSamples, 30}, {32, 1}).fill<float>(value);
  Case test = gather(std::move(data), RandomBuffers(13).matrix(9, 30), 30);
  for (const float divisor : {1e-40f, 0.0f, kInfinity}) {
    test.buffers[3] = Buffer(ElementType::f32, {30}, {1}).fill<float>([&] { return divisor; });
    expect_same_bits_on_cuda(test);
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
