// The activation functions on one element, for activation.cu and for products that end in one.
// Contract: ops/activation.h.
#pragma once

#include <numbers>

#include "kernels/cuda/platform.cuh"
#include "kernels/ops/activation.h"
#include "kernels/ops/portable_math.h"

namespace batchwise::BATCHWISE_CUDA {

/// The standard normal distribution function, of gelu.
__device__ __forceinline__ float normal_distribution(float x) {
  constexpr auto kSqrtHalf = static_cast<float>(std::numbers::sqrt2 / 2.0);
  return 0.5f * (1.0f + portable::erf(x * kSqrtHalf));
}

/// The standard normal density, of gelu's gradient.
__device__ __forceinline__ float normal_density(float x) {
  constexpr auto kScale = static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
  return portable::exp(-0.5f * (x * x)) * kScale;
}

template <ActivationFunction function>
__device__ __forceinline__ float activate(float x) {
  if constexpr (function == ActivationFunction::relu) return x < 0.0f ? 0.0f : x;
  if constexpr (function == ActivationFunction::leaky_relu) return x < 0.0f ? 0.01f * x : x;
  if constexpr (function == ActivationFunction::tanh) return portable::tanh(x);
  if constexpr (function == ActivationFunction::sigmoid) {
    return 1.0f / (1.0f + portable::exp(-x));
  }
  if constexpr (function == ActivationFunction::gelu) return x * normal_distribution(x);
}

/// `saved` is the output, or gelu's input.
template <ActivationFunction function>
__device__ __forceinline__ float activation_gradient(float dy, float saved) {
  if constexpr (function == ActivationFunction::relu) return saved > 0.0f ? dy : 0.0f;
  if constexpr (function == ActivationFunction::leaky_relu) return saved > 0.0f ? dy : 0.01f * dy;
  if constexpr (function == ActivationFunction::tanh) return dy * (1.0f - saved * saved);
  if constexpr (function == ActivationFunction::sigmoid) return dy * (saved * (1.0f - saved));
  if constexpr (function == ActivationFunction::gelu) {
    return dy * (normal_distribution(saved) + saved * normal_density(saved));
  }
}

/// Calls call.template operator()<function>() for a function known at run time.
template <class Call>
void with_function(ActivationFunction function, Call call) {
  using enum ActivationFunction;
  switch (function) {
    case relu: return call.template operator()<relu>();
    case leaky_relu: return call.template operator()<leaky_relu>();
    case tanh: return call.template operator()<tanh>();
    case sigmoid: return call.template operator()<sigmoid>();
    case gelu: return call.template operator()<gelu>();
  }
}

}  // namespace batchwise::BATCHWISE_CUDA
