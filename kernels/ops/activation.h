// activation: elementwise functions and their gradients.
//
//   relu        y = x < 0 ? 0 : x                dx = y > 0 ? dy : 0
//   leaky_relu  y = x < 0 ? 0.01 x : x           dx = y > 0 ? dy : 0.01 dy
//   tanh        y = tanh(x)                      dx = dy (1 - y y)
//   sigmoid     y = 1 / (1 + exp(-x))            dx = dy (y (1 - y))
//   gelu        y = x Phi(x), the exact form     dx = dy (Phi(x) + x phi(x))
//               Phi(x) = 0.5 (1 + erf(x sqrt(1/2))), phi(x) = exp(-0.5 (x x)) (1 / sqrt(2 pi))
//
// Every operation is rounded by itself, as the parentheses group them, and every constant once to
// the results' type; nothing is contracted. NaN passes through. The gradient is computed from
// `saved`: the output y, except for gelu, which saves its input x. Both overwrite; forward may work
// in place unless it saves its input, backward may write dx over dy.
//
// The gradients of relu and leaky_relu read no more of y than whether it is above zero
// (reads_sign): activation_backward_bits is activation_backward for these two, given the bits of y
// (sign_bits.h), and has the same results.
#pragma once

#include "kernels/ops/kernel.h"
#include "kernels/ops/sign_bits.h"

namespace batchwise {

/// The values are stored in plans (attribute "function").
enum class ActivationFunction { relu = 0, leaky_relu = 1, tanh = 2, sigmoid = 3, gelu = 4 };

[[nodiscard]] constexpr bool saves_input(ActivationFunction function) {
  return function == ActivationFunction::gelu;
}

/// Whether the gradient reads of `saved` whether it is above zero and nothing else.
[[nodiscard]] constexpr bool reads_sign(ActivationFunction function) {
  return function == ActivationFunction::relu || function == ActivationFunction::leaky_relu;
}

template <class T, class S>
struct ActivationForwardArguments {
  MatrixView<const T> x;  ///< [rows, features]
  MatrixView<S> y;        ///< [rows, features]
  ActivationFunction function;

  /// inputs: x; outputs: y; attributes: function.
  [[nodiscard]] static ActivationForwardArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.outputs[0].matrix<S>(),
            static_cast<ActivationFunction>(a.attributes->integer("function"))};
  }
};

template <class T, class S>
struct ActivationBackwardArguments {
  MatrixView<const T> dy;     ///< [rows, features]
  MatrixView<const T> saved;  ///< [rows, features]
  MatrixView<S> dx;           ///< [rows, features]
  ActivationFunction function;

  /// inputs: dy, saved; outputs: dx; attributes: function.
  [[nodiscard]] static ActivationBackwardArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].matrix<const T>(), a.outputs[0].matrix<S>(),
            static_cast<ActivationFunction>(a.attributes->integer("function"))};
  }
};

template <class T, class S>
struct ActivationBackwardBitsArguments {
  MatrixView<const T> dy;               ///< [rows, features]
  MatrixView<const std::int32_t> bits;  ///< [rows, sign_words(features)], sign_bits of y
  MatrixView<S> dx;                     ///< [rows, features]
  ActivationFunction function;          ///< one that reads_sign

  /// inputs: dy, bits; outputs: dx; attributes: function.
  [[nodiscard]] static ActivationBackwardBitsArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].matrix<const std::int32_t>(),
            a.outputs[0].matrix<S>(),
            static_cast<ActivationFunction>(a.attributes->integer("function"))};
  }
};

}  // namespace batchwise
