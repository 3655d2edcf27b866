// dense_sample_norms, several rows at a time: a row's sum is a chain, and the chains of different
// rows run side by side.
#include "kernels/ops/sample_norms.h"

#include <algorithm>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace batchwise::cpu {
namespace {

constexpr int kRows = 8;  ///< rows at a time

/// The sums of squares of rows [row, row + Rows). A product of two floats is exact in double, so
/// that an addition rounds as the fused form would.
template <int Rows>
void add_squares(const MatrixView<const float>& values, std::int64_t row, double* totals) {
  constexpr ReductionOrder kOrder = ReductionOrder::over_features();
  for (std::int64_t first = 0; first < values.columns; first += kOrder.chunk()) {
    const std::int64_t end = std::min(first + kOrder.chunk(), values.columns);
    double sums[Rows] = {};
    for (std::int64_t column = first; column < end; ++column) {
      for (int r = 0; r < Rows; ++r) {
        const double value = values.row(row + r)[column];
        sums[r] += value * value;
      }
    }
    for (int r = 0; r < Rows; ++r) totals[r] = first == 0 ? sums[r] : totals[r] + sums[r];
  }
}

/// Of up to kRows rows.
void squares_of_rows(const MatrixView<const float>& values, std::int64_t row, std::int64_t rows,
                     double* totals) {
  if (rows == kRows) return add_squares<kRows>(values, row, totals);
  for (std::int64_t r = 0; r < rows; ++r) add_squares<1>(values, row + r, totals + r);
}

}  // namespace

void dense_sample_norms(const KernelArguments& arguments) {
  const auto a = DenseSampleNormsArguments<float, double>::from(arguments);
  const double nanoseconds = 0.5 * static_cast<double>(a.x.rows * (a.x.columns + a.dy.columns));
  parallel_ranges(a.x.rows, kRows, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row += kRows) {
      const std::int64_t rows = std::min<std::int64_t>(kRows, end - row);
      double of_x[kRows] = {}, of_dy[kRows] = {};
      squares_of_rows(a.x, row, rows, of_x);
      squares_of_rows(a.dy, row, rows, of_dy);
      for (std::int64_t r = 0; r < rows; ++r) {
        const double of_row = (of_x[r] + (a.bias ? 1.0 : 0.0)) * of_dy[r];
        double& norm = a.norms[a.range.first() + row + r];
        norm = a.accumulate ? norm + of_row : of_row;
      }
    }
  });
}

}  // namespace batchwise::cpu
