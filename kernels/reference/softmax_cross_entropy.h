// softmax and softmax cross-entropy, as plain loops: the contract is ops/softmax_cross_entropy.h.
#pragma once

#include "kernels/ops/softmax_cross_entropy.h"
#include "kernels/reference/reduce.h"
#include "kernels/reference/scalar.h"

namespace batchwise::reference {

/// The lowest index of a row's largest logit; 0 where the first logit is NaN.
template <class T>
[[nodiscard]] std::int64_t largest_logit(const MatrixView<const T>& logits, std::int64_t row) {
  std::int64_t largest = 0;
  for (std::int64_t c = 1; c < logits.columns; ++c) {
    if (logits(row, c) > logits(row, largest)) largest = c;
  }
  return largest;
}

/// exp(z - maximum) and its sum over one row's classes.
template <class T, class S>
struct SoftmaxRow {
  const MatrixView<const T>& logits;
  std::int64_t row;
  S maximum;

  [[nodiscard]] S exponential(std::int64_t c) const { return exp(S(logits(row, c)) - maximum); }
  [[nodiscard]] S sum() const {
    return sum_over_features<S>(logits.columns,
                                [&](std::int64_t c, S chain) { return chain + exponential(c); });
  }
};

template <class T, class S>
void softmax(const SoftmaxArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.logits.rows; ++row) {
    const S maximum(a.logits(row, largest_logit(a.logits, row)));
    const SoftmaxRow<T, S> exponentials{a.logits, row, maximum};
    const S sum = exponentials.sum();
    for (std::int64_t c = 0; c < a.logits.columns; ++c) {
      a.probabilities(row, c) = exponentials.exponential(c) / sum;
    }
  }
}

template <class T, class S>
void softmax_cross_entropy(const SoftmaxCrossEntropyArguments<T, S>& a) {
  for (std::int64_t row = 0; row < a.logits.rows; ++row) {
    const std::int64_t largest = largest_logit(a.logits, row);
    const std::int64_t label = a.label(row);
    const S maximum(a.logits(row, largest));
    const SoftmaxRow<T, S> exponentials{a.logits, row, maximum};
    const S sum = exponentials.sum();

    a.loss[a.range.first() + row] = log(sum) - (S(a.logits(row, label)) - maximum);
    a.predicted[a.range.first() + row] = static_cast<std::int32_t>(largest);
    if (a.gradient.data == nullptr) continue;
    for (std::int64_t c = 0; c < a.logits.columns; ++c) {
      a.gradient(row, c) = exponentials.exponential(c) / sum - S(c == label ? 1.0 : 0.0);
    }
  }
}

}  // namespace batchwise::reference
