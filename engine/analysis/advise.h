// batchwise advise: measures seconds per update against batch size and the gradient noise scale,
// within a time that the user gives, and recommends a setting (batch_advice.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/analysis/batch_advice.h"
#include "engine/data/dataset.h"

namespace batchwise {

struct AdviceQuestion {
  double within_seconds = 60.0;
  double seconds_spent = 0.0;                         ///< of them, before
  std::vector<std::int64_t> batch_sizes = {};         ///< empty: powers of two up to what fits
  std::function<void(const std::string&)> note = {};  ///< told what is being done
  /// Asked after every update; a number other than 0 ends it with Interrupted.
  std::function<int()> interrupted = {};
};

struct AdviceReport {
  std::string experiment;
  std::string device;
  std::int64_t memory_budget_bytes = 0;
  std::int64_t largest_batch = 0;        ///< that fits, in passes where it must be
  std::int64_t largest_single_pass = 0;  ///< that fits in one pass
  BaseSetting base;
  std::vector<MeasuredBatch> batches;  ///< rising
  MeasuredNoise noise;
  BatchAdvice advice;
  std::vector<std::string> notes;  ///< what limits the answer
  double seconds = 0.0;            ///< that it took
};

/// Throws InputError where the experiment cannot be trained here at any batch size, or none of the
/// batch sizes asked for can be measured; Interrupted. A time that is too short for anything still
/// gets one update of the smallest batch, and notes say what is missing.
[[nodiscard]] AdviceReport advise(const Experiment& experiment, const Dataset& dataset,
                                  const AdviceQuestion& question);

/// The table, the recommendation and the notes, as the command prints them.
[[nodiscard]] std::string to_text(const AdviceReport& report);
/// The same as one JSON object; what has no bound is null.
[[nodiscard]] std::string to_json(const AdviceReport& report);

}  // namespace batchwise
