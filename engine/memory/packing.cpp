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

/// Places one buffer after another earlier than all others and keeps the orders that need fewer
/// bytes, until none does or the lower bound is reached.
Packing improved(std::span<const BufferLifetime> buffers, std::vector<std::size_t> order,
                 std::int64_t alignment, std::int64_t lower_bound) {
  Packing best = pack_in_order(buffers, order, alignment);
  for (bool better = true; better && best.bytes > lower_bound;) {
    better = false;
    for (std::size_t moved = 1; moved < order.size() && best.bytes > lower_bound; ++moved) {
      std::vector<std::size_t> candidate = order;
      const auto at = candidate.begin() + static_cast<std::ptrdiff_t>(moved);
      std::rotate(candidate.begin(), at, at + 1);
      Packing packing = pack_in_order(buffers, candidate, alignment);
      if (packing.bytes >= best.bytes) continue;
      best = std::move(packing);
      order = std::move(candidate);
      better = true;
    }
  }
  return best;
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
  const std::int64_t lower_bound = lower_bound_of(buffers, alignment);
  Packing best;
  for (const Key& key : orders) {
    std::vector<std::size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return key(buffers[a]) > key(buffers[b]);
    });
    Packing packing = improved(buffers, std::move(order), alignment, lower_bound);
    if (best.offsets.empty() || packing.bytes < best.bytes) best = std::move(packing);
    if (best.bytes == lower_bound) break;
  }
  best.lower_bound = lower_bound;
  return best;
}

}  // namespace batchwise
