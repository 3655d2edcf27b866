// Results of CUDA calls: every one is checked.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace batchwise::cuda {

/// A call of CUDA that failed: the device is lost, out of memory, or a kernel did what it must not.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  [[nodiscard]] cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

/// Throws CudaError unless the call succeeded; `call` names it in the message.
inline void check(cudaError_t result, const char* call) {
  if (result == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky must not surface in a later call
  throw CudaError(result, std::string(call) + ": " + cudaGetErrorName(result) + ", " +
                              cudaGetErrorString(result));
}

/// For destructors: forgets the error.
inline void ignore(cudaError_t result) noexcept {
  if (result != cudaSuccess) cudaGetLastError();
}

}  // namespace batchwise::cuda
