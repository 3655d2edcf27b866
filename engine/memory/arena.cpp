#include "engine/memory/arena.h"

#include <algorithm>
#include <utility>

namespace batchwise {

DeviceBuffer::DeviceBuffer(const Backend& backend, std::int64_t bytes, MemoryMeter& meter)
    : backend_(&backend), meter_(&meter), bytes_(bytes) {
  if (bytes == 0) return;
  data_ = backend.allocate(bytes);
  backend.zero(data_, bytes);
  meter.current_bytes += bytes;
  meter.peak_bytes = std::max(meter.peak_bytes, meter.current_bytes);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : backend_(other.backend_),
      meter_(other.meter_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(meter_, other.meter_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  backend_->free(data_, bytes_);
  meter_->current_bytes -= bytes_;
}

Arenas::Arenas(const Backend& backend, const std::array<std::int64_t, kArenaKinds>& bytes,
               MemoryMeter& meter) {
  for (std::size_t kind = 0; kind < buffers_.size(); ++kind) {
    buffers_[kind] = DeviceBuffer(backend, bytes[kind], meter);
  }
}

std::array<std::byte*, kArenaKinds> Arenas::bases() const {
  std::array<std::byte*, kArenaKinds> bases{};
  for (std::size_t kind = 0; kind < buffers_.size(); ++kind) bases[kind] = buffers_[kind].data();
  return bases;
}

}  // namespace batchwise
