// optimizer_sgd, optimizer_adam and optimizer_rmsprop: one pass over the arena.
#include "kernels/ops/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace batchwise::cpu {
namespace {

using Arguments = OptimizerArguments<float>;

enum class Decay { none, coupled, decoupled };

/// Consecutive elements [begin, end) that share their settings.
struct Run {
  std::int64_t begin;
  std::int64_t end;
  double rate;
  double decay;
};

/// Calls update(run) for all elements that this update may write, split between threads.
template <class Update>
void for_each_trained_run(const Arguments& a, Update&& update) {
  if (a.status->finite == 0.0) return;
  const double weight_decay = a.attributes->number("weight_decay");
  parallel_ranges(a.weights.size, 1024, 0.4 * static_cast<double>(a.weights.size),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (const OptimizerSegment& segment : a.segments) {
                      const Run run{std::max(begin, segment.offset),
                                    std::min(end, segment.offset + segment.count),
                                    a.scalars->learning_rate * segment.learning_rate_factor,
                                    weight_decay * segment.weight_decay_factor};
                      if (segment.frozen == 0 && run.begin < run.end) update(run);
                    }
                  });
}

/// g': scaled and clipped, with the decay's term.
template <Decay kDecay>
[[nodiscard]] inline float scaled(float gradient, float factor, float decay, float weight) {
  const float result = gradient * factor;
  return kDecay == Decay::coupled ? std::fma(decay, weight, result) : result;
}

/// State as it is used and stored: 0 where it is too small to matter.
[[nodiscard]] inline float settled(float state, double smallest) {
  return std::abs(state) < static_cast<float>(smallest) ? 0.0f : state;
}

enum class Momentum { none, plain, nesterov };

template <Decay kDecay, Momentum kMomentum>
void sgd(const Arguments& a, const Run& run, float momentum) {
  const float* gradient = a.gradient.data;
  float *weights = a.weights.data, *velocity = a.slot0.data;
  const auto factor = static_cast<float>(a.status->gradient_factor);
  const auto decay = static_cast<float>(run.decay), rate = static_cast<float>(-run.rate);
#pragma omp simd
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    const float g = scaled<kDecay>(gradient[i], factor, decay, weights[i]);
    float direction = g;
    if constexpr (kMomentum != Momentum::none) {
      const float v = settled(std::fma(momentum, velocity[i], g), kSmallestMomentum);
      velocity[i] = v;
      direction = kMomentum == Momentum::nesterov ? std::fma(momentum, v, g) : v;
    }
    weights[i] = std::fma(rate, direction, weights[i]);
  }
}

/// The constants of an Adam update that all segments share.
struct AdamConstants {
  float beta1, rest1, beta2, rest2, inverse_root, epsilon;
};

template <Decay kDecay>
void adam(const Arguments& a, const Run& run, const AdamConstants k) {
  const float* gradient = a.gradient.data;
  float *weights = a.weights.data, *first = a.slot0.data, *second = a.slot1.data;
  const auto factor = static_cast<float>(a.status->gradient_factor);
  const auto decay = static_cast<float>(run.decay);
  const auto shrink = static_cast<float>(-(run.rate * run.decay));
  const auto rate = static_cast<float>(run.rate / a.scalars->bias_correction1);
#pragma omp simd
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    float w = weights[i];
    const float g = scaled<kDecay>(gradient[i], factor, decay, w);
    if constexpr (kDecay == Decay::decoupled) w = std::fma(shrink, w, w);
    const float m = settled(std::fma(k.beta1, first[i], k.rest1 * g), kSmallestMomentum);
    const float v = settled(std::fma(k.beta2, second[i], (k.rest2 * g) * g), kSmallestSquare);
    first[i] = m;
    second[i] = v;
    weights[i] = w - rate * (m / std::fma(std::sqrt(v), k.inverse_root, k.epsilon));
  }
}

