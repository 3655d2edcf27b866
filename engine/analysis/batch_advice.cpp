#include "engine/analysis/batch_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace batchwise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kQuarters = 4;
/// Predicted seconds that differ by less are not told apart.
constexpr double kAlike = 1.1;
/// A smaller batch is preferred where it costs at most this much more.
constexpr double kSmallerForFree = 1.02;
/// A rate that rises less needs no warm-up.
constexpr double kRiseWithoutWarmup = 2.0;

std::string scale_text(double scale) {
  return std::isinf(scale) ? "no bound" : fmt::format("{:.3g}", scale);
}

std::string interval_text(const Estimate& scale) {
  return fmt::format("{} ({} to {})", scale_text(scale.value), scale_text(scale.low),
                     scale_text(scale.high));
}

/// Noise scales from one end of the interval to the other; beyond these ends predictions no longer
/// change.
std::vector<double> scales_of(const Estimate& noise, std::int64_t smallest, std::int64_t largest) {
  constexpr int kPoints = 33;
  const double least = 0.01 * static_cast<double>(smallest);
  const double most = 100.0 * static_cast<double>(largest);
  const double low = std::clamp(noise.low, least, most);
  const double high = std::clamp(noise.high, low, most);
  std::vector<double> scales;
  for (int i = 0; i < kPoints; ++i) {
    scales.push_back(low * std::pow(high / low, static_cast<double>(i) / (kPoints - 1)));
  }
  return scales;
}

Estimate exponential(const Estimate& logarithm) {
  return {.value = std::exp(logarithm.value),
          .low = std::exp(logarithm.low),
          .high = std::exp(logarithm.high),
          .count = logarithm.count};
}

/// first / second over the repetitions that both have: what slowed both in one cancels.
Estimate ratio_of_seconds(const MeasuredBatch& first, const MeasuredBatch& second) {
  std::vector<double> logarithms;
  for (std::size_t i = 0; i < std::min(first.repetitions.size(), second.repetitions.size()); ++i) {
    const double ratio = first.repetitions[i] / second.repetitions[i];
    if (!std::isnan(ratio)) logarithms.push_back(std::log(ratio));
  }
  return exponential(mean_estimate(logarithms));
}

/// The ratios of every two batches, which do not depend on the noise scale.
using Ratios = std::vector<std::vector<Estimate>>;

Ratios all_ratios(std::span<const MeasuredBatch> batches) {
  Ratios ratios(batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    for (const MeasuredBatch& other : batches) {
      ratios[i].push_back(ratio_of_seconds(batches[i], other));
    }
  }
  return ratios;
}

/// The measured batches at one noise scale, by index.
class Prediction {
 public:
  Prediction(std::span<const MeasuredBatch> batches, const Ratios& ratios, double scale)
      : ratios_(ratios) {
    double least = kInfinity;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      factors_.push_back(1.0 + scale / static_cast<double>(batches[i].batch_size));
      const double seconds = factors_.back() * batches[i].seconds().value;
      if (!(seconds < least)) continue;
      least = seconds;
      best_ = i;
    }
  }

  /// Seconds to the target against those of the fastest.
  [[nodiscard]] Estimate times(std::size_t batch) const {
    Estimate times = ratios_[batch][best_];
    const double factor = factors_[batch] / factors_[best_];
    times.value *= factor;
    times.low *= factor;
    times.high *= factor;
    return times;
  }
  [[nodiscard]] bool may_be_fastest(std::size_t batch) const {
    const Estimate found = times(batch);
    return found.low <= 1.0 || found.value <= kAlike;
  }

 private:
  const Ratios& ratios_;
  std::vector<double> factors_;  ///< 1 + scale / batch size
  std::size_t best_ = 0;
};

Estimate relative_estimate(std::size_t batch, std::span<const Prediction> predictions,
                           const Prediction& typical) {
  Estimate times = typical.times(batch);
  for (const Prediction& each : predictions) {
    times.low = std::min(times.low, each.times(batch).low);
    times.high = std::max(times.high, each.times(batch).high);
  }
  return times;
}

/// The mean of noise scales with weights 1 / (1 + scale / batch), which takes scales without bound.
class ProgressMean {
 public:
  explicit ProgressMean(double batch) : batch_(batch) {}
  /// The lower end of an interval may be negative, which a noise scale is not.
  void add(double end) {
    const double scale = std::max(end, 0.0);
    const double weight = 1.0 / (1.0 + scale / batch_);
    weights_ += weight;
    sum_ += std::isinf(scale) ? batch_ : weight * scale;
  }
  [[nodiscard]] double mean() const { return weights_ > 0.0 ? sum_ / weights_ : kInfinity; }

