// The sum over an update's samples, one pass at a time: cuts a pass into the chunks of
// ReductionOrder::over_samples(), resumes an open chain from the gradient, and folds finished ones.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/vector.h"
#include "kernels/ops/partial_sums.h"
#include "kernels/ops/reduction_order.h"

namespace batchwise::cpu {

/// The rows of a pass that fall into one chunk of the update's batch.
struct SampleChunk {
  std::int64_t index = 0;      ///< of the chunk in the update's batch
  std::int64_t first_row = 0;  ///< in the pass
  std::int64_t rows = 0;
  bool resumed = false;  ///< an earlier pass began the chain
  enum class State { open, complete, last } state = State::open;  ///< after these rows
};

/// Calls body(SampleChunk) for each chunk of the range, in order.
template <class Body>
void for_each_sample_chunk(SampleRange range, Body&& body) {
  const std::int64_t length = ReductionOrder::over_samples().chunk();
  for (std::int64_t first = range.first; first < range.end();) {
    SampleChunk chunk;
    chunk.index = first / length;
    const std::int64_t end = std::min(range.end(), (chunk.index + 1) * length);
    chunk.first_row = first - range.first;
    chunk.rows = end - first;
    chunk.resumed = !ReductionOrder::over_samples().starts_chunk(first);
    if (end == range.total) {
      chunk.state = SampleChunk::State::last;
    } else if (end == (chunk.index + 1) * length) {
      chunk.state = SampleChunk::State::complete;
    }
    body(chunk);
    first = end;
  }
}

/// A vector in memory as a partial sum that fold_chunk reads and replaces.
struct PartialVector {
  float* data;
  int lanes;
  friend Vector operator+(PartialVector partial, Vector sum) {
    return load(partial.data, partial.lanes) + sum;
  }
  void operator=(Vector sum) const { store(data, sum, lanes); }
};

/// Sums over `count` samples that are all at hand: step(row, sums) adds a row's terms to an array
/// of sums, one vector each.
template <int Sums, class Step>
inline void sum_over_samples(std::int64_t count, Vector (&sums)[Sums], Step&& step) {
  constexpr int kLevels = 40;  // more chunks than memory can hold
  Vector open[Sums][kLevels];
  for_each_sample_chunk({0, count, count}, [&](const SampleChunk& chunk) {
    for (Vector& sum : sums) sum = Vector{};
    for (std::int64_t row = chunk.first_row; row < chunk.first_row + chunk.rows; ++row) {
      step(row, sums);
    }
    for (int i = 0; i < Sums; ++i) {
      const auto partial = [&](int level) -> Vector& { return open[i][level]; };
      if (chunk.state == SampleChunk::State::last) {
        sums[i] = fold_last_chunk(sums[i], chunk.index, partial);
      } else {
        fold_chunk(sums[i], chunk.index, partial);
      }
    }
  });
}

/// Whether the chunk's sums are complete and belong to a tree of more than one.
[[nodiscard]] inline bool folds(const SampleChunk& chunk) {
  return chunk.state == SampleChunk::State::complete ||
         (chunk.state == SampleChunk::State::last && chunk.index > 0);
}

/// Folds the chunk's sums, which stand in gradient[0 .. count), into the partial sums; the last
/// chunk's become the totals. `offset` leads from the gradient's first element to these.
inline void fold(const SampleChunk& chunk, float* gradient, std::int64_t offset, std::int64_t count,
                 const PartialSums<float>& partials) {
  if (!folds(chunk)) return;
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes, count - i));
    const auto partial = [&](int level) {
      return PartialVector{&partials(level, offset + i), lanes};
    };
    const Vector sum = load(gradient + i, lanes);
    if (chunk.state == SampleChunk::State::last) {
      store(gradient + i, fold_last_chunk(sum, chunk.index, partial), lanes);
    } else {
      fold_chunk(sum, chunk.index, partial);
    }
  }
}

}  // namespace batchwise::cpu
