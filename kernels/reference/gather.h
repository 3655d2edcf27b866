// gather, as plain loops: the contract is ops/gather.h.
#pragma once

#include "kernels/ops/gather.h"

namespace batchwise::reference {

template <class Data, class T>
void gather(const GatherArguments<Data, T>& a) {
  const std::int64_t features = a.x.columns;
  const std::int64_t features_per_channel = a.shift.size > 0 ? features / a.shift.size : 1;
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t feature = 0; feature < features; ++feature) {
      const std::int64_t channel = feature / features_per_channel;
      const T value(static_cast<float>(a.data(a.sample(row), feature)));
      a.x(row, feature) = (value - a.shift[channel]) / a.divisor[channel];
    }
  }
}

}  // namespace batchwise::reference
