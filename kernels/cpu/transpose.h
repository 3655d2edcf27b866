// Transposes blocks of a matrix through registers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/cpu/vector.h"

namespace batchwise::cpu {

/// One step of a perfect shuffle: the lanes of a and b in turn, from their lower (0) or upper
/// (1) halves.
template <int Half, int... Lane>
[[nodiscard]] inline Vector interleave(Vector a, Vector b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, (Lane / 2 + Half * kLanes / 2 + (Lane % 2) * kLanes)...);
}

/// Transposes kLanes vectors in place: log2(kLanes) perfect shuffles of the whole block.
inline void transpose_block(Vector (&block)[kLanes]) {
  constexpr auto kSequence = std::make_integer_sequence<int, kLanes>{};
  for (int step = 1; step < kLanes; step *= 2) {
    Vector shuffled[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      shuffled[2 * i] = interleave<0>(block[i], block[i + kLanes / 2], kSequence);
      shuffled[2 * i + 1] = interleave<1>(block[i], block[i + kLanes / 2], kSequence);
    }
    for (int i = 0; i < kLanes; ++i) block[i] = shuffled[i];
  }
}

/// to[c, r] = from[r, c] for `rows` x `columns` elements; rows of `to` are padded with zeros to
/// whole vectors.
inline void transpose(const float* from, std::int64_t from_step, std::int64_t rows,
                      std::int64_t columns, float* to, std::int64_t to_step) {
  for (std::int64_t row = 0; row < rows; row += kLanes) {
    for (std::int64_t column = 0; column < columns; column += kLanes) {
      const int count = static_cast<int>(std::min<std::int64_t>(kLanes, columns - column));
      Vector block[kLanes];
      for (int r = 0; r < kLanes; ++r) {
        block[r] = row + r < rows ? load(from + (row + r) * from_step + column, count) : Vector{};
      }
      transpose_block(block);
      for (int c = 0; c < count; ++c) store(to + (column + c) * to_step + row, block[c]);
    }
  }
}

}  // namespace batchwise::cpu
