// The backends "cuda:N", one a GPU. Programs built without CUDA have the same functions, which find
// none (no_cuda_backend.cpp).
#pragma once

#include <string>

#include "engine/execute/backend.h"
#include "engine/execute/kernel_registry.h"

namespace batchwise {

struct CudaDevices {
  int count = 0;
  bool suits_auto = false;  ///< whether the first one can run the kernels
  std::string missing;      ///< where there is none: why, and what would help
};
/// Loads the driver when first called. Thread-safe.
[[nodiscard]] const CudaDevices& cuda_devices();

/// The backend of a GPU, index below the count; lives until the program ends. Throws InputError
/// when the GPU is older than the kernels. Thread-safe.
[[nodiscard]] const Backend& cuda_backend(int index);

/// The kernels of all of them. Calls no CUDA.
[[nodiscard]] KernelRegistry& cuda_kernels();

}  // namespace batchwise
