// copy_to_host, copy_from_host: a value's copy in the host's memory, and back. They let activations
// wait there for the backward pass.
//
//   copy_to_host      to, in MemorySpace::host memory = from, in the device's
//   copy_from_host    to, in the device's = from, in MemorySpace::host memory
//
// Both sides have the same type, shape and strides: the first axis counts rows, the others lie
// contiguously. Overwrites the elements; what lies between the rows means nothing on either side
// and may be copied or not. Outside the rows nothing is read or written. A step like any other:
// ordered with the steps around it, and on a GPU queued.
#pragma once

#include <cassert>
#include <cstddef>

#include "kernels/ops/kernel.h"

namespace batchwise {

struct TransferArguments {
  const std::byte* source = nullptr;
  std::byte* destination = nullptr;
  std::int64_t rows = 0;
  std::int64_t row_bytes = 0;
  std::int64_t stride_bytes = 0;  ///< from one row to the next

  /// inputs: from; outputs: to. Of any rank.
  [[nodiscard]] static TransferArguments from(const KernelArguments& a) {
    const TensorView& source = a.inputs[0];
    const TensorView& destination = a.outputs[0];
    assert(source.type == destination.type && source.shape == destination.shape &&
           source.strides == destination.strides);
    const auto size = static_cast<std::int64_t>(size_in_bytes(source.type));
    const bool single = source.shape.rank() == 0;
    std::int64_t row_bytes = size;
    for (int axis = 1; axis < source.shape.rank(); ++axis) row_bytes *= source.shape[axis];
    return {.source = static_cast<const std::byte*>(source.data),
            .destination = static_cast<std::byte*>(destination.data),
            .rows = single ? 1 : source.shape[0],
            .row_bytes = row_bytes,
            .stride_bytes = single ? size : source.strides[0] * size};
  }
};

}  // namespace batchwise
