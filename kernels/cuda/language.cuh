// CUDA's side of platform.cuh: launches and shared memory as nvcc has them.
#pragma once

#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include "kernels/cuda/check.h"

namespace batchwise::cuda {

struct LaunchShape {
  dim3 blocks;
  dim3 threads;
  std::size_t dynamic_shared_bytes = 0;
  bool cooperative = false;  ///< all blocks run at once, so that grid_barrier() may be used
};

/// Queues a kernel on a stream and checks that it was accepted. A launch without blocks is none.
template <auto kernel, class... Arguments>
void launch(const LaunchShape& shape, cudaStream_t stream, const Arguments&... arguments) {
  if (shape.blocks.x == 0 || shape.blocks.y == 0 || shape.blocks.z == 0) return;
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = shape.blocks;
  configuration.blockDim = shape.threads;
  configuration.dynamicSmemBytes = shape.dynamic_shared_bytes;
  configuration.stream = stream;
  configuration.attrs = &cooperative;
  configuration.numAttrs = shape.cooperative ? 1 : 0;
  check(cudaLaunchKernelEx(&configuration, kernel, arguments...), __PRETTY_FUNCTION__);
}

// Copies of rows, `stride_bytes` apart on both sides, between the device's memory and page-locked
// memory of the host. Queued as one run of bytes, what lies between the rows included: a copy row
// by row would be slower.

inline void queue_copy_to_host(void* host, const void* device, std::int64_t rows,
                               std::int64_t row_bytes, std::int64_t stride_bytes,
                               cudaStream_t stream) {
  if (rows == 0) return;
  const auto bytes = static_cast<std::size_t>((rows - 1) * stride_bytes + row_bytes);
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream),
        "cudaMemcpyAsync from the GPU");
}
inline void queue_copy_from_host(void* device, const void* host, std::int64_t rows,
                                 std::int64_t row_bytes, std::int64_t stride_bytes,
                                 cudaStream_t stream) {
  if (rows == 0) return;
  const auto bytes = static_cast<std::size_t>((rows - 1) * stride_bytes + row_bytes);
  check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync to the GPU");
}

/// Multiprocessors of the current device.
[[nodiscard]] inline int multiprocessors() {
  int device = 0, count = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  return count;
}

/// Blocks of a cooperative kernel that the current device holds at once.
template <auto kernel>
[[nodiscard]] unsigned resident_blocks(unsigned threads, std::size_t dynamic_shared_bytes = 0) {
  int each = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, static_cast<int>(threads),
                                                      dynamic_shared_bytes),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return static_cast<unsigned>(multiprocessors() * each);
}

/// Neighbouring elements as one vector, to be read or written in one access: the address must be a
/// multiple of its size.
template <class Vector, class T>
[[nodiscard]] __device__ __forceinline__ Vector& as_vector(T* first) {
  return *reinterpret_cast<Vector*>(first);
}

/// The block's one object of type T in shared memory, not initialised. At most 48 KiB a kernel.
template <class T>
__device__ __forceinline__ T& shared_memory() {
  static_assert(sizeof(T) <= 48 * 1024, "use dynamic_shared_memory");
  __shared__ __align__(16) unsigned char bytes[sizeof(T)];
  return reinterpret_cast<T&>(bytes);
}

/// The shared memory that the launch asked for, not initialised.
template <class T>
__device__ __forceinline__ T* dynamic_shared_memory() {
  extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];
  return reinterpret_cast<T*>(dynamic_shared_bytes);
}

/// Waits for every thread of every block of a cooperative launch.
__device__ __forceinline__ void grid_barrier() { cooperative_groups::this_grid().sync(); }

}  // namespace batchwise::cuda
