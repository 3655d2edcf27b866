// The products of ops/dense.h as a column-major BLAS takes them. Nothing here calls CUDA.
//
// A row-major matrix [m, n] with `leading` elements between rows has, read by columns, the bytes of
// its transpose: n x m, `leading` between columns. Samples x [rows, inputs] and y [rows, units] are
// so stored; W [units, inputs] lies transposed in memory and so is, read by columns, W itself,
// units x inputs. Nothing is copied, and the results are the transposed rows that are wanted:
//
//   forward          y^T  [units x rows]    = W    [units x inputs]  x^T  [inputs x rows]
//   input gradient   dx^T [inputs x rows]   = W^T  [inputs x units]  dy^T [units x rows]
//   weight gradient  dW   [units x inputs]  = dy^T [units x rows]    x    [rows x inputs]
//
// where W^T and x are the stored matrices W and x^T, transposed by the product. A bias has an
// element for each row of D, the units, as the epilogues of cuBLASLt want it. The bias's gradient
// is the sum of dy over the rows, which are the weight gradient's inner dimension and A's columns:
// BGRADA.
#pragma once

#include <cassert>
#include <compare>
#include <cstdint>

#include "kernels/ops/dense.h"

namespace batchwise::cuda {

/// A stored matrix; element (row, column) is data[row + column * leading].
struct ColumnMajor {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t leading = 0;

  auto operator<=>(const ColumnMajor&) const = default;
};

/// What a product does besides multiplying.
enum class Epilogue {
  none,
  bias,           ///< adds bias[row] to each element of D
  relu,           ///< max(D, 0)
  relu_bias,      ///< max(D + bias[row], 0)
  bias_gradient,  ///< stores the sums over op(A)'s columns, one for each row of D
};

/// D = op(A) op(B), where op transposes or does not.
struct ProductShape {
  ColumnMajor a, b, d;
  bool transpose_a = false;
  bool transpose_b = false;
  Epilogue epilogue = Epilogue::none;

  auto operator<=>(const ProductShape&) const = default;
};

/// On device memory.
struct MatrixProduct {
  ProductShape shape;
  const float* a = nullptr;
  const float* b = nullptr;
  float* d = nullptr;
  const float* bias = nullptr;     ///< read by bias and relu_bias: [rows of D]
  float* bias_gradient = nullptr;  ///< written by bias_gradient: [rows of D]
};

/// The transpose of a row-major matrix.
template <class T>
[[nodiscard]] ColumnMajor transpose_of(const MatrixView<T>& matrix) {
  assert(matrix.column_stride == 1);
  return {matrix.columns, matrix.rows, matrix.row_stride};
}

/// A weight or its gradient.
template <class T>
[[nodiscard]] ColumnMajor weight_of(const MatrixView<T>& weight) {
  assert(weight.row_stride == 1);
  return {weight.rows, weight.columns, weight.column_stride};
}

[[nodiscard]] inline MatrixProduct product_of(const DenseForwardArguments<float, float>& a) {
  return {.shape = {.a = weight_of(a.weight),
                    .b = transpose_of(a.x),
                    .d = transpose_of(a.y),
                    .epilogue = a.bias.empty() ? Epilogue::none : Epilogue::bias},
          .a = a.weight.data,
          .b = a.x.data,
          .d = a.y.data,
          .bias = a.bias.data};
}

[[nodiscard]] inline MatrixProduct product_of(const DenseBackwardInputArguments<float, float>& a) {
  return {.shape = {.a = weight_of(a.weight),
                    .b = transpose_of(a.dy),
                    .d = transpose_of(a.dx),
                    .transpose_a = true},
          .a = a.weight.data,
          .b = a.dy.data,
          .d = a.dx.data};
}

[[nodiscard]] inline MatrixProduct product_of(const DenseBackwardWeightArguments<float, float>& a) {
  return {.shape = {.a = transpose_of(a.dy),
                    .b = transpose_of(a.x),
                    .d = weight_of(a.gradient),
                    .transpose_b = true},
          .a = a.dy.data,
          .b = a.x.data,
          .d = a.gradient.data};
}

/// The same product with max(D, 0).
[[nodiscard]] inline MatrixProduct with_relu(MatrixProduct product) {
  const bool biased = product.shape.epilogue == Epilogue::bias;
  product.shape.epilogue = biased ? Epilogue::relu_bias : Epilogue::relu;
  return product;
}

/// A weight's gradient and the bias's, [units].
[[nodiscard]] inline MatrixProduct with_bias_gradient(MatrixProduct product, float* gradient) {
  product.shape.epilogue = Epilogue::bias_gradient;
  product.bias_gradient = gradient;
  return product;
}

}  // namespace batchwise::cuda
