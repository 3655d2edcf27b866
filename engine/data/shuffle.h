// The order in which an epoch visits the training samples. Its definition is pinned: changing it
// changes results.
#pragma once

#include <cstdint>
#include <span>

namespace batchwise {

/// Fills order with the sample ids 0 .. order.size() - 1, sorted by the 32-bit Philox word of
/// (seed; element = id, sample = 0, step = epoch, Stream::shuffle), ties by id. It depends on
/// nothing else.
void epoch_order(std::uint64_t seed, std::int64_t epoch, std::span<std::int32_t> order);

}  // namespace batchwise
