// Guarded memory: a form for finding faults, in which every block lies between two runs of known
// bytes, and blocks of the pool are filled with NaN before each use. What is written outside a
// block, or read before it is written, then shows on any device. It costs time and some memory;
// CONTRIBUTING.md says how to choose it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/execute/backend.h"

namespace batchwise {

enum class MemoryForm { plain, guarded };

/// Guarded where the environment variable BATCHWISE_GUARD_MEMORY is 1 when this is first called.
[[nodiscard]] MemoryForm memory_form();

/// On each side of a block.
inline constexpr std::int64_t kGuardBytes = 256;

/// Bytes that a form takes besides the block's own.
[[nodiscard]] constexpr std::int64_t guard_bytes(MemoryForm form) {
  return form == MemoryForm::guarded ? 2 * kGuardBytes : 0;
}

/// A block with kGuardBytes of its owner's on each side. Does not own.
struct GuardedBlock {
  const Backend& backend;
  MemorySpace space;
  std::byte* data;
  std::int64_t bytes;

  void write_guards() const;
  /// Fills the block itself with 0xFF bytes: NaN in any floating-point type, -1 in any integer.
  void poison() const;
  /// Throws RunError where the guards are not as they were written.
  void check() const;
  /// For destructors, which cannot throw: ends the process there. A device that no longer answers
  /// is let be, as it has been reported.
  void check_or_abort() const noexcept;

 private:
  void write(std::byte* to, const void* from, std::int64_t count) const;
  /// What is wrong with the guard that begins there; empty: nothing.
  [[nodiscard]] std::string damage(const std::byte* guard) const;
};

}  // namespace batchwise
