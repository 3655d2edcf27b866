// The lines of metrics.jsonl. Numbers are printed so that they read back exactly; NaN is null.
#pragma once

#include <optional>
#include <string>

#include "engine/train/evaluation.h"
#include "engine/train/progress.h"

namespace batchwise {

struct StepMetrics {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::int64_t samples = 0;
  double loss = 0.0;  ///< mean over the batch, before the update
  double learning_rate = 0.0;
};

[[nodiscard]] std::string step_metrics_line(const StepMetrics& metrics);
[[nodiscard]] std::string epoch_metrics_line(const Progress& progress, double train_loss,
                                             double train_accuracy,
                                             const std::optional<SplitResult>& validation);
/// A validation inside an epoch (validate_every_steps).
[[nodiscard]] std::string validation_metrics_line(const Progress& progress,
                                                  const SplitResult& validation);

}  // namespace batchwise
