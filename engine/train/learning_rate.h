// The learning rate of every weight update: scaling rule, warm-up and schedule.
#pragma once

#include <cstdint>

#include "engine/model/experiment.h"

namespace batchwise {

/// What a run had done when it came to its present batch size.
struct BatchStart {
  std::int64_t steps = 0;   ///< weight updates
  std::int64_t epochs = 0;  ///< whole ones

  bool operator==(const BatchStart&) const = default;
};

class LearningRate {
 public:
  /// Of the experiment's batch size, whose epochs have steps_per_epoch weight updates. A run that
  /// has changed its batch says since when it has this one.
  LearningRate(const Experiment& experiment, std::int64_t steps_per_epoch, BatchStart start = {});

  /// The rate that scaling gives before the schedule: learning_rate times batch_size /
  /// reference_batch_size (linear), or its square root (sqrt).
  [[nodiscard]] double peak() const { return peak_; }

  /// Of update `step`, counted from 1 and above start.steps. With x = start.epochs + (step - 1 -
  /// start.steps) / steps_per_epoch epochs done, while x < warmup_epochs it rises linearly with the
  /// epochs done after the update, peak * (x + 1 / steps_per_epoch) / warmup_epochs; then
  ///
  /// - constant: peak
  /// - step: peak * factor^(number of `at` that are <= x)
  /// - exponential: peak * factor^x
  /// - cosine: from peak at the end of warm-up to peak * to at the last epoch's end
  /// - one_cycle: as cosine, with a warm-up of 30 % of the epochs where none is given
  [[nodiscard]] double at(std::int64_t step) const;

 private:
  [[nodiscard]] double factor_at(double epochs_done) const;

  ScheduleConfig schedule_;
  double epochs_;
  double steps_per_epoch_;
  BatchStart start_;
  double peak_;
};

}  // namespace batchwise
