// dense_sample_norms: what a dense layer adds to the squared norm of each sample's own gradient.
//
//   c[r] = (sum_k x[r, k]^2 + bias) * sum_n dy[r, n]^2
//
// is |dW_r|^2 + |db_r|^2 of the gradients dW_r[n, k] = dy[r, n] x[r, k] and db_r[n] = dy[r, n] that
// sample r alone would give, without making them (Goodfellow 2015). bias: 1 where the layer has
// one.
//
//   norms[first + r] = c[r], or norms[first + r] + c[r] with accumulate = 1
//
// All of it in double: the sums over k and over n are over_features, a chain of fma(x, x, sum) a
// chunk from zero, the chunks' sums added in order to the first one's; then the addition, the
// product and the accumulation, each rounded by itself.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise {

/// T is the inputs' type, S the results': double, or what judges it.
template <class T, class S>
struct DenseSampleNormsArguments {
  MatrixView<const T> x;   ///< [rows, inputs], column stride 1
  MatrixView<const T> dy;  ///< [rows, units], column stride 1
  VectorView<S> norms;     ///< [batch]
  bool bias;
  bool accumulate;
  PassRange range;

  /// inputs: x, dy; outputs: norms; attributes: bias, accumulate.
  [[nodiscard]] static DenseSampleNormsArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].matrix<const T>(),
            a.outputs[0].vector<S>(),
            a.attributes->integer("bias") != 0,
            a.attributes->integer("accumulate") != 0,
            a.range(a.inputs[0].shape[0])};
  }
};

}  // namespace batchwise
