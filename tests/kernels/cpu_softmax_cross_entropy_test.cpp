// softmax and softmax_cross_entropy on the cpu backend, bit for bit against the reference.
#include <gtest/gtest.h>

#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

void expect_softmax(Buffer logits, std::int64_t rows, std::int64_t classes) {
  RandomBuffers random(1);
  const std::vector<Buffer> buffers{
      std::move(logits),         random.integers(70, static_cast<std::int32_t>(classes)),
      random.integers(rows, 70), random.vector(rows),
      random.integers(rows, 9),  random.matrix(rows, classes)};
  expect_same_bits({"softmax", buffers, {0}, {5}, {}, {}, rows});
  expect_same_bits({"softmax", buffers, {0}, {0}, {}, {}, rows});
  for (const auto& passes : splits(rows)) {
    expect_same_bits({"softmax_cross_entropy", buffers, {0, 1, 2}, {3, 4, 5}, {}, {}, rows, {0, 5}},
                     passes);
    expect_same_bits({"softmax_cross_entropy", buffers, {0, 1, 2}, {3, 4, 0}, {}, {}, rows, {0}},
                     passes);
    expect_same_bits(
        {"softmax_cross_entropy", buffers, {0, 1, 2}, {3, 4, kAbsent}, {}, {}, rows, {0}}, passes);
  }
}

TEST(CpuSoftmax, HasTheReferencesBits) {
  for (const std::int64_t rows : {1, 2, 7, 8, 9, 17, 100}) {
    for (const std::int64_t classes : {1, 2, 3, 10, 15, 16, 17, 100, 255, 256, 257, 1000}) {
      expect_softmax(RandomBuffers(2).matrix(rows, classes, 5.0f), rows, classes);
      expect_softmax(RandomBuffers(2).matrix(rows, classes, 1e4f), rows, classes);
    }
  }
}

TEST(CpuSoftmax, TakesTheLowestOfEqualLogitsAndPassesNaN) {
  for (const std::int64_t classes : {5, 16, 40}) {
    int next = 0;
    const auto tied = [&] {
      ++next;
      return next % 41 == 0 ? __builtin_nanf("") : static_cast<float>(next % 3);
    };
    expect_softmax(Buffer(ElementType::f32, {33, classes}, {pitch(classes), 1}).fill<float>(tied),
                   33, classes);
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
