// The emulated GPU's memory. The host cannot reach it: an access through one of these addresses
// outside a kernel or a transfer ends the process with a message that says so. For one host thread
// at a time, and not while a kernel runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace batchwise::emulation {

/// Aligned to 256 bytes and filled with 0xFF bytes; a kernel that reads a byte before it is written
/// is reported. Zero bytes are allowed: an address that nothing may be read from or written to.
/// Throws std::bad_alloc.
[[nodiscard]] std::byte* allocate(std::int64_t bytes);
/// Of an address from allocate(), or null.
void free(std::byte* device) noexcept;

/// What is allocated now, each allocation rounded up to 256 bytes, and the most there was since
/// limit_memory() was last called.
struct MemoryUse {
  std::int64_t bytes = 0;
  std::int64_t peak_bytes = 0;
};
[[nodiscard]] MemoryUse memory_use();
/// Gives the emulated GPU so many bytes, as a card has; 0, as it is at first: no limit but the
/// host's. What exceeds them is refused.
void limit_memory(std::int64_t bytes);
/// Bytes of the limit that are not allocated; the largest integer where there is none.
[[nodiscard]] std::int64_t free_within_limit();

// Each within one allocation; throws std::out_of_range where it is not.

void upload(std::byte* device, const void* host, std::int64_t bytes);
void download(void* host, const std::byte* device, std::int64_t bytes);
void zero(std::byte* device, std::int64_t bytes);

}  // namespace batchwise::emulation
