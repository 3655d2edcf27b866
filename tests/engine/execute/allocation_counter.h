// Counts what this process takes from the heap, by standing in front of the C library's allocator.
#pragma once

#include <cstdint>

namespace batchwise::testing_support {

struct Allocations {
  std::int64_t calls = 0;          ///< of malloc and all its kin, operator new included
  std::int64_t aligned_calls = 0;  ///< of aligned_alloc, which backends allocate with
  std::int64_t aligned_bytes = 0;
};

/// Since the process began, in all threads.
[[nodiscard]] Allocations allocations();

/// Bytes of blocks aligned to 256, as backends allocate them, that are held now, and the most there
/// were since limit_aligned_bytes() was last called.
[[nodiscard]] std::int64_t aligned_bytes_held();
[[nodiscard]] std::int64_t aligned_bytes_held_at_most();
/// Refuses what would make them more; 0: no limit.
void limit_aligned_bytes(std::int64_t bytes);

/// Whether they are counted: a sanitizer that brings its own allocator leaves no room.
[[nodiscard]] bool allocations_are_counted();

}  // namespace batchwise::testing_support
