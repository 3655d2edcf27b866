// The devices that a test may run on here.
#pragma once

#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/execute/backend.h"

namespace batchwise::testing_support {

/// Those besides "cpu" that train in fp32: "emulated", and "cuda:0" where there is a GPU.
[[nodiscard]] inline std::vector<std::string> other_devices() {
  std::vector<std::string> devices{"emulated"};
  try {
    devices.emplace_back(find_backend("cuda").name());
  } catch (const InputError&) {
    // CudaBackend.IsAmongTheDevicesTested says why, where tests are listed as skipped
  }
  return devices;
}

/// Every backend there is here.
[[nodiscard]] inline std::vector<std::string> all_backends() {
  std::vector<std::string> backends = other_devices();
  backends.insert(backends.begin(), {"cpu", "reference"});
  return backends;
}

}  // namespace batchwise::testing_support
