// The records of the operations that come with the engine, one file each, and what they share.
#pragma once

#include "engine/operations/operation.h"

namespace batchwise {

/// Of kernels that do the same work for every element of their first input.
template <int PerElement>
[[nodiscard]] double flops(const std::vector<Dimensions>& inputs, const std::vector<Dimensions>&) {
  return PerElement * static_cast<double>(inputs[0].elements());
}

[[nodiscard]] Operation activation_operation();
[[nodiscard]] Operation batchnorm_operation();
[[nodiscard]] Operation dense_operation();
[[nodiscard]] Operation dropout_operation();
[[nodiscard]] Operation flatten_operation();
[[nodiscard]] Operation gather_operation();
[[nodiscard]] Operation optimizer_operation();
[[nodiscard]] Operation softmax_cross_entropy_operation();
[[nodiscard]] Operation transfer_operation();

}  // namespace batchwise
