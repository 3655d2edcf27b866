// The open partial sums of a tree over samples, for a parameter's gradient: one copy of the
// gradient's array a level.
#pragma once

#include "kernels/ops/tensor_view.h"

namespace batchwise {

/// Level l of the element at gradient address p is at p + offset + l * level_stride, where offset
/// leads from the gradient to level 0. Absent (levels == 0) where the batch is one chunk.
template <class T>
struct PartialSums {
  T* data = nullptr;              ///< level 0 of the gradient's element 0
  std::int64_t level_stride = 0;  ///< in elements
  int levels = 0;

  /// Of the element `offset` elements behind the gradient's first.
  [[nodiscard]] constexpr T& operator()(int level, std::int64_t offset) const {
    assert(level < levels);
    return data[level * level_stride + offset];
  }

  /// From a view [levels, ...gradient's shape].
  [[nodiscard]] static PartialSums from(const TensorView& view) {
    if (view.absent()) return {};
    assert(element_type_of<T>() == view.type);
    return {static_cast<T*>(view.data), view.strides[0], static_cast<int>(view.shape[0])};
  }
};

}  // namespace batchwise
