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

// Each within one allocation; throws std::out_of_range where it is not.

void upload(std::byte* device, const void* host, std::int64_t bytes);
void download(void* host, const std::byte* device, std::int64_t bytes);
void zero(std::byte* device, std::int64_t bytes);

}  // namespace batchwise::emulation
