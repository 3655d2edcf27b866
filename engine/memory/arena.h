// Owners of device memory. Each arena of a plan is one allocation, made before the first step.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/execute/backend.h"
#include "engine/memory/guard.h"
#include "engine/memory/memory_meter.h"
#include "engine/plan/program.h"

namespace batchwise {

/// Owns one block of device memory, zeroed. Move-only. Throws OutOfMemory. The meter counts it in
/// whole units of the backend's memory_granularity(), with guards in the guarded form; in that form
/// its end ends the process where something was written outside it.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(const Backend& backend, std::int64_t bytes, MemoryMeter& meter,
               MemoryForm form = memory_form());
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  /// In the guarded form throws RunError where something was written outside the block.
  void check() const;

 private:
  /// Of the device: rounded up to its allocator's units.
  [[nodiscard]] std::int64_t taken_bytes() const;
  [[nodiscard]] bool is_guarded() const { return data_ != nullptr && form_ == MemoryForm::guarded; }
  [[nodiscard]] GuardedBlock guarded() const;

  const Backend* backend_ = nullptr;
  MemoryMeter* meter_ = nullptr;
  MemoryForm form_ = MemoryForm::plain;
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

/// The arenas that one or several plans run in.
class Arenas {
 public:
  Arenas() = default;
  /// Allocates each arena with the bytes given for it; 0: none. The meter counts device memory, and
  /// not the arena in the host's.
  Arenas(const Backend& backend, const std::array<std::int64_t, kArenaKinds>& bytes,
         MemoryMeter& meter);

  /// The start of each arena; null where it has no bytes.
  [[nodiscard]] std::array<std::byte*, kArenaKinds> bases() const;
  /// Empty for the arena in the host's memory.
  [[nodiscard]] const DeviceBuffer& operator[](ArenaKind kind) const {
    return buffers_[static_cast<std::size_t>(kind)];
  }

 private:
  std::array<DeviceBuffer, kArenaKinds> buffers_;
  std::unique_ptr<GrowingBlock> host_block_;
  std::byte* host_data_ = nullptr;
};

}  // namespace batchwise
