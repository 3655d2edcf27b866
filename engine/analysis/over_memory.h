// What training past the device's memory costs: the same updates within a budget that the plan
// exceeds, by each way there is, in seconds per sample.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"

namespace batchwise {

struct OverMemoryWay {
  std::string name;     ///< "no limit", "micro-batches of 64", ...
  std::string refused;  ///< not empty: why it does not fit; the figures are then 0
  std::int64_t planned_bytes = 0;
  std::int64_t host_bytes = 0;
  double seconds_per_sample = 0.0;  ///< median of the updates
  std::string weights_sha256;       ///< after them
};

/// Runs `updates` updates, at least 1, of the experiment's batch size after one to warm up: without
/// a limit, within the budget as it stands, in micro-batches, with checkpointing, and with
/// activations in host memory. Throws what a session throws where it fails without a limit.
[[nodiscard]] std::vector<OverMemoryWay> measure_over_memory(const Experiment& experiment,
                                                             const Dataset& dataset,
                                                             std::int64_t budget_bytes,
                                                             int updates = 5);

}  // namespace batchwise
