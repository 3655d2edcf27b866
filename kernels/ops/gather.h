// gather: a pass's samples, fetched by index from the resident data set and normalised.
//
//   x[r, f] = (data[id(r), f] - shift[c(f)]) / divisor[c(f)]       c(f) = f / (features / channels)
//   id(r)   = indices[first + r], or first + r where indices are absent
//
// The subtraction and the division are each rounded once in x's type; a byte or float is converted
// first. Overwrites x. Indices lie in [0, samples): checked when the data is loaded, not here.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise {

template <class Data, class T>
struct GatherArguments {
  MatrixView<const Data> data;             ///< [samples, features]
  VectorView<const std::int32_t> indices;  ///< [batch], or absent
  VectorView<const T> shift;               ///< [channels]
  VectorView<const T> divisor;             ///< [channels]
  MatrixView<T> x;                         ///< [rows, features]
  PassRange range;

  /// inputs: data, indices, shift, divisor; outputs: x.
  [[nodiscard]] static GatherArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const Data>(), a.inputs[1].vector<const std::int32_t>(),
            a.inputs[2].vector<const T>(),    a.inputs[3].vector<const T>(),
            a.outputs[0].matrix<T>(),         a.range(a.outputs[0].shape[0])};
  }

  [[nodiscard]] constexpr std::int64_t sample(std::int64_t row) const {
    return indices.empty() ? range.first() + row : indices[range.first() + row];
  }
};

}  // namespace batchwise