template <Decay kDecay, Momentum kMomentum>
void rmsprop(const Arguments& a, const Run& run, double alpha_, double epsilon_, float momentum) {
  const float* gradient = a.gradient.data;
  float *weights = a.weights.data, *average = a.slot0.data, *velocity = a.slot1.data;
  const auto factor = static_cast<float>(a.status->gradient_factor);
  const auto decay = static_cast<float>(run.decay), rate = static_cast<float>(-run.rate);
  const auto alpha = static_cast<float>(alpha_), rest = static_cast<float>(1.0 - alpha_);
  const auto epsilon = static_cast<float>(epsilon_);
#pragma omp simd
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    const float g = scaled<kDecay>(gradient[i], factor, decay, weights[i]);
    const float v = settled(std::fma(alpha, average[i], (rest * g) * g), kSmallestSquare);
    average[i] = v;
    float direction = g / (std::sqrt(v) + epsilon);
    if constexpr (kMomentum != Momentum::none) {
      direction = settled(std::fma(momentum, velocity[i], direction), kSmallestMomentum);
      velocity[i] = direction;
    }
    weights[i] = std::fma(rate, direction, weights[i]);
  }
}

template <Decay kDecay>
void sgd(const Arguments& a, const Run& run, float momentum, bool nesterov) {
  if (momentum == 0.0f) {
    sgd<kDecay, Momentum::none>(a, run, momentum);
  } else if (nesterov) {
    sgd<kDecay, Momentum::nesterov>(a, run, momentum);
  } else {
    sgd<kDecay, Momentum::plain>(a, run, momentum);
  }
}

template <Decay kDecay>
void rmsprop(const Arguments& a, const Run& run, double alpha, double epsilon, float momentum) {
  if (momentum == 0.0f) {
    rmsprop<kDecay, Momentum::none>(a, run, alpha, epsilon, momentum);
  } else {
    rmsprop<kDecay, Momentum::plain>(a, run, alpha, epsilon, momentum);
  }
}

}  // namespace

void optimizer_sgd(const KernelArguments& arguments) {
  const auto a = Arguments::from(arguments);
  const auto momentum = static_cast<float>(a.attributes->number("momentum"));
  const bool nesterov = a.attributes->integer("nesterov") != 0;
  for_each_trained_run(a, [&](const Run& run) {
    if (run.decay == 0.0) {
      sgd<Decay::none>(a, run, momentum, nesterov);
    } else {
      sgd<Decay::coupled>(a, run, momentum, nesterov);
    }
  });
}

void optimizer_adam(const KernelArguments& arguments) {
  const auto a = Arguments::from(arguments);
  const double beta1 = a.attributes->number("beta1"), beta2 = a.attributes->number("beta2");
  const bool decoupled = a.attributes->integer("decoupled") != 0;
  const AdamConstants constants{
      .beta1 = static_cast<float>(beta1),
      .rest1 = static_cast<float>(1.0 - beta1),
      .beta2 = static_cast<float>(beta2),
      .rest2 = static_cast<float>(1.0 - beta2),
      .inverse_root = static_cast<float>(1.0 / std::sqrt(a.scalars->bias_correction2)),
      .epsilon = static_cast<float>(a.attributes->number("epsilon"))};
  for_each_trained_run(a, [&](const Run& run) {
    if (run.decay == 0.0) {
      adam<Decay::none>(a, run, constants);
    } else if (decoupled) {
      adam<Decay::decoupled>(a, run, constants);
    } else {
      adam<Decay::coupled>(a, run, constants);
    }
  });
}

void optimizer_rmsprop(const KernelArguments& arguments) {
  const auto a = Arguments::from(arguments);
  const double alpha = a.attributes->number("alpha"), epsilon = a.attributes->number("epsilon");
  const auto momentum = static_cast<float>(a.attributes->number("momentum"));
  for_each_trained_run(a, [&](const Run& run) {
    if (run.decay == 0.0) {
      rmsprop<Decay::none>(a, run, alpha, epsilon, momentum);
    } else {
      rmsprop<Decay::coupled>(a, run, alpha, epsilon, momentum);
    }
  });
}

}  // namespace batchwise::cpu
