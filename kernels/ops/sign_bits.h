// sign_bits: whether each element is above zero, in one bit. A gradient that reads no more of a
// value than that keeps 32 elements of it in the bytes of one.
//
//   bit f % 32 of bits[r, f / 32] = y[r, f] > 0
//
// 0, -0 and NaN are not above zero. Bits behind the last feature are 0. Overwrites.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise {

/// Elements in a word.
inline constexpr std::int64_t kWordBits = 32;

/// Words that hold the bits of a row.
[[nodiscard]] constexpr std::int64_t sign_words(std::int64_t features) {
  return (features + kWordBits - 1) / kWordBits;
}

/// Whether a feature's bit is set, given the word it is in.
[[nodiscard]] constexpr bool sign_bit(std::int32_t word, std::int64_t feature) {
  return (static_cast<std::uint32_t>(word) >> (feature % kWordBits) & 1u) != 0;
}

template <class T>
struct SignBitsArguments {
  MatrixView<const T> y;          ///< [rows, features]
  MatrixView<std::int32_t> bits;  ///< [rows, sign_words(features)]

  /// inputs: y; outputs: bits.
  [[nodiscard]] static SignBitsArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.outputs[0].matrix<std::int32_t>()};
  }
};

}  // namespace batchwise
