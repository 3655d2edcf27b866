// The tree search of pack(): finds packings close to the lower bound, and proves optima.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/memory/packing.h"

namespace batchwise {

struct PackingSearch {
  std::vector<std::int64_t> offsets;  ///< one a buffer; empty: nothing below was found
  std::int64_t bytes = 0;             ///< of the arena; `below` where none was found
  bool complete = false;  ///< nothing smaller exists than what was found or, without, than `below`
  std::int64_t work = 0;  ///< done
};

/// The smallest arena of fewer than `below` bytes. Ends early at one of `enough` bytes, or, not
/// complete, after `work` (about one unit a buffer and point of time looked at). `buffers` have
/// bytes, and lifetimes over points 0, 1, ...; of two that fit equally low, the earlier in
/// `buffers` is tried first.
[[nodiscard]] PackingSearch search_packing(std::span<const BufferLifetime> buffers,
                                           std::int64_t below, std::int64_t enough,
                                           std::int64_t work);

}  // namespace batchwise
