// Maps over the elements of a matrix, four neighbours of a row a thread: 16-byte accesses where the
// views allow them, single ones at a row's end and in views that do not.
#pragma once

#include <algorithm>

#include "kernels/cuda/platform.cuh"
#include "kernels/ops/tensor_view.h"

namespace batchwise::BATCHWISE_CUDA {

inline constexpr unsigned kElementwiseThreads = 256;

/// Four neighbouring elements of a row, fewer at its end.
struct Quad {
  std::int64_t row;
  std::int64_t column;  ///< of the first
  int count;            ///< 0: this thread has none
};

/// This thread's quad of a matrix [rows, columns] in a launch of shape_of_map().
__device__ __forceinline__ Quad quad_of_thread(std::int64_t rows, std::int64_t columns) {
  const std::int64_t quads_a_row = (columns + 3) / 4;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t row = index / quads_a_row;
  if (row >= rows) return {0, 0, 0};
  const std::int64_t column = (index - row * quads_a_row) * 4;
  const std::int64_t left = columns - column;
  return {row, column, left < 4 ? static_cast<int>(left) : 4};
}

/// One thread a quad.
[[nodiscard]] inline LaunchShape shape_of_map(std::int64_t rows, std::int64_t columns) {
  return {blocks_for(rows * ((columns + 3) / 4), kElementwiseThreads), kElementwiseThreads};
}

/// The quad's elements, zeros behind the end of the row. `wide`: the view is aligned (is_wide).
__device__ __forceinline__ float4 load(const MatrixView<const float>& view, const Quad& quad,
                                       bool wide) {
  const float* first = view.row(quad.row) + quad.column;
  if (wide && quad.count == 4) return as_vector<const float4>(first);
  float4 values = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  values.x = first[0];
  if (quad.count > 1) values.y = first[1];
  if (quad.count > 2) values.z = first[2];
  if (quad.count > 3) values.w = first[3];
  return values;
}

/// Bytes, as floats.
__device__ __forceinline__ float4 load(const MatrixView<const std::uint8_t>& view, const Quad& quad,
                                       bool wide) {
  const std::uint8_t* first = view.row(quad.row) + quad.column;
  uchar4 bytes{};
  if (wide && quad.count == 4) {
    bytes = as_vector<const uchar4>(first);
  } else {
    bytes.x = first[0];
    if (quad.count > 1) bytes.y = first[1];
    if (quad.count > 2) bytes.z = first[2];
    if (quad.count > 3) bytes.w = first[3];
  }
  return make_float4(bytes.x, bytes.y, bytes.z, bytes.w);
}

__device__ __forceinline__ void store(const MatrixView<float>& view, const Quad& quad, bool wide,
                                      const float4& values) {
  float* first = view.row(quad.row) + quad.column;
  if (wide && quad.count == 4) {
    // Not an assignment: nvcc takes some of those apart into four stores.
    __stwb(&as_vector<float4>(first), values);
    return;
  }
  first[0] = values.x;
  if (quad.count > 1) first[1] = values.y;
  if (quad.count > 2) first[2] = values.z;
  if (quad.count > 3) first[3] = values.w;
}

/// Whether a view's rows allow accesses of a whole quad: of 16 bytes for floats. True for whatever
/// a plan places, not for every view.
template <class T>
[[nodiscard]] bool is_wide(const MatrixView<T>& view) {
  return reinterpret_cast<std::uintptr_t>(view.data) % (4 * sizeof(T)) == 0 &&
         view.row_stride % 4 == 0;
}
template <class T>
[[nodiscard]] bool is_wide(const VectorView<T>& view) {
  return reinterpret_cast<std::uintptr_t>(view.data) % (4 * sizeof(T)) == 0;
}

}  // namespace batchwise::BATCHWISE_CUDA
