// Seconds per weight update against batch size, measured on real data.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/analysis/batch_advice.h"
#include "engine/data/dataset.h"

namespace batchwise {

struct ThroughputQuestion {
  std::vector<std::int64_t> batch_sizes;  ///< rising; not empty
  double seconds = 10.0;                  ///< that it may take
  std::function<int()> interrupted = {};  ///< asked after every update; other than 0: Interrupted
};

/// Repetitions go through all batch sizes in turn, up and down, so that what slows the machine for
/// a while slows all; the first update of each is not counted. Sizes that cannot be planned, or for
/// which there is no time, say so. The smallest that can be is measured whatever the time.
[[nodiscard]] std::vector<MeasuredBatch> measure_throughput(const Experiment& experiment,
                                                            const Dataset& dataset,
                                                            std::int64_t training_samples,
                                                            const ThroughputQuestion& question);

}  // namespace batchwise
