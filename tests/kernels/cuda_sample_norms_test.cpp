// The CUDA dense_sample_norms, bit for bit against the reference, emulated and on a GPU where there
// is one.
#include <gtest/gtest.h>

#include "tests/kernels/sample_norms_case.h"

namespace batchwise::kernel_testing {
namespace {

/// Around slabs of 32, chunks of 256, a warp's 32 chunks, and what several rows share.
constexpr std::int64_t kWidths[] = {1,   2,   31,   32,   33,   255,  256,  257,  300,
                                    513, 784, 2048, 4097, 8191, 8192, 8193, 20011};

class CudaSampleNorms : public testing::TestWithParam<std::int64_t> {};

TEST_P(CudaSampleNorms, HaveTheReferencesBits) {
  for (const std::int64_t rows : {1, 2, 7, 33}) {
    for (const bool accumulate : {false, true}) {
      const bool bias = rows % 2 != 0;
      expect_same_bits_on_cuda(sample_norms_case(rows, GetParam(), 10, bias, accumulate));
      expect_same_bits_on_cuda(sample_norms_case(rows, 10, GetParam(), !bias, accumulate));
    }
  }
}

TEST_P(CudaSampleNorms, HaveTheReferencesBitsInAnyMicroBatches) {
  const Case test = sample_norms_case(17, GetParam(), 300, true, true);
  for (const auto& passes : splits(17)) expect_same_bits_on_cuda(test, passes);
  expect_same_bits_on_cuda(test, {5, 0, 12});
}

INSTANTIATE_TEST_SUITE_P(Widths, CudaSampleNorms, testing::ValuesIn(kWidths));

TEST(CudaSampleNormsOfManyRows, FillMoreBlocksThanOne) {
  for (const std::int64_t width : {3, 784}) {
    expect_same_bits_on_cuda(sample_norms_case(600, width, 10, true, false));
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
