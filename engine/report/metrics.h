// The lines of metrics.jsonl. Numbers are printed so that they read back exactly; NaN is null.
#pragma once

#include <optional>
#include <string>

#include "engine/train/evaluation.h"
#include "engine/train/gradient_norms.h"
#include "engine/train/progress.h"

namespace batchwise {

/// How a GPU was used when an epoch ended; nothing on other devices.
struct DeviceMetrics {
  std::optional<std::int64_t> memory_bytes;  ///< in use, by other programs too
  std::optional<double> utilization;         ///< from 0 to 1
};

struct StepMetrics {
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::int64_t samples = 0;
  double loss = 0.0;  ///< mean over the batch, before the update
  double learning_rate = 0.0;
};

/// What an update's batch says of its samples' gradients (GradientNorms).
struct NoiseMetrics {
  std::int64_t epoch = 0;
  GradientNorms norms;
};

/// A change of the batch size, before the first step with the new one.
struct BatchSizeMetrics {
  std::int64_t epoch = 0;  ///< that begins
  std::int64_t step = 0;   ///< weight updates so far
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;
  double learning_rate = 0.0;  ///< of the next update
  std::int64_t planned_bytes = 0;
};

[[nodiscard]] std::string step_metrics_line(const StepMetrics& metrics);
[[nodiscard]] std::string epoch_metrics_line(const Progress& progress, double train_loss,
                                             double train_accuracy,
                                             const std::optional<SplitResult>& validation,
                                             const DeviceMetrics& device);
/// A validation inside an epoch (validate_every_steps).
[[nodiscard]] std::string validation_metrics_line(const Progress& progress,
                                                  const SplitResult& validation);
[[nodiscard]] std::string noise_metrics_line(const NoiseMetrics& metrics);
[[nodiscard]] std::string batch_size_metrics_line(const BatchSizeMetrics& metrics);

}  // namespace batchwise
