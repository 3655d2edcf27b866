// Early stopping on validation loss, as Keras's EarlyStopping with restore_best_weights.
#pragma once

#include <cstdint>
#include <limits>

#include "engine/model/experiment.h"

namespace batchwise {

struct EarlyStopping {
  double best_loss = std::numeric_limits<double>::infinity();
  std::int64_t best_epoch = 0;
  std::int64_t best_step = 0;
  std::int64_t validations_since_best = 0;

  /// Notes a validation; true when it is the best so far by more than min_delta.
  bool note(double loss, std::int64_t epoch, std::int64_t step, const EarlyStoppingConfig& config) {
    if (!(loss < best_loss - config.min_delta)) {
      ++validations_since_best;
      return false;
    }
    best_loss = loss;
    best_epoch = epoch;
    best_step = step;
    validations_since_best = 0;
    return true;
  }

  [[nodiscard]] bool should_stop(const EarlyStoppingConfig& config) const {
    return config.patience > 0 && validations_since_best >= config.patience;
  }
};

}  // namespace batchwise
