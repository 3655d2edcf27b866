// dense_sample_norms, as plain loops: the contract is ops/sample_norms.h.
#pragma once

#include "kernels/ops/sample_norms.h"
#include "kernels/reference/reduce.h"
#include "kernels/reference/scalar.h"

namespace batchwise::reference {

/// The sum of a row's squares, on double or on the scalar that judges it.
template <class S, class T>
[[nodiscard]] S sum_of_row_squares(const MatrixView<const T>& values, std::int64_t row) {
  return sum_over_features<S>(values.columns, [&](std::int64_t column, S chain) {
    const S value(values(row, column));
    return fma(value, value, chain);
  });
}

template <class T, class S>
void dense_sample_norms(const DenseSampleNormsArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    const S of_row = (sum_of_row_squares<S>(a.x, row) + S(a.bias ? 1.0 : 0.0)) *
                     sum_of_row_squares<S>(a.dy, row);
    S& norm = a.norms[a.range.first() + row];
    norm = a.accumulate ? norm + of_row : of_row;
  }
}

}  // namespace batchwise::reference
