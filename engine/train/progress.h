// Where a training run stands: everything besides tensors that resuming it exactly needs.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "engine/train/batch_schedule.h"
#include "engine/train/early_stopping.h"
#include "engine/train/learning_rate.h"

namespace batchwise {

struct Progress {
  std::int64_t step = 0;              ///< weight updates since initialisation
  std::int64_t epoch = 1;             ///< the epoch in progress, from 1
  std::int64_t samples_in_epoch = 0;  ///< consumed so far
  double epoch_loss_sum = 0.0;        ///< over those samples
  double epoch_correct = 0.0;
  double epoch_training_seconds = 0.0;
  std::int64_t skipped_updates = 0;  ///< not finite, with on_nonfinite = "skip"
  std::int64_t trained_samples = 0;  ///< since initialisation
  double training_seconds = 0.0;     ///< weight updates alone
  double seconds = 0.0;              ///< all
  double train_loss = std::numeric_limits<double>::quiet_NaN();  ///< of the last epoch; NaN: none
  double train_accuracy = std::numeric_limits<double>::quiet_NaN();
  std::int64_t validated_step = -1;  ///< whose validation early stopping has counted
  bool stopped_early = false;
  bool reached_until = false;  ///< training.until
  EarlyStopping early_stopping;
  std::int64_t batch_size = 0;  ///< that batch_schedule has come to; 0: still the experiment's
  BatchStart batch_start;       ///< of that size
  Plateau plateau;
  std::uint64_t metrics_bytes = 0;  ///< length of metrics.jsonl at this point

  /// JSON that reads back exactly.
  [[nodiscard]] std::string to_json() const;
  /// Throws InputError when the text is not such JSON.
  [[nodiscard]] static Progress from_json(std::string_view text);
};

}  // namespace batchwise
