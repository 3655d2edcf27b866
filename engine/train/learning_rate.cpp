#include "engine/train/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace batchwise {
namespace {

double scaled_peak(const Experiment& experiment) {
  const OptimizerConfig& optimizer = experiment.optimizer;
  const double ratio = static_cast<double>(experiment.training.batch_size) /
                       static_cast<double>(optimizer.reference_batch_size);
  switch (optimizer.learning_rate_scaling) {
    case LearningRateScaling::none: return optimizer.learning_rate;
    case LearningRateScaling::linear: return optimizer.learning_rate * ratio;
    case LearningRateScaling::sqrt: return optimizer.learning_rate * std::sqrt(ratio);
  }
  return optimizer.learning_rate;
}

}  // namespace

LearningRate::LearningRate(const Experiment& experiment, std::int64_t steps_per_epoch,
                           BatchStart start)
    : schedule_(experiment.schedule),
      epochs_(static_cast<double>(experiment.training.epochs)),
      steps_per_epoch_(static_cast<double>(std::max<std::int64_t>(1, steps_per_epoch))),
      start_(start),
      peak_(scaled_peak(experiment)) {
  if (schedule_.kind == ScheduleKind::one_cycle && schedule_.warmup_epochs == 0.0) {
    schedule_.warmup_epochs = 0.3 * epochs_;
  }
}

double LearningRate::at(std::int64_t step) const {
  const auto epochs_before = static_cast<double>(start_.epochs);
  const auto steps = static_cast<double>(step - start_.steps);
  const double epochs_done = epochs_before + (steps - 1.0) / steps_per_epoch_;
  if (epochs_done < schedule_.warmup_epochs) {
    // Both in steps of the present size, so that whole numbers stay exact.
    const double steps_done = epochs_before * steps_per_epoch_ + steps;
    return peak_ * std::min(1.0, steps_done / (schedule_.warmup_epochs * steps_per_epoch_));
  }
  return peak_ * factor_at(epochs_done);
}

double LearningRate::factor_at(double epochs_done) const {
  switch (schedule_.kind) {
    case ScheduleKind::constant: return 1.0;
    case ScheduleKind::step: {
      double factor = 1.0;
      for (const double epoch : schedule_.at) {
        if (epoch <= epochs_done) factor *= schedule_.factor;
      }
      return factor;
    }
    case ScheduleKind::exponential: return std::pow(schedule_.factor, epochs_done);
    case ScheduleKind::cosine:
    case ScheduleKind::one_cycle: {
      const double length = epochs_ - schedule_.warmup_epochs;
      const double progress =
          length <= 0.0 ? 1.0 : std::min(1.0, (epochs_done - schedule_.warmup_epochs) / length);
      const double wave = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
      return schedule_.to + (1.0 - schedule_.to) * wave;
    }
  }
  return 1.0;
}

}  // namespace batchwise
