// Packs buffers with lifetimes into one arena: two may share bytes only if their lifetimes do not
// touch.
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
  std::vector<std::int64_t> offsets;
  std::int64_t bytes = 0;        ///< of the arena
  std::int64_t lower_bound = 0;  ///< the largest sum of buffers alive at once
};

/// Places each buffer at the lowest free offset, for several orders of placement and improvements
/// of each, and keeps the smallest arena. Offsets are multiples of alignment.
[[nodiscard]] Packing pack(std::span<const BufferLifetime> buffers, std::int64_t alignment);

}  // namespace batchwise
