#include "engine/memory/packing.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace batchwise {
namespace {

bool alive_together(const BufferLifetime& a, const BufferLifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

std::int64_t rounded(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

std::int64_t lower_bound_of(std::span<const BufferLifetime> buffers, std::int64_t alignment) {
  std::int64_t bound = 0;
  for (const BufferLifetime& at : buffers) {
    std::int64_t alive = 0;
    for (const BufferLifetime& other : buffers) {
      if (other.first <= at.first && at.first <= other.last) {
        alive += rounded(other.bytes, alignment);
      }
    }
    bound = std::max(bound, alive);
  }
  return bound;
}

/// The lowest offset at which `buffer` overlaps none of those placed that are alive with it.
std::int64_t lowest_offset(const BufferLifetime& buffer, std::span<const BufferLifetime> buffers,
                           const std::vector<std::size_t>& placed,
                           const std::vector<std::int64_t>& offsets, std::int64_t alignment) {
  std::vector<std::pair<std::int64_t, std::int64_t>> taken;
  for (const std::size_t other : placed) {
    if (alive_together(buffer, buffers[other])) {
      taken.emplace_back(offsets[other], offsets[other] + rounded(buffers[other].bytes, alignment));
    }
  }
  std::sort(taken.begin(), taken.end());
  std::int64_t offset = 0;
  for (const auto& [begin, end] : taken) {
    if (offset + buffer.bytes <= begin) break;
    offset = std::max(offset, end);
  }
  return offset;
}

Packing pack_in_order(std::span<const BufferLifetime> buffers,
                      const std::vector<std::size_t>& order, std::int64_t alignment) {
  Packing packing;
  packing.offsets.assign(buffers.size(), 0);
  std::vector<std::size_t> placed;
  for (const std::size_t index : order) {
    const BufferLifetime& buffer = buffers[index];
    packing.offsets[index] = lowest_offset(buffer, buffers, placed, packing.offsets, alignment);
    packing.bytes =
        std::max(packing.bytes, packing.offsets[index] + rounded(buffer.bytes, alignment));
    placed.push_back(index);
  }
  return packing;
}

}  // namespace

Packing pack(std::span<const BufferLifetime> buffers, std::int64_t alignment) {
  using Key = std::function<std::int64_t(const BufferLifetime&)>;
  const Key orders[] = {
      [](const BufferLifetime& b) { return b.bytes; },
      [](const BufferLifetime& b) { return b.bytes * (b.last - b.first + 1); },
      [](const BufferLifetime& b) { return std::int64_t{b.last} - b.first; },
      [](const BufferLifetime& b) { return -std::int64_t{b.first}; },
  };
  Packing best;
  for (const Key& key : orders) {
    std::vector<std::size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return key(buffers[a]) > key(buffers[b]);
    });
    Packing packing = pack_in_order(buffers, order, alignment);
    if (best.offsets.empty() || packing.bytes < best.bytes) best = std::move(packing);
  }
  best.lower_bound = lower_bound_of(buffers, alignment);
  return best;
}

}  // namespace batchwise