 private:
  double batch_;
  double sum_ = 0.0;
  double weights_ = 0.0;
};

double worst_times(std::size_t batch, std::span<const Prediction> predictions) {
  double worst = 0.0;
  for (const Prediction& each : predictions) worst = std::max(worst, each.times(batch).value);
  return worst;
}

std::size_t recommended(std::size_t batches, std::span<const Prediction> predictions) {
  double least = kInfinity;
  for (std::size_t i = 0; i < batches; ++i) least = std::min(least, worst_times(i, predictions));
  std::size_t batch = 0;
  while (worst_times(batch, predictions) > least * kSmallerForFree) ++batch;
  return batch;
}

std::string batch_reason(const BatchAdvice& advice, const MeasuredNoise& noise,
                         const MeasuredBatch& chosen, double worst) {
  std::string reason = fmt::format(
      "at a noise scale of {} batch {} takes {:.0f} samples a second and at most {:.2f} times the "
      "seconds of the fastest batch, wherever in its interval the noise scale lies",
      interval_text(noise.typical), chosen.batch_size,
      static_cast<double>(chosen.batch_size) / chosen.seconds().value, worst);
  if (!advice.undecided) return reason;
  reason += fmt::format("; undecided: the interval spans a factor of {}",
                        advice.highest_batch / advice.lowest_batch);
  if (!noise.measurable) {
    return reason +
           ", because the noise scale cannot be measured at this setting, however long; a sweep "
           "over it decides";
  }
  const bool rises = noise.early.high < noise.late.low;
  reason += rises ? fmt::format(
                        ", because the noise scale rose from {} to {} over the training, "
                        "which more time does not narrow; a sweep over it decides",
                        scale_text(noise.early.value), scale_text(noise.late.value))
                  : ", and a longer --within narrows it";
  return reason;
}

void advise_learning_rate(BatchAdvice& advice, const MeasuredNoise& noise,
                          const BaseSetting& base) {
  const auto from = static_cast<double>(base.batch_size);
  const auto to = static_cast<double>(advice.batch_size);
  const bool sgd = base.optimizer == OptimizerName::sgd;
  const double exponent = sgd ? 1.0 : 0.5;
  Estimate ratio{.value = learning_rate_ratio(noise.typical.value, from, to, exponent),
                 .low = kInfinity,
                 .high = 0.0,
                 .count = 0};
  for (const double scale : {noise.typical.low, noise.typical.high}) {
    for (const double power : {exponent, 1.0}) {
      const double corner = learning_rate_ratio(scale, from, to, power);
      ratio.low = std::min(ratio.low, corner);
      ratio.high = std::max(ratio.high, corner);
    }
  }
  advice.learning_rate = {.value = base.learning_rate * ratio.value,
                          .low = base.learning_rate * ratio.low,
                          .high = base.learning_rate * ratio.high,
                          .count = noise.typical.count};
  advice.learning_rate_reason = fmt::format(
      "{:g} at batch {} times {:.3g}, {}", base.learning_rate, base.batch_size, ratio.value,
      sgd ? "linear below the noise scale and level above it (McCandlish et al. 2018)"
          : "the square root of the rule for sgd, as for Adam (Malladi et al. 2022); its upper end "
            "is that rule itself");
  const bool needs_warmup = ratio.value >= kRiseWithoutWarmup;
  if (needs_warmup) {
    advice.warmup_epochs = {.value = std::min(1.0, base.epochs / 10.0),
                            .low = std::min(1.0, base.epochs / 10.0),
                            .high = std::min(5.0, base.epochs / 5.0),
                            .count = 0};
    advice.warmup_epochs.high = std::max(advice.warmup_epochs.low, advice.warmup_epochs.high);
  } else {
    advice.warmup_epochs = {.value = 0.0, .low = 0.0, .high = 0.0, .count = 0};
  }
  advice.warmup_reason =
      needs_warmup ? fmt::format(
                         "the rate rises {:.3g} times; a rule of thumb, 5 epochs of 90 in "
                         "Goyal et al. 2017",
                         ratio.value)
                   : fmt::format(
                         "the rate changes {:.3g} times, and warm-up is for a rise of {:g} "
                         "or more; a rule of thumb",
                         ratio.value, kRiseWithoutWarmup);
}

}  // namespace

Estimate MeasuredBatch::seconds() const {
  std::vector<double> logarithms;
  for (const double each : repetitions) {
    if (!std::isnan(each)) logarithms.push_back(std::log(each));
  }
  return exponential(mean_estimate(logarithms));
}

