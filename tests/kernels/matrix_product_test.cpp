// The products that cuBLASLt is asked for, multiplied column-major by plain loops, against the
// reference. All numbers are small integers, so that every order of a sum gives the same.
#include "kernels/cuda/matrix_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/reference/dense.h"

namespace batchwise::cuda {
namespace {

/// Element (row, column) of op(matrix).
float element(const float* data, const ColumnMajor& matrix, bool transposed, std::int64_t row,
              std::int64_t column) {
  if (transposed) std::swap(row, column);
  EXPECT_LT(row, matrix.rows);
  EXPECT_LT(column, matrix.columns);
  return data[row + column * matrix.leading];
}

/// What the library does with a product, as its documentation says.
void multiply(const MatrixProduct& product) {
  const ProductShape& shape = product.shape;
  const std::int64_t depth = shape.transpose_a ? shape.a.rows : shape.a.columns;
  ASSERT_EQ(depth, shape.transpose_b ? shape.b.columns : shape.b.rows);
  ASSERT_EQ(shape.d.rows, shape.transpose_a ? shape.a.columns : shape.a.rows);
  ASSERT_EQ(shape.d.columns, shape.transpose_b ? shape.b.rows : shape.b.columns);
  for (const ColumnMajor& matrix : {shape.a, shape.b, shape.d}) {
    ASSERT_GE(matrix.leading, matrix.rows);
  }
  const bool biased = shape.epilogue == Epilogue::bias || shape.epilogue == Epilogue::relu_bias;
  const bool relu = shape.epilogue == Epilogue::relu || shape.epilogue == Epilogue::relu_bias;
  for (std::int64_t row = 0; row < shape.d.rows; ++row) {
    for (std::int64_t column = 0; column < shape.d.columns; ++column) {
      float sum = biased ? product.bias[row] : 0.0f;
      for (std::int64_t k = 0; k < depth; ++k) {
        sum += element(product.a, shape.a, shape.transpose_a, row, k) *
               element(product.b, shape.b, shape.transpose_b, k, column);
      }
      product.d[row + column * shape.d.leading] = relu ? std::max(sum, 0.0f) : sum;
    }
    if (shape.epilogue != Epilogue::bias_gradient) continue;
    product.bias_gradient[row] = 0.0f;
    for (std::int64_t k = 0; k < depth; ++k) {
      product.bias_gradient[row] += element(product.a, shape.a, shape.transpose_a, row, k);
    }
  }
}

/// An array of small integers with padding between rows, which holds 1000s.
struct Array {
  std::vector<float> values;
  std::int64_t rows, columns, pitch;

  Array(std::int64_t row_count, std::int64_t column_count, std::mt19937& generator)
      : rows(row_count), columns(column_count), pitch(columns == 1 ? 1 : (columns + 18) / 16 * 16) {
    values.assign(static_cast<std::size_t>(rows * pitch), 1000.0f);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) {
        values[static_cast<std::size_t>(row * pitch + column)] =
            static_cast<float>(static_cast<int>(generator() % 9) - 4);
      }
    }
  }
  [[nodiscard]] MatrixView<float> matrix() { return {values.data(), rows, columns, pitch, 1}; }
  [[nodiscard]] MatrixView<const float> input() const {
    return {values.data(), rows, columns, pitch, 1};
  }
  /// [columns, rows] that lies transposed, as weights do.
  [[nodiscard]] MatrixView<float> weight() { return {values.data(), columns, rows, 1, pitch}; }
  [[nodiscard]] MatrixView<const float> weight_input() const {
    return {values.data(), columns, rows, 1, pitch};
  }
  [[nodiscard]] VectorView<float> vector() { return {values.data(), columns}; }
  [[nodiscard]] VectorView<const float> vector_input() const { return {values.data(), columns}; }
};

struct Shape {
  std::int64_t rows, inputs, units;
};

class Products : public ::testing::TestWithParam<Shape> {
 protected:
  std::mt19937 generator{5};
  Array x{GetParam().rows, GetParam().inputs, generator};
  Array y{GetParam().rows, GetParam().units, generator};
  Array weight{GetParam().inputs, GetParam().units, generator};
  Array bias{1, GetParam().units, generator};
  UpdateScalars scalars{.batch_samples = GetParam().rows};
};

TEST_P(Products, ForwardIsTheReferences) {
  for (const bool biased : {true, false}) {
    const VectorView<const float> b = biased ? bias.vector_input() : VectorView<const float>{};
    Array expected = y, found = y;
    reference::dense_forward<float, float>(
        {x.input(), weight.weight_input(), b, expected.matrix()});
    const DenseForwardArguments<float, float> arguments{x.input(), weight.weight_input(), b,
                                                        found.matrix()};
    multiply(product_of(arguments));
    EXPECT_EQ(found.values, expected.values);

    reference::dense_activation_forward<float, float>(
        {x.input(), weight.weight_input(), b, expected.matrix(), ActivationFunction::relu});
    multiply(with_relu(product_of(arguments)));
    EXPECT_EQ(found.values, expected.values);
  }
}

TEST_P(Products, InputGradientIsTheReferences) {
  Array expected = x, found = x;
  reference::dense_backward_input<float, float>(
      {y.input(), weight.weight_input(), expected.matrix()});
  const DenseBackwardInputArguments<float, float> arguments{y.input(), weight.weight_input(),
                                                            found.matrix()};
  multiply(product_of(arguments));
  EXPECT_EQ(found.values, expected.values);
}

TEST_P(Products, WeightAndBiasGradientsAreTheReferences) {
  const PassRange range{&scalars, GetParam().rows};
  Array expected = weight, found = weight, expected_bias = bias, found_bias = bias;
  reference::dense_backward_weight<float, float>(
      {x.input(), y.input(), expected.weight(), {}, range});
  reference::dense_backward_bias<float, float>({y.input(), expected_bias.vector(), {}, range});
  const DenseBackwardWeightArguments<float, float> arguments{
      x.input(), y.input(), found.weight(), {}, range};
  multiply(product_of(arguments));
  EXPECT_EQ(found.values, expected.values);
  EXPECT_EQ(found_bias.values, bias.values);
  multiply(with_bias_gradient(product_of(arguments), found_bias.values.data()));
  EXPECT_EQ(found.values, expected.values);
  EXPECT_EQ(found_bias.values, expected_bias.values);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Products,
                         ::testing::Values(Shape{1, 1, 1}, Shape{1, 5, 3}, Shape{7, 1, 4},
                                           Shape{6, 4, 1}, Shape{33, 17, 16}, Shape{16, 31, 40}),
                         [](const auto& instance) {
                           const Shape& shape = instance.param;
                           return std::to_string(shape.rows) + "x" + std::to_string(shape.inputs) +
                                  "x" + std::to_string(shape.units);
                         });

TEST(ProductShape, TellsApartWhatAnAlgorithmDependsOn) {
  const ProductShape shape{.a = {3, 4, 16}, .b = {4, 5, 16}, .d = {3, 5, 16}};
  ProductShape other = shape;
  EXPECT_TRUE((shape <=> other) == 0);
  other.b.leading = 32;
  EXPECT_FALSE((shape <=> other) == 0);
  other = shape;
  other.epilogue = Epilogue::bias;
  EXPECT_FALSE((shape <=> other) == 0);
}

}  // namespace
}  // namespace batchwise::cuda
