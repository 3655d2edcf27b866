#include "engine/memory/arena.h"

#include <cstring>
#include <utility>

#include "engine/plan/parameter_layout.h"

namespace batchwise {

DeviceBuffer::DeviceBuffer(const Backend& backend, std::int64_t bytes, MemoryMeter& meter,
                           MemoryForm form)
    : backend_(&backend), meter_(&meter), form_(form), bytes_(bytes) {
  if (bytes == 0) return;
  data_ = backend.allocate(bytes + guard_bytes(form)) + guard_bytes(form) / 2;
  meter.add(taken_bytes());
  backend.zero(data_, bytes);
  if (is_guarded()) guarded().write_guards();
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : backend_(other.backend_),
      meter_(other.meter_),
      form_(other.form_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(meter_, other.meter_);
  std::swap(form_, other.form_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  if (is_guarded()) guarded().check_or_abort();
  backend_->free(data_ - guard_bytes(form_) / 2, bytes_ + guard_bytes(form_));
  meter_->add(-taken_bytes());
}

std::int64_t DeviceBuffer::taken_bytes() const {
  return round_up(bytes_ + guard_bytes(form_), backend_->memory_granularity());
}

void DeviceBuffer::check() const {
  if (is_guarded()) guarded().check();
}

GuardedBlock DeviceBuffer::guarded() const {
  return {*backend_, MemorySpace::device, data_, bytes_};
}

Arenas::Arenas(const Backend& backend, const std::array<std::int64_t, kArenaKinds>& bytes,
               MemoryMeter& meter) {
  constexpr auto kHost = static_cast<std::size_t>(ArenaKind::host);
  for (std::size_t kind = 0; kind < buffers_.size(); ++kind) {
    if (kind != kHost) buffers_[kind] = DeviceBuffer(backend, bytes[kind], meter);
  }
  if (bytes[kHost] == 0) return;
  host_block_ = backend.make_block(MemorySpace::host);
  host_data_ = host_block_->grow(round_up(bytes[kHost], backend.memory_granularity()));
  std::memset(host_data_, 0, static_cast<std::size_t>(bytes[kHost]));
}

std::array<std::byte*, kArenaKinds> Arenas::bases() const {
  std::array<std::byte*, kArenaKinds> bases{};
  for (std::size_t kind = 0; kind < buffers_.size(); ++kind) bases[kind] = buffers_[kind].data();
  bases[static_cast<std::size_t>(ArenaKind::host)] = host_data_;
  return bases;
}

}  // namespace batchwise
