// When the batch of a run grows, and to which sizes ([batch_schedule]).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/model/experiment.h"

namespace batchwise {

/// Every batch size that a run of training.epochs may come to, rising; the first is
/// training.batch_size, which must be resolved. Each is min(factor times the one before, the
/// largest allowed). Throws InputError where batch_schedule.max_batch_size is below the first.
[[nodiscard]] std::vector<std::int64_t> planned_batch_sizes(const Experiment& experiment,
                                                            std::int64_t training_samples);

/// Counts the epochs in which the validation loss did not improve (kind = "plateau").
struct Plateau {
  double best_loss = std::numeric_limits<double>::infinity();
  std::int64_t epochs_since_best = 0;  ///< or since the batch last grew

  /// Notes the validation at an epoch's end. NaN is no improvement.
  void note(double loss, double min_delta);
};

/// The batch size of the epoch that begins after `epochs_done` whole ones. `sizes`: what
/// planned_batch_sizes gave; `present`: that of the epoch before, one of them.
[[nodiscard]] std::int64_t scheduled_batch_size(const BatchScheduleConfig& schedule,
                                                std::span<const std::int64_t> sizes,
                                                std::int64_t present, std::int64_t epochs_done,
                                                const Plateau& plateau);

}  // namespace batchwise
