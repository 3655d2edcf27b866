// dense: the fully connected layer and its gradients.
//
//   dense_forward          y[m, n]  = sum_k x[m, k] W[n, k] + b[n]
//   dense_backward_input   dx[m, k] = sum_n dy[m, n] W[n, k]
//   dense_backward_weight  dW[n, k] = sum_m dy[m, n] x[m, k]
//   dense_backward_bias    db[n]    = sum_m dy[m, n]
//
//   dense_backward_weight_bias   dense_backward_weight and dense_backward_bias at once, for kernels
//     that sum dy while they multiply it
//
//   dense_activation_forward  y[m, n] = f(sum_k x[m, k] W[n, k] + b[n]), f of ops/activation.h:
//     dense_forward and then activation_forward in place, in one kernel. Every rounding of the two
//     is kept, so the bits are theirs; what is fused away is the trip through memory.
//
// Order: the sums over k and over n are over_features: from zero, a chain of fused multiply-adds
// fma(x, W, sum) a chunk, the chunks' sums added in order to the first one's; the bias is added
// last. The sums over m are over_samples of the update's batch: fma(x, dy, sum), or sum + dy for
// the bias, resumed from the gradient where the pass begins inside a chunk, folded through
// `partials` at each chunk's end, and complete when the range ends at its total. A pass without
// rows writes nothing. Gradients are per sample and unscaled. Forward and input gradient overwrite.
// W is logically [units, inputs] and lies transposed in memory (row stride 1, column stride the
// padded units), so that kernels read it unit by unit.
#pragma once

#include "kernels/ops/activation.h"
#include "kernels/ops/kernel.h"
#include "kernels/ops/partial_sums.h"

namespace batchwise {

/// T is the inputs' type, S the results'.
template <class T, class S>
struct DenseForwardArguments {
  MatrixView<const T> x;       ///< [rows, inputs], column stride 1
  MatrixView<const T> weight;  ///< [units, inputs], row stride 1
  VectorView<const T> bias;    ///< [units], or absent
  MatrixView<S> y;             ///< [rows, units], column stride 1

  /// inputs: x, weight, bias; outputs: y.
  [[nodiscard]] static DenseForwardArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].matrix<const T>(),
            a.inputs[2].vector<const T>(), a.outputs[0].matrix<S>()};
  }
};

template <class T, class S>
struct DenseActivationForwardArguments {
  MatrixView<const T> x;       ///< [rows, inputs], column stride 1
  MatrixView<const T> weight;  ///< [units, inputs], row stride 1
  VectorView<const T> bias;    ///< [units], or absent
  MatrixView<S> y;             ///< [rows, units], column stride 1
  ActivationFunction function;

  /// inputs: x, weight, bias; outputs: y; attributes: function.
  [[nodiscard]] static DenseActivationForwardArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].matrix<const T>(),
            a.inputs[2].vector<const T>(), a.outputs[0].matrix<S>(),
            static_cast<ActivationFunction>(a.attributes->integer("function"))};
  }
};

template <class T, class S>
struct DenseBackwardInputArguments {
  MatrixView<const T> dy;      ///< [rows, units], column stride 1
  MatrixView<const T> weight;  ///< [units, inputs], row stride 1
  MatrixView<S> dx;            ///< [rows, inputs], column stride 1

  /// inputs: dy, weight; outputs: dx.
  [[nodiscard]] static DenseBackwardInputArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].matrix<const T>(), a.outputs[0].matrix<S>()};
  }
};

template <class T, class S>
struct DenseBackwardWeightArguments {
  MatrixView<const T> x;   ///< [rows, inputs], column stride 1
  MatrixView<const T> dy;  ///< [rows, units], column stride 1
  MatrixView<S> gradient;  ///< [units, inputs], row stride 1; resumed
  PartialSums<S> partials;
  PassRange range;

  /// inputs: x, dy; outputs: gradient, partials.
  [[nodiscard]] static DenseBackwardWeightArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].matrix<const T>(), a.outputs[0].matrix<S>(),
            PartialSums<S>::from(a.outputs[1]), a.range(a.inputs[0].shape[0])};
  }
};

template <class T, class S>
struct DenseBackwardBiasArguments {
  MatrixView<const T> dy;  ///< [rows, units], column stride 1
  VectorView<S> gradient;  ///< [units]; resumed
  PartialSums<S> partials;
  PassRange range;

  /// inputs: dy; outputs: gradient, partials.
  [[nodiscard]] static DenseBackwardBiasArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.outputs[0].vector<S>(),
            PartialSums<S>::from(a.outputs[1]), a.range(a.inputs[0].shape[0])};
  }
};

// dense_backward_weight_bias; inputs: x, dy; outputs: weight's gradient and partials, bias's
// gradient and partials. These are the arguments of its two halves.

[[nodiscard]] inline KernelArguments weight_half(KernelArguments a) {
  a.outputs = a.outputs.subspan(0, 2);
  return a;
}

[[nodiscard]] inline KernelArguments bias_half(KernelArguments a) {
  a.inputs = a.inputs.subspan(1, 1);
  a.outputs = a.outputs.subspan(2, 2);
  return a;
}

}  // namespace batchwise
