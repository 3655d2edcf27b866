// Counts what is taken from a backend, so that planned bytes can be compared with real ones.
#pragma once

#include <algorithm>
#include <cstdint>

namespace batchwise {

/// Bytes a backend's allocator holds now and held at most, of the owners that were given this
/// meter. Device memory and host memory have a meter each.
struct MemoryMeter {
  std::int64_t current_bytes = 0;
  std::int64_t peak_bytes = 0;

  /// Bytes taken; negative: given back.
  void add(std::int64_t bytes) {
    current_bytes += bytes;
    peak_bytes = std::max(peak_bytes, current_bytes);
  }
};

}  // namespace batchwise
