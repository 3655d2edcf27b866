// sign_bits, as plain loops: the contract is ops/sign_bits.h.
#pragma once

#include "kernels/ops/sign_bits.h"

namespace batchwise::reference {

template <class T>
void sign_bits(const SignBitsArguments<T>& a) {
  for (std::int64_t row = 0; row < a.y.rows; ++row) {
    for (std::int64_t word = 0; word < a.bits.columns; ++word) {
      std::uint32_t bits = 0;
      for (std::int64_t bit = 0; bit < kWordBits; ++bit) {
        const std::int64_t feature = word * kWordBits + bit;
        if (feature < a.y.columns && a.y(row, feature) > T(0.0)) bits |= 1u << bit;
      }
      a.bits(row, word) = static_cast<std::int32_t>(bits);
    }
  }
}

}  // namespace batchwise::reference
