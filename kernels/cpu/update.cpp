// update_results and gradient_norm: what an update learns about itself, in double.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/reference/optimizer.h"

namespace batchwise::cpu {
namespace {

constexpr std::int64_t kColumns = kNormColumns;  ///< of the arena as a matrix
constexpr std::int64_t kPanel = 512;             ///< columns that a thread sums at a time

/// Adds the squares of `count` elements of each of kRows rows, one row after the other. A product
/// of two floats is exact in double, so that an addition rounds as the fused form would.
template <int kRows>
void add_squares(const float* gradient, std::int64_t count, double* sums) {
#pragma omp simd
  for (std::int64_t column = 0; column < count; ++column) {
    double sum = sums[column];
    for (int row = 0; row < kRows; ++row) {
      const double g = gradient[row * kColumns + column];
      sum += g * g;
    }
    sums[column] = sum;
  }
}

/// The sums of squares of kPanel columns from `column` on.
void panel_squares(const VectorView<const float>& gradient, std::int64_t column, double* result) {
  constexpr ReductionOrder kOrder = ReductionOrder::over_samples();
  constexpr int kLevels = 24;  // 2^24 chunks of rows: terabytes
  double open[kLevels][kPanel];
  const std::int64_t rows = norm_rows(gradient.size);
  for (std::int64_t first = 0; first < rows; first += kOrder.chunk()) {
    double sums[kPanel] = {};
    const std::int64_t end = std::min(rows, first + kOrder.chunk());
    for (std::int64_t row = first; row < end;) {
      const float* g = gradient.data + row * kColumns + column;
      const std::int64_t left = gradient.size - (row * kColumns + column);  // may be negative
      if (row + 4 <= end && left >= 3 * kColumns + kPanel) {
        add_squares<4>(g, kPanel, sums);
        row += 4;
      } else {
        add_squares<1>(g, std::min(kPanel, left), sums);
        row += 1;
      }
    }
    if (rows <= kOrder.chunk()) return static_cast<void>(std::copy_n(sums, kPanel, result));
    const std::int64_t chunk = first / kOrder.chunk();
    for (int c = 0; c < kPanel; ++c) {
      const auto partial = [&](int level) -> double& { return open[level][c]; };
      if (end == rows) {
        result[c] = fold_last_chunk(sums[c], chunk, partial);
      } else {
        fold_chunk(sums[c], chunk, partial);
      }
    }
  }
}

[[nodiscard]] double sum_of_squares(const VectorView<const float>& gradient) {
  alignas(64) double columns[kColumns] = {};
  parallel_ranges(kColumns, kPanel, 0.1 * static_cast<double>(gradient.size),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t column = begin; column < end; column += kPanel) {
                      panel_squares(gradient, column, columns + column);
                    }
                  });
  for (std::int64_t half = kColumns / 2; half > 0; half /= 2) {
    for (std::int64_t column = 0; column < half; ++column)
      columns[column] += columns[column + half];
  }
  return columns[0];
}

}  // namespace

void update_results(const KernelArguments& arguments) {
  reference::update_results(UpdateResultsArguments::from(arguments));
}

void gradient_norm(const KernelArguments& arguments) {
  const auto a = GradientNormArguments<float>::from(arguments);
  const double norm = a.scalars->gradient_scale * std::sqrt(sum_of_squares(a.gradient));
  a.status->gradient_norm = norm;
  a.status->gradient_factor = a.scalars->gradient_scale;
  if (a.clip > 0.0) a.status->gradient_factor *= std::min(1.0, a.clip / (norm + 1e-6));
  if (!std::isfinite(norm)) a.status->finite = 0.0;
}

}  // namespace batchwise::cpu
