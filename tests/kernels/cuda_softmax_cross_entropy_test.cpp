// The CUDA softmax and softmax_cross_entropy, bit for bit against the reference, emulated and on a
// GPU where there is one.
#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kSamples = 70;

/// Logits, labels, indices, loss, predicted, gradient.
[[nodiscard]] std::vector<Buffer> buffers_of(Buffer logits) {
  RandomBuffers random(1);
  const Dimensions shape = logits.view().shape;
  const auto classes = static_cast<std::int32_t>(shape[1]);
  Buffer labels = random.integers(kSamples, classes), indices = random.integers(shape[0], kSamples);
  Buffer loss = random.vector(shape[0]), predicted = random.integers(shape[0], 9);
  Buffer gradient(ElementType::f32, shape, logits.view().strides);
  return {std::move(logits), std::move(labels),    std::move(indices),
          std::move(loss),   std::move(predicted), std::move(gradient)};
}

[[nodiscard]] Case softmax(Buffer logits) {
  const std::int64_t rows = logits.view().shape[0];
  return {"softmax", buffers_of(std::move(logits)), {0}, {5}, {}, {}, rows, {0, 5}};
}

[[nodiscard]] Case cross_entropy(Buffer logits) {
  Case test = softmax(std::move(logits));
  test.operation = "softmax_cross_entropy";
  test.inputs = {0, 1, 2};
  test.outputs = {3, 4, 5};
  return test;
}

void expect_both(const Buffer& logits) {
  expect_same_bits_on_cuda(softmax(logits));
  expect_same_bits_on_cuda(cross_entropy(logits));
}

template <class Value>
[[nodiscard]] Buffer matrix_of(std::int64_t rows, std::int64_t classes, Value value) {
  return Buffer(ElementType::f32, {rows, classes}, {pitch(classes), 1}).fill<float>(value);
}

/// The numbers of classes at which a row goes to more lanes, to more quads a lane, to a block, and
/// to several tiles, with the chunks of 256 on the way.
constexpr std::int64_t kClasses[] = {1,   2,   3,   4,   5,   8,   9,   10,  16,
                                     17,  32,  33,  64,  65,  127, 128, 129, 255,
                                     256, 257, 385, 511, 512, 513, 769, 1000};
constexpr std::int64_t kManyClasses[] = {3001, 8191, 8192, 8193, 8449, 20011};

class CudaSoftmax : public testing::TestWithParam<std::int64_t> {};

TEST_P(CudaSoftmax, HasTheReferencesBits) {
  for (const std::int64_t rows : {1, 2, 7, 33}) {
    for (const float scale : {1.0f, 20.0f, 1e4f}) {
      expect_both(RandomBuffers(2).matrix(rows, GetParam(), scale));
    }
  }
}

TEST_P(CudaSoftmax, HasTheReferencesBitsInAnyMicroBatches) {
  Case test = cross_entropy(RandomBuffers(3).matrix(17, GetParam(), 5.0f));
  for (const auto& passes : splits(17)) expect_same_bits_on_cuda(test, passes);
}

/// Equal logits far apart, and none of them the first.
TEST_P(CudaSoftmax, TakesTheLowestOfEqualLogits) {
  for (const std::int64_t last : {GetParam() - 1, GetParam() / 2}) {
    std::int64_t next = 0;
    expect_both(matrix_of(3, GetParam(), [&] {
      const std::int64_t column = next % GetParam(), row = next++ / GetParam();
      return column > row && (column % 67 == 5 || column == last) ? 2.0f : -1.0f;
    }));
  }
  expect_both(matrix_of(3, GetParam(), [] { return -0.0f; }));
}

/// A NaN in the first place, in the last, in between, in all; infinities likewise.
TEST_P(CudaSoftmax, PassesSpecialLogitsOnAsTheReferenceDoes) {
  const std::int64_t classes = GetParam();
  const std::int64_t places[] = {0, classes / 2, classes - 1};
  for (const float special : {kNaN, kInfinity, -kInfinity}) {
    Buffer logits = RandomBuffers(4).matrix(4, classes);
    for (std::int64_t row = 0; row < 3; ++row) {
      logits.data<float>()[row * pitch(classes) + places[row]] = special;
    }
    expect_both(logits);
    expect_both(matrix_of(2, classes, [&] { return special; }));
  }
}

TEST_P(CudaSoftmax, WorksInPlaceAndWithoutGradientOrIndices) {
  const Buffer logits = RandomBuffers(5).matrix(9, GetParam(), 3.0f);
  Case probabilities = softmax(logits);
  probabilities.outputs = {0};
  expect_same_bits_on_cuda(probabilities);
  Case test = cross_entropy(logits);
  test.inputs[2] = kAbsent;
  for (const int gradient : {0, kAbsent}) {
    test.outputs[2] = gradient;
    for (const auto& passes : splits(9)) expect_same_bits_on_cuda(test, passes);
  }
}

TEST_P(CudaSoftmax, WorksOnUnalignedRows) {
  RandomBuffers random(6);
  Buffer aligned = random.matrix(5, GetParam(), 3.0f);
  const Dimensions shape = aligned.view().shape;
  Buffer source = random.vector(shape.elements(), 3.0f);
  std::int64_t next = 0;
  const Buffer loose = Buffer(ElementType::f32, shape, {GetParam() | 1, 1}).fill<float>([&] {
    return source.data<float>()[next++];
  });
  expect_both(loose);
  Case mixed = softmax(aligned);
  mixed.buffers[5] = loose;
  expect_same_bits_on_cuda(mixed);
}

INSTANTIATE_TEST_SUITE_P(Classes, CudaSoftmax, testing::ValuesIn(kClasses));

TEST(CudaSoftmaxOfManyClasses, HasTheReferencesBits) {
  for (const std::int64_t classes : kManyClasses) {
    expect_both(RandomBuffers(7).matrix(2, classes, 3.0f));
    Case test = cross_entropy(RandomBuffers(8).matrix(2, classes, 1e4f));
    test.outputs[2] = 0;
    expect_same_bits_on_cuda(test, {1, 1});
  }
}

TEST(CudaSoftmaxOfManyClasses, FindsALargestLogitAnywhere) {
  constexpr std::int64_t kWidth = 8449;
  for (const std::int64_t place : {std::int64_t{1}, std::int64_t{1023}, kWidth - 1}) {
    for (const float largest : {40.0f, kInfinity}) {
      Buffer logits = RandomBuffers(9).matrix(1, kWidth);
      logits.data<float>()[place] = largest;
      logits.data<float>()[place / 2 + 1] = kNaN;
      expect_both(logits);
    }
  }
}

TEST(CudaSoftmaxOfNoRows, DoesNothing) {
  for (const std::int64_t classes : {10, 1000}) {
    const Buffer logits = RandomBuffers(11).matrix(3, classes);
    expect_same_bits_on_cuda(softmax(logits), {1, 0, 2});
    expect_same_bits_on_cuda(cross_entropy(logits), {1, 0, 2});
  }
}

TEST(CudaSoftmaxOfManyRows, FillsMoreBlocksThanOne) {
  for (const std::int64_t classes : {1, 3, 10, 40, 100, 300}) {
    expect_both(RandomBuffers(10).matrix(259, classes, 5.0f));
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