MeasuredNoise summarize_noise(std::span<const GradientNorms> measured, std::int64_t batch_size) {
  MeasuredNoise noise;
  noise.typical = {.value = kInfinity, .low = 0.0, .high = kInfinity, .count = 0};
  noise.early = noise.late = noise.typical;
  const std::vector<NoiseWindow> quarters = noise_scale_over_training(measured, kQuarters);
  if (quarters.empty() || std::isnan(quarters.front().scale.value)) return noise;
  noise.early = quarters.front().scale;
  noise.late = quarters.back().scale;
  noise.typical.low = kInfinity;
  noise.typical.high = 0.0;
  const auto batch = static_cast<double>(batch_size);
  ProgressMean value(batch);
  ProgressMean low(batch);
  ProgressMean high(batch);
  for (const NoiseWindow& quarter : quarters) {
    value.add(quarter.scale.value);
    low.add(quarter.scale.low);
    high.add(quarter.scale.high);
    noise.typical.low = std::min(noise.typical.low, low.mean());
    noise.typical.high = std::max(noise.typical.high, high.mean());
    noise.typical.count += quarter.scale.count;
  }
  noise.typical.value = value.mean();
  noise.typical.low /= kModelFactor;
  noise.typical.high *= kModelFactor;
  return noise;
}

double learning_rate_ratio(double noise_scale, double from, double to, double exponent) {
  const double ratio =
      std::isinf(noise_scale) ? to / from : (1.0 + noise_scale / from) / (1.0 + noise_scale / to);
  return std::pow(ratio, exponent);
}

BatchAdvice advise_batch(std::span<const MeasuredBatch> batches, const MeasuredNoise& noise,
                         const BaseSetting& base) {
  std::vector<MeasuredBatch> measured;
  std::copy_if(batches.begin(), batches.end(), std::back_inserter(measured),
               [](const MeasuredBatch& each) { return each.refused.empty(); });
  BatchAdvice advice;
  advice.relative_seconds.resize(batches.size());
  if (measured.empty()) return advice;
  const std::int64_t smallest = measured.front().batch_size;
  const std::int64_t largest = measured.back().batch_size;
  const Ratios ratios = all_ratios(measured);
  const std::vector<double> scales = scales_of(noise.typical, smallest, largest);
  std::vector<Prediction> predictions;
  for (const double scale : scales) predictions.emplace_back(measured, ratios, scale);
  const Prediction typical(measured, ratios,
                           std::clamp(noise.typical.value, scales.front(), scales.back()));
  advice.lowest_batch = largest;
  std::size_t row = 0;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const std::int64_t size = measured[i].batch_size;
    while (batches[row].batch_size != size) ++row;
    advice.relative_seconds[row] = relative_estimate(i, predictions, typical);
    if (std::none_of(predictions.begin(), predictions.end(),
                     [&](const Prediction& at) { return at.may_be_fastest(i); })) {
      continue;
    }
    advice.lowest_batch = std::min(advice.lowest_batch, size);
    advice.highest_batch = std::max(advice.highest_batch, size);
  }
  advice.undecided = static_cast<double>(advice.highest_batch) >
                     kUndecidedFactor * static_cast<double>(advice.lowest_batch);
  const std::size_t best = recommended(measured.size(), predictions);
  const MeasuredBatch& chosen = measured[best];
  advice.batch_size = chosen.batch_size;
  advice.micro_batch_size = chosen.micro_batch_size;
  advice.batch_reason = batch_reason(advice, noise, chosen, worst_times(best, predictions));
  advice.micro_batch_reason =
      chosen.micro_batch_size == chosen.batch_size
          ? "the whole batch fits in one pass"
          : fmt::format("the most of the batch of {} that fits in one pass", chosen.batch_size);
  advise_learning_rate(advice, noise, base);
  return advice;
}

std::string advice_line(std::span<const GradientNorms> measured, std::int64_t batch_size) {
  const Estimate scale = noise_scale(measured);
  if (scale.count < 2 || std::isnan(scale.value)) return {};
  const std::string measured_text =
      fmt::format("advice: noise scale {} over the run: ", interval_text(scale));
  const std::string how = "; batchwise advise measures throughput too";
  if (std::isinf(scale.high)) {
    return fmt::format("{}too uncertain to say what a larger batch than {} would cost{}",
                       measured_text, batch_size, how);
  }
  const double samples = 1.0 + static_cast<double>(batch_size) / scale.value;
  return fmt::format(
      "{}batch {} takes about {:.2f} times the samples of the smallest batches, and a batch of {} "
      "would take 2 times{}",
      measured_text, batch_size, samples, scale_text(scale.value), how);
}

}  // namespace batchwise
