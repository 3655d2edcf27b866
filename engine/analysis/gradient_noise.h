// The gradient noise scale tr(Sigma) / |G|^2 (McCandlish et al. 2018, "An Empirical Model of
// Large-Batch Training", eq. 2.9), from the norms of the per-sample gradients of an update's batch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/analysis/statistics.h"
#include "engine/train/gradient_norms.h"

namespace batchwise {

/// Noise scale over a stretch of training: mean noise over mean signal, with Fieller's interval.
/// Updates of one sample are left out.
[[nodiscard]] Estimate noise_scale(std::span<const GradientNorms> measured,
                                   double confidence = kConfidence);

/// The noise scale in one stretch of training after the other.
struct NoiseWindow {
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  Estimate scale;
};
/// At most so many windows, of as many measurements to one, 30 or more each; fewer than 60
/// measurements are one window.
[[nodiscard]] std::vector<NoiseWindow> noise_scale_over_training(
    std::span<const GradientNorms> measured, int windows = 20);

/// The "noise" lines of a metrics.jsonl, in order. Throws InputError when it cannot be read.
[[nodiscard]] std::vector<GradientNorms> read_gradient_norms(
    const std::filesystem::path& metrics_file);

}  // namespace batchwise
