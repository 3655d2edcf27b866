// The two sums of ops/reduction_order.h as plain loops. A step receives an index and the chain so
// far and returns the chain with the index's term: sum + term, or fma(a, b, sum).
#pragma once

#include <array>
#include <cstddef>

#include "kernels/ops/reduction_order.h"

namespace batchwise::reference {

/// Over the features of one sample: step(index, sum) for index 0 .. length - 1.
template <class S, class Step>
[[nodiscard]] S sum_over_features(std::int64_t length, Step step) {
  constexpr ReductionOrder order = ReductionOrder::over_features();
  S total(0.0);
  S sum(0.0);
  for (std::int64_t index = 0; index < length; ++index) {
    if (order.starts_chunk(index)) sum = S(0.0);
    sum = step(index, sum);
    const bool chunk_complete = order.starts_chunk(index + 1) || index + 1 == length;
    if (chunk_complete) total = index < order.chunk() ? sum : total + sum;
  }
  return total;
}

/// Over the samples of an update's batch, resumed: step(row, sum) for the pass's rows, from the
/// accumulator that the pass before left. partial(level) is an open partial sum of the tree.
template <class S, class Partial, class Step>
[[nodiscard]] S resume_over_samples(const SampleRange& range, S sum, Partial partial, Step step) {
  constexpr ReductionOrder order = ReductionOrder::over_samples();
  for (std::int64_t row = 0; row < range.count; ++row) {
    const std::int64_t position = range.first + row;
    if (order.starts_chunk(position)) sum = S(0.0);
    sum = step(row, sum);
    const std::int64_t chunk = position / order.chunk();
    if (position + 1 == range.total) {
      sum = fold_last_chunk(sum, chunk, partial);
    } else if (order.starts_chunk(position + 1)) {
      fold_chunk(sum, chunk, partial);
    }
  }
  return sum;
}

/// Over samples that are all at hand: step(row, sum) for row 0 .. count - 1.
template <class S, class Step>
[[nodiscard]] S sum_over_samples(std::int64_t count, Step step) {
  std::array<S, 64> open_sums{};
  const auto partial = [&](int level) -> S& { return open_sums[static_cast<std::size_t>(level)]; };
  return resume_over_samples(SampleRange{0, count, count}, S(0.0), partial, step);
}

}  // namespace batchwise::reference
