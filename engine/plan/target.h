// What kernels a plan is made for, as far as the plan depends on it. It names no GPU, so that a
// plan can be made on a machine without one.
#pragma once

#include "engine/model/experiment.h"

namespace batchwise {

enum class DeviceKind { host, cuda };

struct Target {
  DeviceKind device = DeviceKind::host;
  Numerics numerics = Numerics::invariant;

  /// Whether cuBLASLt multiplies (kernels/cuda/fast_dense.cu).
  [[nodiscard]] constexpr bool multiplies_by_library() const {
    return device == DeviceKind::cuda && numerics == Numerics::fast;
  }
};

}  // namespace batchwise
