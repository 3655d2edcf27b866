// Element types and non-owning views of arrays: what every kernel of every backend receives.
// Views never own; owners are arenas (engine/memory). Nothing here depends on CUDA.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>

namespace batchwise {

/// f64 exists for the reference backend; devices people train on use f32. bounded is the judge's: a
/// value and its error bound (kernels/reference/running_error.h).
enum class ElementType : std::uint8_t { f32, f64, u8, i32, bounded };

[[nodiscard]] constexpr std::size_t size_in_bytes(ElementType type) {
  switch (type) {
    case ElementType::f32: return 4;
    case ElementType::f64: return 8;
    case ElementType::u8: return 1;
    case ElementType::i32: return 4;
    case ElementType::bounded: return 16;
  }
  return 0;
}

[[nodiscard]] constexpr std::string_view name_of(ElementType type) {
  switch (type) {
    case ElementType::f32: return "f32";
    case ElementType::f64: return "f64";
    case ElementType::u8: return "u8";
    case ElementType::i32: return "i32";
    case ElementType::bounded: return "bounded";
  }
  return "?";
}

template <class T>
constexpr ElementType element_type_of();
template <>
constexpr ElementType element_type_of<float>() {
  return ElementType::f32;
}
template <>
constexpr ElementType element_type_of<double>() {
  return ElementType::f64;
}
template <>
constexpr ElementType element_type_of<std::uint8_t>() {
  return ElementType::u8;
}
template <>
constexpr ElementType element_type_of<std::int32_t>() {
  return ElementType::i32;
}

/// Up to four extents or strides, in elements; the outermost axis first.
class Dimensions {
 public:
  static constexpr int kMaximumRank = 4;

  constexpr Dimensions() = default;
  constexpr Dimensions(std::initializer_list<std::int64_t> extents) {
    assert(extents.size() <= kMaximumRank);
    for (const std::int64_t extent : extents) push_back(extent);
  }

  constexpr void push_back(std::int64_t extent) {
    assert(rank_ < kMaximumRank);
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }
  [[nodiscard]] constexpr int rank() const { return rank_; }
  [[nodiscard]] constexpr std::int64_t operator[](int axis) const {
    return extents_[static_cast<std::size_t>(axis)];
  }
  constexpr std::int64_t& operator[](int axis) { return extents_[static_cast<std::size_t>(axis)]; }
  [[nodiscard]] constexpr const std::int64_t* begin() const { return extents_.data(); }
  [[nodiscard]] constexpr const std::int64_t* end() const { return extents_.data() + rank_; }
  constexpr bool operator==(const Dimensions&) const = default;

  /// The product of all extents; 1 for rank 0.
  [[nodiscard]] constexpr std::int64_t elements() const {
    std::int64_t product = 1;
    for (const std::int64_t extent : *this) product *= extent;
    return product;
  }

 private:
  std::array<std::int64_t, kMaximumRank> extents_{};
  int rank_ = 0;
};

/// A matrix [rows, columns]; element (r, c) is data[r * row_stride + c * column_stride].
/// Weights are logically [units, inputs] and may lie transposed in memory, hence both strides.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;

  [[nodiscard]] constexpr T& operator()(std::int64_t row, std::int64_t column) const {
    return data[row * row_stride + column * column_stride];
  }
  /// The start of a row; meaningful to walk with unit steps only where column_stride is 1.
  [[nodiscard]] constexpr T* row(std::int64_t index) const { return data + index * row_stride; }
};

/// A contiguous vector.
template <class T>
struct VectorView {
  T* data = nullptr;
  std::int64_t size = 0;

  [[nodiscard]] constexpr T& operator[](std::int64_t index) const { return data[index]; }
  [[nodiscard]] constexpr bool empty() const { return data == nullptr; }
};

/// An array whose element type is known only at run time; the form in which a plan hands arrays to
/// kernels. data is null for an optional operand that is absent.
struct TensorView {
  void* data = nullptr;
  ElementType type = ElementType::f32;
  Dimensions shape;
  Dimensions strides;

  [[nodiscard]] bool absent() const { return data == nullptr; }

  /// The first axis as rows, all others, which must be contiguous, as columns.
  template <class T>
  [[nodiscard]] MatrixView<T> matrix() const {
    if (absent()) return {};
    assert(element_type_of<std::remove_const_t<T>>() == type);
    const std::int64_t rows = shape[0];
    if (shape.rank() == 2) {
      return {static_cast<T*>(data), rows, shape[1], strides[0], strides[1]};
    }
    std::int64_t columns = 1;
    for (int axis = 1; axis < shape.rank(); ++axis) columns *= shape[axis];
    return {static_cast<T*>(data), rows, columns, strides[0], 1};
  }

  /// All elements as one contiguous vector.
  template <class T>
  [[nodiscard]] VectorView<T> vector() const {
    if (absent()) return {};
    assert(element_type_of<std::remove_const_t<T>>() == type);
    return {static_cast<T*>(data), shape.elements()};
  }
};

}  // namespace batchwise
