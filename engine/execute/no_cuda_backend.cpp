// Stands in for cuda_backend.cpp in a build without CUDA.
#include <stdexcept>

#include "engine/execute/cuda_backend.h"

namespace batchwise {

const CudaDevices& cuda_devices() {
  static const CudaDevices none{
      .count = 0,
      .suits_auto = false,
      .missing =
          "this program was built without the CUDA toolkit; install one and build again "
          "(./dev build prints the command)"};
  return none;
}

const Backend& cuda_backend(int) { throw std::logic_error("built without CUDA"); }

KernelRegistry& cuda_kernels() {
  static KernelRegistry kernels("cuda", {});
  return kernels;
}

}  // namespace batchwise
