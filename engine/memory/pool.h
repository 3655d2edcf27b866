// The memory of what does not outlive a change of the batch size: partial sums, a batch's results,
// activations. It is one block, which every change asks for anew; what stays for a run has
// DeviceBuffers (arena.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/execute/backend.h"
#include "engine/memory/guard.h"
#include "engine/memory/memory_meter.h"

namespace batchwise {

/// One block that is asked for anew as often as wanted. It grows and never shrinks, so that a
/// smaller batch after a larger one takes nothing and returns nothing: what it holds is the largest
/// request. Its bytes do not survive a require(). Move-only; what was moved from is an empty pool.
class MemoryPool {
 public:
  /// The backend and the meter, which counts the memory of this space, must outlive the pool.
  MemoryPool(const Backend& backend, MemorySpace space, MemoryMeter& meter,
             MemoryForm form = memory_form());
  MemoryPool(MemoryPool&& other) noexcept;
  MemoryPool& operator=(MemoryPool&& other) noexcept;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { release(); }

  /// The block's address, of at least so many bytes, aligned to 256; what it holds is undefined,
  /// and 0xFF bytes in the guarded form. Null for 0 bytes. Growing may change the address. Throws
  /// OutOfMemory, after which the pool holds nothing and can be asked for less.
  [[nodiscard]] std::byte* require(std::int64_t bytes);
  /// What is taken from the backend: the largest request in multiples of the backend's
  /// memory_granularity(), with guards in the guarded form.
  [[nodiscard]] std::int64_t reserved_bytes() const { return reserved_bytes_; }
  /// Gives everything back. In the guarded form ends the process where something was written
  /// outside the block.
  void release() noexcept;
  /// In the guarded form throws RunError where something was written outside the bytes last
  /// required; require() does so too.
  void check() const;

 private:
  void grow(std::int64_t bytes);
  [[nodiscard]] GuardedBlock guarded() const;

  const Backend* backend_;
  MemoryMeter* meter_;
  MemorySpace space_;
  MemoryForm form_;
  std::unique_ptr<GrowingBlock> block_;
  std::byte* data_ = nullptr;  ///< the block's start, its guard included
  std::int64_t reserved_bytes_ = 0;
  std::int64_t guarded_bytes_ = 0;  ///< between guards; 0: none are written
};

}  // namespace batchwise
