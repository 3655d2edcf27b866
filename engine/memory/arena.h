// Owners of device memory. Each arena of a plan is one allocation, made before the first step; the
// meter counts what is held, so that planned bytes can be compared with real ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/execute/backend.h"
#include "engine/plan/program.h"

namespace batchwise {

/// Bytes a backend's allocator holds now and held at most.
struct MemoryMeter {
  std::int64_t current_bytes = 0;
  std::int64_t peak_bytes = 0;
};

/// Owns one block of device memory, zeroed. Move-only. Throws InputError when it is not to be had.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(const Backend& backend, std::int64_t bytes, MemoryMeter& meter);
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  const Backend* backend_ = nullptr;
  MemoryMeter* meter_ = nullptr;
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

/// The arenas that one or several plans run in.
class Arenas {
 public:
  Arenas() = default;
  /// Allocates each arena with the bytes given for it; 0: none.
  Arenas(const Backend& backend, const std::array<std::int64_t, kArenaKinds>& bytes,
         MemoryMeter& meter);

  /// The start of each arena; null where it has no bytes.
  [[nodiscard]] std::array<std::byte*, kArenaKinds> bases() const;
  [[nodiscard]] const DeviceBuffer& operator[](ArenaKind kind) const {
    return buffers_[static_cast<std::size_t>(kind)];
  }

 private:
  std::array<DeviceBuffer, kArenaKinds> buffers_;
};

}  // namespace batchwise
