// Device memory that grows in place, by CUDA's virtual memory management: addresses for all that it
// can ever be are reserved at once, and memory is mapped behind what is there when more is wanted.
// The driver's functions are looked up through the runtime, so that nothing links the driver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace batchwise::cuda {

/// Bytes in multiples of which memory of a device grows in place; 0 where the device or its driver
/// cannot, or where there is none. Throws nothing.
[[nodiscard]] std::int64_t growth_granularity(int device);

/// Neither movable nor for several threads at once.
class GrowingMemory {
 public:
  /// Takes addresses and no memory. most_bytes: what it may grow to. The device must have a
  /// growth_granularity(). Throws CudaError.
  GrowingMemory(int device, std::int64_t most_bytes);
  GrowingMemory(const GrowingMemory&) = delete;
  GrowingMemory& operator=(const GrowingMemory&) = delete;
  /// Unmaps and gives back everything. Unlike cudaFree() it does not wait for the device, which
  /// must have done all its work here.
  ~GrowingMemory();

  /// Maps memory behind what is there, until there are `bytes`, a multiple of the granularity. The
  /// address, and what is there with its contents, stay as they are; kernels may use them
  /// meanwhile. Throws CudaError, of code cudaErrorMemoryAllocation where the device has no more;
  /// all stays as it was.
  void grow(std::int64_t bytes);

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  int device_;
  std::int64_t reserved_bytes_;
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;                  ///< mapped
  std::vector<std::int64_t> mapped_bytes_;  ///< of each mapping, in order: unmapped as mapped
};

}  // namespace batchwise::cuda
