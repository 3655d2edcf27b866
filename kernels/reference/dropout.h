// dropout, as plain loops: the contract is ops/dropout.h.
#pragma once

#include "kernels/ops/dropout.h"
#include "kernels/ops/philox.h"

namespace batchwise::reference {

template <class T, class S>
void dropout(const DropoutArguments<T, S>& a) {
  const auto scale = S(1.0 / (1.0 - a.rate));
  const auto step = a.step();
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t feature = 0; feature < a.x.columns; ++feature) {
      const auto block = static_cast<std::uint32_t>(feature / 4);
      const PhiloxBlock words = philox({block, a.sample(row), step, a.stream}, a.seed());
      const bool kept = words[static_cast<std::size_t>(feature % 4)] >= a.threshold();
      a.y(row, feature) = kept ? S(a.x(row, feature)) * scale : S(0.0);
    }
  }
}

}  // namespace batchwise::reference
