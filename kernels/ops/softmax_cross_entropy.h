// softmax, and softmax cross-entropy with the logits' gradient, loss and prediction in one pass.
//
//   m = max_c z[r, c],  e_c = exp(z[r, c] - m),  s = sum_c e_c
//   softmax                 p[r, c] = e_c / s
//   softmax_cross_entropy   loss[first + r] = log(s) - (z[r, label] - m)
//                           dz[r, c] = e_c / s - (c == label)      unscaled, per sample
//                           predicted[first + r] = the lowest c with z[r, c] = m, 0 where m is NaN
//
// The sum over classes is over_features. label = labels[id(r)] (gather.h), in [0, classes): checked
// when the data is loaded. Overwrites; p may be written over z, dz over z.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise {

template <class T, class S>
struct SoftmaxArguments {
  MatrixView<const T> logits;   ///< [rows, classes]
  MatrixView<S> probabilities;  ///< [rows, classes]

  /// inputs: logits; outputs: probabilities.
  [[nodiscard]] static SoftmaxArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.outputs[0].matrix<S>()};
  }
};

template <class T, class S>
struct SoftmaxCrossEntropyArguments {
  MatrixView<const T> logits;              ///< [rows, classes]
  VectorView<const std::int32_t> labels;   ///< [samples]
  VectorView<const std::int32_t> indices;  ///< [batch], or absent
  VectorView<S> loss;                      ///< [batch]
  VectorView<std::int32_t> predicted;      ///< [batch]
  MatrixView<S> gradient;                  ///< dz [rows, classes], or absent (evaluation)
  PassRange range;

  /// inputs: logits, labels, indices; outputs: loss, predicted, gradient.
  [[nodiscard]] static SoftmaxCrossEntropyArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].vector<const std::int32_t>(),
            a.inputs[2].vector<const std::int32_t>(),
            a.outputs[0].vector<S>(),
            a.outputs[1].vector<std::int32_t>(),
            a.outputs[2].matrix<S>(),
            a.range(a.inputs[0].shape[0])};
  }

  [[nodiscard]] constexpr std::int32_t label(std::int64_t row) const {
    const std::int64_t position = range.first() + row;
    return labels[indices.empty() ? position : indices[position]];
  }
};

}  // namespace batchwise
