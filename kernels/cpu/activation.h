// The activation functions over a block of a matrix on the calling thread, for activation.cpp and
// for products that end in one.
#pragma once

#include "kernels/ops/activation.h"

namespace batchwise::cpu {

/// Rows [row, row + rows) of columns [column, column + columns).
template <class T>
[[nodiscard]] MatrixView<T> block_of(const MatrixView<T>& matrix, std::int64_t row,
                                     std::int64_t rows, std::int64_t column, std::int64_t columns) {
  return {&matrix(row, column), rows, columns, matrix.row_stride, matrix.column_stride};
}

/// y may be x.
void activate(const ActivationForwardArguments<float, float>& a);

/// A rough estimate, to decide on threads.
[[nodiscard]] double activation_nanoseconds(ActivationFunction function, std::int64_t elements);

}  // namespace batchwise::cpu
