// activation functions and their gradients, as plain loops: the contract is ops/activation.h.
#pragma once

#include <numbers>

#include "kernels/ops/activation.h"
#include "kernels/reference/scalar.h"

namespace batchwise::reference {

/// The standard normal distribution function, of gelu.
template <class S>
[[nodiscard]] S normal_distribution(S x) {
  return S(0.5) * (S(1.0) + erf(x * S(std::numbers::sqrt2 / 2.0)));
}

/// The standard normal density, of gelu's gradient.
template <class S>
[[nodiscard]] S normal_density(S x) {
  return exp(S(-0.5) * (x * x)) * S(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}

template <class S>
[[nodiscard]] S activate(ActivationFunction function, S x) {
  switch (function) {
    case ActivationFunction::relu: return x < S(0.0) ? S(0.0) : x;
    case ActivationFunction::leaky_relu: return x < S(0.0) ? S(0.01) * x : x;
    case ActivationFunction::tanh: return tanh(x);
    case ActivationFunction::sigmoid: return S(1.0) / (S(1.0) + exp(-x));
    case ActivationFunction::gelu: return x * normal_distribution(x);
  }
  return x;
}

/// `saved` is the output, or gelu's input.
template <class S>
[[nodiscard]] S activation_gradient(ActivationFunction function, S dy, S saved) {
  switch (function) {
    case ActivationFunction::relu: return saved > S(0.0) ? dy : S(0.0);
    case ActivationFunction::leaky_relu: return saved > S(0.0) ? dy : S(0.01) * dy;
    case ActivationFunction::tanh: return dy * (S(1.0) - saved * saved);
    case ActivationFunction::sigmoid: return dy * (saved * (S(1.0) - saved));
    case ActivationFunction::gelu:
      return dy * (normal_distribution(saved) + saved * normal_density(saved));
  }
  return dy;
}

template <class T, class S>
void activation_forward(const ActivationForwardArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t feature = 0; feature < a.x.columns; ++feature) {
      a.y(row, feature) = activate(a.function, S(a.x(row, feature)));
    }
  }
}

template <class T, class S>
void activation_backward(const ActivationBackwardArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.dy.rows; ++row) {
    for (std::int64_t feature = 0; feature < a.dy.columns; ++feature) {
      a.dx(row, feature) =
          activation_gradient(a.function, S(a.dy(row, feature)), S(a.saved(row, feature)));
    }
  }
}

template <class T, class S>
void activation_backward_bits(const ActivationBackwardBitsArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.dy.rows; ++row) {
    for (std::int64_t feature = 0; feature < a.dy.columns; ++feature) {
      const bool above_zero = sign_bit(a.bits(row, feature / kWordBits), feature);
      a.dx(row, feature) =
          activation_gradient(a.function, S(a.dy(row, feature)), S(above_zero ? 1.0 : 0.0));
    }
  }
}

}  // namespace batchwise::reference
