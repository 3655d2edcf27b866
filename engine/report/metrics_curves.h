// The curves in a run's metrics.jsonl, read line by line in bounded memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/report/curve.h"

namespace batchwise {

/// Where the batch size changed.
struct BatchSizeChange {
  double step = 0.0;  ///< the last before
  std::int64_t batch_size = 0;
};

struct MetricsCurves {
  // Against the step (a weight update).
  ThinnedCurve train_loss;  ///< of each batch, before its update
  ThinnedCurve learning_rate;
  ThinnedCurve validation_loss;
  // Against the epoch.
  ThinnedCurve train_accuracy;
  ThinnedCurve validation_accuracy;
  ThinnedCurve samples_per_second;
  // Against the samples trained on, which compares runs of different batch sizes. Coarser, because
  // several runs share a chart.
  ThinnedCurve train_loss_by_samples{150};
  ThinnedCurve validation_loss_by_samples{150};

  std::vector<BatchSizeChange> batch_size_changes;
  std::int64_t unreadable_lines = 0;  ///< left out of the curves
};

/// Throws InputError when the file cannot be read. A line that is not a JSON object of a known kind
/// is counted and left out: a report is worth having even of a damaged run.
[[nodiscard]] MetricsCurves read_metrics_curves(const std::filesystem::path& metrics_file);

}  // namespace batchwise
