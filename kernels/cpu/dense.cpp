// dense_forward and dense_activation_forward: each output is a chain over the inputs in chunks, the
// weights read once per block of rows.
#include "kernels/ops/dense.h"

#include <algorithm>

#include "kernels/cpu/activation.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"

namespace batchwise::cpu {
namespace {

using Arguments = DenseForwardArguments<float, float>;

/// Rows whose inputs stay in the second-level cache while the weights pass by.
constexpr std::int64_t kBlockRows = 256;

/// Rows [row, row + rows) of units [unit, unit + units), one chunk of inputs after the other.
void forward_block(const Arguments& a, std::int64_t row, std::int64_t rows, std::int64_t unit,
                   std::int64_t units) {
  const ReductionOrder order = ReductionOrder::over_features();
  const std::int64_t panel = tile_vectors(rows) * kLanes;
  for (std::int64_t first = 0; first < a.x.columns; first += order.chunk()) {
    const std::int64_t depth = std::min(order.chunk(), a.x.columns - first);
    const bool last = first + depth == a.x.columns;
    for (std::int64_t n = unit; n < unit + units; n += panel) {
      multiply({.scalars = &a.x(row, first),
                .scalar_row_step = a.x.row_stride,
                .scalar_depth_step = 1,
                .vectors = &a.weight(n, first),
                .vector_depth_step = a.weight.column_stride,
                .result = &a.y(row, n),
                .result_row_step = a.y.row_stride,
                .depth = depth,
                .end = first == 0 ? TileEnd::store : TileEnd::add,
                .bias = last && !a.bias.empty() ? &a.bias[n] : nullptr},
               rows, std::min(panel, unit + units - n));
    }
  }
}

/// All of y. finish(row, rows, unit, units) is called for each block of y when its sums are
/// complete, on the thread in whose cache they are.
template <class Finish>
void forward(const Arguments& a, double nanoseconds, Finish&& finish) {
  const auto do_block = [&](std::int64_t row, std::int64_t rows, std::int64_t unit,
                            std::int64_t units) {
    forward_block(a, row, rows, unit, units);
    finish(row, rows, unit, units);
  };
  if (a.x.rows >= 2 * kTileRows) {
    parallel_ranges(a.x.rows, kTileRows, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; row += kBlockRows) {
        do_block(row, std::min(kBlockRows, end - row), 0, a.y.columns);
      }
    });
  } else {
    parallel_ranges(a.y.columns, kLanes, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      do_block(0, a.x.rows, begin, end - begin);
    });
  }
}

}  // namespace

void dense_forward(const KernelArguments& arguments) {
  const auto a = Arguments::from(arguments);
  forward(a, multiply_nanoseconds(a.x.rows, a.x.columns, a.y.columns),
          [](std::int64_t, std::int64_t, std::int64_t, std::int64_t) {});
}

void dense_activation_forward(const KernelArguments& arguments) {
  const auto a = DenseActivationForwardArguments<float, float>::from(arguments);
  const double nanoseconds = multiply_nanoseconds(a.x.rows, a.x.columns, a.y.columns) +
                             activation_nanoseconds(a.function, a.y.rows * a.y.columns);
  forward({a.x, a.weight, a.bias, a.y}, nanoseconds,
          [&](std::int64_t row, std::int64_t rows, std::int64_t unit, std::int64_t units) {
            const MatrixView<float> y = block_of(a.y, row, rows, unit, units);
            activate({{y.data, y.rows, y.columns, y.row_stride, y.column_stride}, y, a.function});
          });
}

}  // namespace batchwise::cpu
