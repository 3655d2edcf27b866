#include "engine/execute/emulated_backend.h"

#include <algorithm>
#include <new>

#include "engine/memory/host_memory.h"
#include "kernels/emulation/memory.h"

namespace batchwise {

std::int64_t EmulatedBackend::free_bytes() const {
  return std::min(free_host_bytes(), emulation::free_within_limit());
}

std::byte* EmulatedBackend::allocate(std::int64_t bytes) const {
  try {
    return emulation::allocate(bytes);
  } catch (const std::bad_alloc&) {
    refuse_allocation(bytes);
  }
}

void EmulatedBackend::free(std::byte* data, std::int64_t) const noexcept { emulation::free(data); }

void EmulatedBackend::zero(std::byte* data, std::int64_t bytes) const {
  emulation::zero(data, bytes);
}

void EmulatedBackend::upload(std::byte* device, const void* host, std::int64_t bytes) const {
  emulation::upload(device, host, bytes);
}

void EmulatedBackend::download(void* host, const std::byte* device, std::int64_t bytes) const {
  emulation::download(host, device, bytes);
}

}  // namespace batchwise
