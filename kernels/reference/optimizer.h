// What happens once an update, as plain loops: the contract is ops/optimizer.h. The optimizers work
// in place on one scalar type; the judge of a float step is the same step on copies in double.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/ops/optimizer.h"
#include "kernels/reference/reduce.h"
#include "kernels/reference/scalar.h"

namespace batchwise::reference {

/// The losses' sum, on double or on the scalar that judges it.
template <class S>
[[nodiscard]] S sum_of_losses(const TensorView& loss, std::int64_t batch_samples) {
  return sum_over_samples<S>(batch_samples, [&](std::int64_t sample, S chain) {
    const double value = loss.type == ElementType::f64
                             ? static_cast<const double*>(loss.data)[sample]
                             : static_cast<double>(static_cast<const float*>(loss.data)[sample]);
    return chain + S(value);
  });
}

[[nodiscard]] inline std::int64_t count_of_correct(const UpdateResultsArguments& a) {
  std::int64_t correct = 0;
  for (std::int64_t sample = 0; sample < a.scalars->batch_samples; ++sample) {
    const std::int64_t id = a.indices.empty() ? sample : a.indices[sample];
    correct += a.predicted[sample] == a.labels[id] ? 1 : 0;
  }
  return correct;
}

inline void update_results(const UpdateResultsArguments& a) {
  a.status->loss_sum = sum_of_losses<double>(a.loss, a.scalars->batch_samples);
  a.status->correct = static_cast<double>(count_of_correct(a));
  a.status->finite = std::isfinite(a.status->loss_sum) ? 1.0 : 0.0;
}

/// The sum of g g over the arena, seen as rows of 1024, on double or on the scalar that judges it.
template <class S, class T>
[[nodiscard]] S sum_of_squares(const VectorView<const T>& gradient) {
  constexpr std::int64_t kColumns = kNormColumns;
  const std::int64_t rows = norm_rows(gradient.size);
  std::array<S, kColumns> columns{};
  for (std::int64_t column = 0; column < kColumns; ++column) {
    columns[static_cast<std::size_t>(column)] =
        sum_over_samples<S>(rows, [&](std::int64_t row, S chain) {
          const std::int64_t index = row * kColumns + column;
          const S g(index < gradient.size ? static_cast<double>(gradient[index]) : 0.0);
          return fma(g, g, chain);
        });
  }
  for (std::size_t half = kColumns / 2; half > 0; half /= 2) {
    for (std::size_t column = 0; column < half; ++column) {
      columns[column] = columns[column] + columns[column + half];
    }
  }
  return columns[0];
}

template <class T>
void gradient_norm(const GradientNormArguments<T>& a) {
  const double norm = a.scalars->gradient_scale * sqrt(sum_of_squares<double>(a.gradient));
  a.status->gradient_norm = norm;
  a.status->gradient_factor = a.scalars->gradient_scale;
  if (a.clip > 0.0) a.status->gradient_factor *= std::min(1.0, a.clip / (norm + 1e-6));
  if (!std::isfinite(norm)) a.status->finite = 0.0;
}

/// Settings of one segment: rate and weight decay with the segment's factors, in double.
struct SegmentSettings {
  double rate;
  double decay;
};

/// Calls update(index, settings) for every element that this update may write.
template <class T, class Update>
void for_each_trained_element(const OptimizerArguments<T>& a, Update update) {
  if (a.status->finite == 0.0) return;
  for (const OptimizerSegment& segment : a.segments) {
    if (segment.frozen != 0) continue;
    const SegmentSettings settings{
        a.scalars->learning_rate * segment.learning_rate_factor,
        a.attributes->number("weight_decay") * segment.weight_decay_factor};
    for (std::int64_t index = segment.offset; index < segment.offset + segment.count; ++index) {
      update(index, settings);
    }
  }
}

/// g': the gradient of the batch's mean loss, clipped, with the decay's term.
template <class T>
[[nodiscard]] T scaled_gradient(const OptimizerArguments<T>& a, std::int64_t index, double decay) {
  const T gradient = a.gradient[index] * T(a.status->gradient_factor);
  return decay == 0.0 ? gradient : fma(T(decay), a.weights[index], gradient);
}

/// Optimizer state as it is used and stored: 0 where it is too small to matter.
template <class T>
[[nodiscard]] T settled(T state, double smallest) {
  return abs(state) < T(smallest) ? T(0.0f) : state;
}

template <class T>
void optimizer_sgd(const OptimizerArguments<T>& a) {
  const double momentum = a.attributes->number("momentum");
  const bool nesterov = a.attributes->integer("nesterov") != 0;
  for_each_trained_element(a, [&](std::int64_t index, const SegmentSettings& settings) {
    const T gradient = scaled_gradient(a, index, settings.decay);
    T direction = gradient;
    if (momentum != 0.0) {
      T& velocity = a.slot0[index];
      velocity = settled(fma(T(momentum), velocity, gradient), kSmallestMomentum);
      direction = nesterov ? fma(T(momentum), velocity, gradient) : velocity;
    }
    a.weights[index] = fma(T(-settings.rate), direction, a.weights[index]);
  });
}

template <class T>
void optimizer_adam(const OptimizerArguments<T>& a) {
  const double beta1 = a.attributes->number("beta1");
  const double beta2 = a.attributes->number("beta2");
  const bool decoupled = a.attributes->integer("decoupled") != 0;
  const auto epsilon = T(a.attributes->number("epsilon"));
  const auto inverse_root = T(1.0 / std::sqrt(a.scalars->bias_correction2));
  for_each_trained_element(a, [&](std::int64_t index, const SegmentSettings& settings) {
    T& weight = a.weights[index];
    T& first_moment = a.slot0[index];
    T& second_moment = a.slot1[index];
    const T gradient = scaled_gradient(a, index, decoupled ? 0.0 : settings.decay);
    if (decoupled && settings.decay != 0.0) {
      weight = fma(T(-(settings.rate * settings.decay)), weight, weight);
    }
    first_moment =
        settled(fma(T(beta1), first_moment, T(1.0 - beta1) * gradient), kSmallestMomentum);
    second_moment = settled(fma(T(beta2), second_moment, (T(1.0 - beta2) * gradient) * gradient),
                            kSmallestSquare);
    const T denominator = fma(sqrt(second_moment), inverse_root, epsilon);
    weight = weight - T(settings.rate / a.scalars->bias_correction1) * (first_moment / denominator);
  });
}

template <class T>
void optimizer_rmsprop(const OptimizerArguments<T>& a) {
  const double alpha = a.attributes->number("alpha");
  const double momentum = a.attributes->number("momentum");
  const auto epsilon = T(a.attributes->number("epsilon"));
  for_each_trained_element(a, [&](std::int64_t index, const SegmentSettings& settings) {
    const T gradient = scaled_gradient(a, index, settings.decay);
    T& square_average = a.slot0[index];
    square_average = settled(fma(T(alpha), square_average, (T(1.0 - alpha) * gradient) * gradient),
                             kSmallestSquare);
    T direction = gradient / (sqrt(square_average) + epsilon);
    if (momentum != 0.0) {
      T& velocity = a.slot1[index];
      velocity = settled(fma(T(momentum), velocity, direction), kSmallestMomentum);
      direction = velocity;
    }
    a.weights[index] = fma(T(-settings.rate), direction, a.weights[index]);
  });
}

}  // namespace batchwise::reference
