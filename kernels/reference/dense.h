// dense, forward and its three gradients, as plain loops: the contract is ops/dense.h.
#pragma once

#include "kernels/ops/dense.h"
#include "kernels/reference/activation.h"
#include "kernels/reference/reduce.h"
#include "kernels/reference/scalar.h"

namespace batchwise::reference {

template <class T, class S>
void dense_forward(const DenseForwardArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t unit = 0; unit < a.weight.rows; ++unit) {
      const S sum = sum_over_features<S>(a.x.columns, [&](std::int64_t input, S chain) {
        return fma(S(a.x(row, input)), S(a.weight(unit, input)), chain);
      });
      a.y(row, unit) = a.bias.empty() ? sum : sum + S(a.bias[unit]);
    }
  }
}

template <class T, class S>
void dense_activation_forward(const DenseActivationForwardArguments<T, S>& a) {
  dense_forward<T, S>({a.x, a.weight, a.bias, a.y});
  for (std::int64_t row = 0; row < a.y.rows; ++row) {
    for (std::int64_t unit = 0; unit < a.y.columns; ++unit) {
      a.y(row, unit) = activate(a.function, a.y(row, unit));
    }
  }
}

template <class T, class S>
void dense_backward_input(const DenseBackwardInputArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.dy.rows; ++row) {
    for (std::int64_t input = 0; input < a.weight.columns; ++input) {
      a.dx(row, input) = sum_over_features<S>(a.dy.columns, [&](std::int64_t unit, S chain) {
        return fma(S(a.dy(row, unit)), S(a.weight(unit, input)), chain);
      });
    }
  }
}

template <class T, class S>
void dense_backward_weight(const DenseBackwardWeightArguments<T, S>& a) {
  for (std::int64_t unit = 0; unit < a.gradient.rows; ++unit) {
    for (std::int64_t input = 0; input < a.gradient.columns; ++input) {
      S& gradient = a.gradient(unit, input);
      const auto partial = [&](int level) -> S& {
        return a.partials(level, &gradient - a.gradient.data);
      };
      gradient = resume_over_samples(a.range, gradient, partial, [&](std::int64_t row, S chain) {
        return fma(S(a.x(row, input)), S(a.dy(row, unit)), chain);
      });
    }
  }
}

template <class T, class S>
void dense_backward_bias(const DenseBackwardBiasArguments<T, S>& a) {
  for (std::int64_t unit = 0; unit < a.gradient.size; ++unit) {
    const auto partial = [&](int level) -> S& { return a.partials(level, unit); };
    a.gradient[unit] =
        resume_over_samples(a.range, a.gradient[unit], partial,
                            [&](std::int64_t row, S chain) { return chain + S(a.dy(row, unit)); });
  }
}

}  // namespace batchwise::reference
