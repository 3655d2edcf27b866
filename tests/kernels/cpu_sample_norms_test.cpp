// dense_sample_norms: the reference against gradients of one sample at a time, and the cpu backend
// bit for bit against the reference.
#include <gtest/gtest.h>

#include "kernels/reference/dense.h"
#include "kernels/reference/sample_norms.h"
#include "tests/kernels/sample_norms_case.h"

namespace batchwise::kernel_testing {
namespace {

/// |dW|^2 + |db|^2 of one row, from the gradients themselves, in double.
double squared_norm_of_gradient(const MatrixView<const float>& x, const MatrixView<const float>& dy,
                                std::int64_t row, bool bias) {
  const UpdateScalars scalars{.batch_samples = 1};
  const auto one = [row](const MatrixView<const float>& all) {
    return MatrixView<const float>{all.row(row), 1, all.columns, all.row_stride};
  };
  std::vector<double> weight(static_cast<std::size_t>(x.columns * dy.columns));
  std::vector<double> shift(static_cast<std::size_t>(dy.columns));
  reference::dense_backward_weight<float, double>(
      {one(x), one(dy), {weight.data(), dy.columns, x.columns, 1, dy.columns}, {}, {&scalars, 1}});
  reference::dense_backward_bias<float, double>(
      {one(dy), {shift.data(), dy.columns}, {}, {&scalars, 1}});
  double sum = 0.0;
  for (const double g : weight) sum += g * g;
  for (const double g : shift) sum += bias ? g * g : 0.0;
  return sum;
}

TEST(SampleNorms, AreThoseOfTheSamplesOwnGradients) {
  constexpr std::int64_t kRows = 5, kInputs = 300, kUnits = 17;
  for (const bool bias : {false, true}) {
    Case test = sample_norms_case(kRows, kInputs, kUnits, bias, false);
    const auto x = test.buffers[0].view().matrix<const float>();
    const auto dy = test.buffers[1].view().matrix<const float>();
    const UpdateScalars scalars{.batch_samples = kRows};
    std::vector<double> norms(kRows, 7.0);
    for (const bool accumulate : {false, true}) {
      reference::dense_sample_norms<float, double>(
          {x, dy, {norms.data(), kRows}, bias, accumulate, {&scalars, kRows}});
      for (std::int64_t row = 0; row < kRows; ++row) {
        const double expected =
            squared_norm_of_gradient(x, dy, row, bias) * (accumulate ? 2.0 : 1.0);
        EXPECT_NEAR(norms[static_cast<std::size_t>(row)], expected, 1e-12 * expected);
      }
    }
  }
}

TEST(CpuSampleNorms, HaveTheReferencesBits) {
  for (const std::int64_t rows : kBatches) {
    for (const std::int64_t inputs : {1, 7, 255, 256, 257, 784}) {
      for (const std::int64_t units : {1, 10, 300}) {
        const bool bias = units != 10, accumulate = inputs % 2 != 0;
        const Case test = sample_norms_case(rows, inputs, units, bias, accumulate);
        for (const auto& passes : splits(rows)) expect_same_bits(test, passes);
      }
    }
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
