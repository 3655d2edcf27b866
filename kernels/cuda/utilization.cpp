#include "kernels/cuda/utilization.h"

#include <dlfcn.h>

namespace batchwise::cuda {
namespace {

// The part of nvml.h that is used; not every toolkit brings the header.
using NvmlDevice = void*;
struct NvmlUtilization {
  unsigned int gpu;  ///< percent
  unsigned int memory;
};
constexpr int kNvmlSuccess = 0;

struct Nvml {
  int (*device_by_bus_id)(const char*, NvmlDevice*) = nullptr;
  int (*utilization)(NvmlDevice, NvmlUtilization*) = nullptr;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

/// Without functions where the library cannot be had. Stays loaded until the process ends.
Nvml load() {
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  int (*initialize)() = nullptr;
  Nvml nvml;
  if (library == nullptr || !find(library, "nvmlInit_v2", initialize) ||
      !find(library, "nvmlDeviceGetHandleByPciBusId_v2", nvml.device_by_bus_id) ||
      !find(library, "nvmlDeviceGetUtilizationRates", nvml.utilization) ||
      initialize() != kNvmlSuccess) {
    return {};
  }
  return nvml;
}

}  // namespace

std::optional<double> utilization(const std::string& pci_bus_id) {
  static const Nvml nvml = load();
  NvmlDevice device = nullptr;
  NvmlUtilization percent{};
  if (nvml.utilization == nullptr ||
      nvml.device_by_bus_id(pci_bus_id.c_str(), &device) != kNvmlSuccess ||
      nvml.utilization(device, &percent) != kNvmlSuccess) {
    return std::nullopt;
  }
  return percent.gpu / 100.0;
}

}  // namespace batchwise::cuda
