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

/// Whether they are counted: a sanitizer that brings its own allocator leaves no room.
[[nodiscard]] bool allocations_are_counted();

}  // namespace batchwise::testing_support
