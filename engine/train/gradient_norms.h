// What an update's batch says of its samples' gradients.
#pragma once

#include <cstdint>

namespace batchwise {

/// Of one update's batch of B samples, at the weights before the update. g_i: the gradient of
/// sample i. There are none of networks that train anything but dense layers: BatchNorm by the
/// batch couples the samples, so that a sample has no gradient of its own.
struct GradientNorms {
  std::int64_t step = 0;
  std::int64_t samples = 0;           ///< B
  double mean_squared_norm = 0.0;     ///< mean over i of |g_i|^2
  double squared_norm_of_mean = 0.0;  ///< |mean over i of g_i|^2

  /// B / (B - 1) * (mean |g_i|^2 - |mean g_i|^2). Unbiased for tr(Sigma), the sum of the per-sample
  /// gradients' variances over the distribution that the samples come from, and for the N training
  /// samples' S^2, the same sum with divisor N - 1. Needs B >= 2.
  [[nodiscard]] double noise() const {
    const auto count = static_cast<double>(samples);
    return count / (count - 1.0) * (mean_squared_norm - squared_norm_of_mean);
  }
  /// |mean g_i|^2 - noise() / B. Unbiased for |G|^2 with G the mean over the distribution that the
  /// samples come from. Not for that of the N training samples, G_N: batches are drawn from them
  /// without replacement, so its mean over batches is |G_N|^2 - S^2 / N.
  [[nodiscard]] double signal() const {
    return squared_norm_of_mean - noise() / static_cast<double>(samples);
  }
};

}  // namespace batchwise
