// The records of the operations that come with the engine, one file each.
#pragma once

#include "engine/operations/operation.h"

namespace batchwise {

[[nodiscard]] Operation activation_operation();
[[nodiscard]] Operation batchnorm_operation();
[[nodiscard]] Operation dense_operation();
[[nodiscard]] Operation dropout_operation();
[[nodiscard]] Operation flatten_operation();
[[nodiscard]] Operation gather_operation();
[[nodiscard]] Operation optimizer_operation();
[[nodiscard]] Operation softmax_cross_entropy_operation();

}  // namespace batchwise
