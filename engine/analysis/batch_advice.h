// Which batch size, micro-batch, learning rate and warm-up to train with, from what was measured:
// the model behind `batchwise advise`. Nothing is measured here.
//
// Updates to a given loss are S(B) = S_min (1 + B_noise / B) (McCandlish et al. 2018, eq. 2.7), so
// seconds to it are proportional to r(B) = (1 + B_noise / B) t(B), t(B) those of one update.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/analysis/gradient_noise.h"
#include "engine/analysis/statistics.h"
#include "engine/model/experiment.h"

namespace batchwise {

/// One batch size. `refused` not empty: why it was not measured; there are no repetitions then.
struct MeasuredBatch {
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;
  std::int64_t planned_bytes = 0;
  /// Seconds per weight update, of each repetition; those of the same index, of different batches,
  /// were measured one after the other. NaN: left out.
  std::vector<double> repetitions = {};
  std::string refused = {};

  /// The geometric mean of the repetitions, with Student's interval of their logarithms: what slows
  /// a machine for a while multiplies.
  [[nodiscard]] Estimate seconds() const;
};

/// What a short training said of the noise scale.
struct MeasuredNoise {
  Estimate early;    ///< of its first stretch, a quarter of it or more
  Estimate late;     ///< of its last
  Estimate typical;  ///< what trainings of some length meet on the whole: summarize_noise()
  std::int64_t updates = 0;
  double epochs = 0.0;  ///< that were trained
  /// False where more time tells nothing: batches of one sample, or samples that BatchNorm couples.
  bool measurable = true;
};

/// The setting that the experiment's learning rate is of.
struct BaseSetting {
  OptimizerName optimizer = OptimizerName::adam;
  std::int64_t batch_size = 32;
  double learning_rate = 0.0;  ///< the peak, after learning_rate_scaling
  double epochs = 1.0;         ///< asked for
};

struct BatchAdvice {
  std::int64_t batch_size = 0;  ///< 0: nothing was measured
  std::int64_t lowest_batch = 0;
  std::int64_t highest_batch = 0;
  std::int64_t micro_batch_size = 0;
  bool undecided = false;  ///< the interval spans more than a factor of kUndecidedFactor
  Estimate learning_rate;
  Estimate warmup_epochs;  ///< all 0: none
  /// Seconds to the target against the fastest batch's, of each measured batch in order.
  std::vector<Estimate> relative_seconds;
  std::string batch_reason;
  std::string micro_batch_reason;
  std::string learning_rate_reason;
  std::string warmup_reason;
};

inline constexpr double kUndecidedFactor = 8.0;
/// tr(Sigma) / |G|^2 stands for a B_noise that weights directions by their curvature, from which it
/// differs by a small constant factor (McCandlish et al. 2018, sec. 2.2); taken as up to 2 either
/// way.
inline constexpr double kModelFactor = 2.0;

/// The noise scale changes over training, and a training meets the mean of what it goes through,
/// with weights 1 / (1 + scale / batch_size): the progress that an update makes (McCandlish et al.
/// 2018, sec. 2.3). `typical` is that mean over the four quarters of what was measured, or over
/// fewer stretches of at least 30 measurements; its interval spans the means of the lower and of
/// the upper ends (negative ones taken as 0) over the first stretch, the first two and so on to
/// all, because a target may be reached at any time, widened by kModelFactor at both ends. Fewer
/// than two measurements: an interval from 0 to infinity.
[[nodiscard]] MeasuredNoise summarize_noise(std::span<const GradientNorms> measured,
                                            std::int64_t batch_size);

/// How the learning rate should follow from batch `from` to batch `to` at that noise scale (0 to
/// infinity): ((1 + scale / from) / (1 + scale / to))^exponent.
[[nodiscard]] double learning_rate_ratio(double noise_scale, double from, double to,
                                         double exponent);

/// batches: rising. The interval of batch sizes holds those that can be the fastest at a noise
/// scale within its interval: the ratio of their seconds to the best's, over the repetitions that
/// both have, is not above 1 with kConfidence, or not above 1.1. Recommended is the batch whose
/// seconds exceed the fastest's by least at the noise scale that suits it least; of those within
/// 2 % of that the smallest.
[[nodiscard]] BatchAdvice advise_batch(std::span<const MeasuredBatch> batches,
                                       const MeasuredNoise& noise, const BaseSetting& base);

/// One sentence after a training at that batch size; empty where nothing was measured.
[[nodiscard]] std::string advice_line(std::span<const GradientNorms> measured,
                                      std::int64_t batch_size);

}  // namespace batchwise
