// What tests of kernels are built from: guarded, padded and poisoned arrays, random inputs, and a
// call of a kernel by its operation's name.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/ops/kernel.h"
#include "kernels/ops/partial_sums.h"

namespace batchwise::testing_support {

/// How a Buffer lies in memory.
struct Layout {
  std::int64_t padding = 0;       ///< elements behind each row (or column, where transposed)
  bool transposed = false;        ///< row stride 1, as dense weights lie
  std::int64_t misalignment = 0;  ///< elements by which the first is off its alignment
};

/// A matrix (or with one row, a vector) between sentinels. It starts as poison: NaN, or an absurd
/// integer.
template <class T>
class Buffer {
 public:
  Buffer(std::int64_t rows, std::int64_t columns, Layout layout = {})
      : rows_(rows), columns_(columns), layout_(layout) {
    storage_.assign(static_cast<std::size_t>(2 * kGuard + layout.misalignment + span()), poison());
  }

  /// Filled with values in row order.
  Buffer(std::int64_t rows, std::int64_t columns, const std::vector<T>& values, Layout layout = {})
      : Buffer(rows, columns, layout) {
    if (static_cast<std::int64_t>(values.size()) != rows * columns) {
      throw std::logic_error("as many values as elements");
    }
    for (std::int64_t i = 0; i < rows * columns; ++i) {
      (*this)(i / columns, i % columns) = values[static_cast<std::size_t>(i)];
    }
  }

  /// A vector.
  explicit Buffer(const std::vector<T>& values)
      : Buffer(1, static_cast<std::int64_t>(values.size()), values) {}

  [[nodiscard]] T* data() { return storage_.data() + kGuard + layout_.misalignment; }
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t columns() const { return columns_; }
  /// Elements from the first to the last, padding included: a level's stride of PartialSums.
  [[nodiscard]] std::int64_t span() const {
    return layout_.transposed ? columns_ * column_stride() : rows_ * row_stride();
  }
  [[nodiscard]] std::int64_t row_stride() const {
    return layout_.transposed ? 1 : columns_ + layout_.padding;
  }
  [[nodiscard]] std::int64_t column_stride() const {
    return layout_.transposed ? rows_ + layout_.padding : 1;
  }

  T& operator()(std::int64_t row, std::int64_t column) { return matrix()(row, column); }

  [[nodiscard]] MatrixView<T> matrix() {
    return {data(), rows_, columns_, row_stride(), column_stride()};
  }
  /// For readers: views of inputs are const.
  [[nodiscard]] MatrixView<const T> input() {
    return {data(), rows_, columns_, row_stride(), column_stride()};
  }
  [[nodiscard]] VectorView<T> vector() { return {data(), columns_}; }
  [[nodiscard]] VectorView<const T> input_vector() { return {data(), columns_}; }
  [[nodiscard]] PartialSums<T> partial_sums() {
    return {data(), row_stride(), static_cast<int>(rows_)};
  }
  /// One row is a tensor of rank 1.
  [[nodiscard]] TensorView tensor() {
    if (rows_ == 1 && layout_.padding == 0) return {data(), element_type_of<T>(), {columns_}, {1}};
    return matrix_tensor();
  }
  [[nodiscard]] TensorView matrix_tensor() {
    return {data(), element_type_of<T>(), {rows_, columns_}, {row_stride(), column_stride()}};
  }

  /// The elements in row order, without padding.
  [[nodiscard]] std::vector<T> values() {
    std::vector<T> result;
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t column = 0; column < columns_; ++column) {
        result.push_back((*this)(row, column));
      }
    }
    return result;
  }

  void fill_with_poison() { storage_.assign(storage_.size(), poison()); }

  /// Whether the sentinels and the padding are as they were.
  [[nodiscard]] bool intact() {
    Buffer expected(rows_, columns_, layout_);
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t column = 0; column < columns_; ++column) {
        expected(row, column) = (*this)(row, column);
      }
    }
    return std::memcmp(expected.storage_.data(), storage_.data(), storage_.size() * sizeof(T)) == 0;
  }

 private:
  static constexpr std::int64_t kGuard = 64;

  static T poison() {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(0x5A5A5A5A);
    } else {
      return T(std::numeric_limits<float>::quiet_NaN());
    }
  }

  std::int64_t rows_;
  std::int64_t columns_;
  Layout layout_;
  std::vector<T> storage_;
};

/// Values of a normal distribution; the same for the same seed.
[[nodiscard]] inline std::vector<float> random_values(std::int64_t count, std::uint32_t seed,
                                                      float deviation = 1.0f, float mean = 0.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(mean, deviation);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = distribution(generator);
  return values;
}

/// Integers in [0, limit), such as labels.
[[nodiscard]] inline std::vector<std::int32_t> random_integers(std::int64_t count,
                                                               std::uint32_t seed,
                                                               std::int32_t limit) {
  std::mt19937 generator(seed);
  std::vector<std::int32_t> values(static_cast<std::size_t>(count));
  for (std::int32_t& value : values) {
    value = static_cast<std::int32_t>(generator() % static_cast<std::uint32_t>(limit));
  }
  return values;
}

/// The same numbers as another scalar type.
template <class To, class From>
[[nodiscard]] std::vector<To> converted(const std::vector<From>& values) {
  std::vector<To> result;
  for (const From& value : values) result.push_back(static_cast<To>(value));
  return result;
}

/// Runs one operation of a backend.
inline void run_kernel(KernelTable table, std::string_view operation,
                       std::initializer_list<TensorView> inputs,
                       std::initializer_list<TensorView> outputs, const Attributes& attributes = {},
                       const UpdateScalars& scalars = {}) {
  for (const KernelEntry& entry : table) {
    if (entry.operation != operation) continue;
    entry.kernel({.inputs = {inputs.begin(), inputs.size()},
                  .outputs = {outputs.begin(), outputs.size()},
                  .attributes = &attributes,
                  .scalars = &scalars});
    return;
  }
  throw std::logic_error("the table has no kernel " + std::string(operation));
}

}  // namespace batchwise::testing_support
