#include "engine/execute/host_backend.h"

#include <cstring>

#include "engine/memory/host_memory.h"

namespace batchwise {

std::int64_t HostBackend::free_bytes() const { return free_host_bytes(); }

std::byte* HostBackend::allocate(std::int64_t bytes) const { return allocate_host(bytes); }

void HostBackend::free(std::byte* data, std::int64_t bytes) const noexcept {
  free_host(data, bytes);
}

void HostBackend::zero(std::byte* data, std::int64_t bytes) const {
  std::memset(data, 0, static_cast<std::size_t>(bytes));
}

void HostBackend::upload(std::byte* device, const void* host, std::int64_t bytes) const {
  std::memcpy(device, host, static_cast<std::size_t>(bytes));
}

void HostBackend::download(void* host, const std::byte* device, std::int64_t bytes) const {
  std::memcpy(host, device, static_cast<std::size_t>(bytes));
}

}  // namespace batchwise
