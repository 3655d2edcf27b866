// Packs buffers with lifetimes into one arena: two may share bytes only if their lifetimes do not
// touch. The same input gives the same packing on every machine: work is counted, not timed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace batchwise {

struct BufferLifetime {
  std::int64_t bytes = 0;
  int first = 0;  ///< first step that uses it
  int last = 0;   ///< last step that uses it, included
};

struct Packing {
  std::vector<std::int64_t> offsets;  ///< one a buffer, multiples of the alignment
  std::int64_t bytes = 0;             ///< of the arena
  std::int64_t lower_bound = 0;       ///< the largest sum of buffers alive at once
  bool optimal = false;               ///< proved that no arena can be smaller
};

/// Finds a small arena: by several greedy orders; for up to 512 buffers by a tree search, which
/// mostly reaches the lower bound or proves the optimum; by a local search from the best of these.
/// Ends as soon as no smaller arena is possible. A buffer takes a multiple of `alignment` (at least
/// 1); one without bytes has offset 0.
[[nodiscard]] Packing pack(std::span<const BufferLifetime> buffers, std::int64_t alignment);

}  // namespace batchwise
