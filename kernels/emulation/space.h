// The addresses of the emulated device: one reserved range, shared memory of the resident blocks
// first, then device memory. What lies in it is described here for reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/emulation/machine.h"

namespace batchwise::emulation {

/// Of a resident block: the 227 KiB that a block can have, and red zones.
inline constexpr std::size_t kSharedStride = std::size_t{512} << 10;
inline constexpr std::size_t kSharedSpace = kResidentBlocks * kSharedStride;
inline constexpr std::size_t kDeviceSpace = std::size_t{64} << 30;
inline constexpr std::size_t kSpace = kSharedSpace + kDeviceSpace;

/// Distance between any two objects at least.
inline constexpr std::size_t kRedZone = 256;

struct Space {
  std::uintptr_t begin = 0;  ///< 0: not reserved yet
};
extern Space space;

/// Reserves the range on the first call. Throws std::bad_alloc.
void reserve_space();

[[nodiscard]] inline bool in_space(std::uintptr_t address) {
  return address - space.begin < kSpace && space.begin != 0;
}
[[nodiscard]] inline bool in_shared_space(std::uintptr_t address) {
  return address - space.begin < kSharedSpace && space.begin != 0;
}

/// Lets a kernel reach device memory while it lives; allocations do not change meanwhile.
class OpenDeviceMemory {
 public:
  OpenDeviceMemory();
  OpenDeviceMemory(const OpenDeviceMemory&) = delete;
  OpenDeviceMemory& operator=(const OpenDeviceMemory&) = delete;
  ~OpenDeviceMemory();

 private:
  std::size_t bytes_;
};

/// "byte 40 of an allocation of 40 bytes"; `byte` may lie before or behind the object.
[[nodiscard]] std::string byte_of(std::ptrdiff_t byte, const char* object, std::size_t bytes);
/// The same for an address of device memory, by the nearest allocation.
[[nodiscard]] std::string describe_device_address(std::uintptr_t address);
/// The same for an address of shared memory, by the nearest object of the running block.
[[nodiscard]] std::string describe_shared_address(std::uintptr_t address);

// AddressSanitizer's view of an object. Nothing in other builds.

void forbid(std::uintptr_t begin, std::size_t bytes);
void permit(std::uintptr_t begin, std::size_t bytes);

}  // namespace batchwise::emulation
