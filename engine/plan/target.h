// What kernels a plan is made for, as far as the plan depends on it. It names no GPU, so that a
// plan can be made on a machine without one.
#pragma once

#include <string_view>

#include "engine/model/experiment.h"

namespace batchwise {

enum class DeviceKind { host, cuda };

/// By a backend's name: "cuda:0" is cuda; "cpu", "reference" and "emulated" are the host.
[[nodiscard]] constexpr DeviceKind device_kind_of(std::string_view backend) {
  return backend == "cuda" || backend.starts_with("cuda:") ? DeviceKind::cuda : DeviceKind::host;
}

struct Target {
  DeviceKind device = DeviceKind::host;
  Numerics numerics = Numerics::invariant;

  /// Whether cuBLASLt multiplies (kernels/cuda/fast_dense.cu).
  [[nodiscard]] constexpr bool multiplies_by_library() const {
    return device == DeviceKind::cuda && numerics == Numerics::fast;
  }
};

}  // namespace batchwise
