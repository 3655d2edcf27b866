// Loss, accuracy and predictions of a split. The results do not depend on the batch size.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/execute/executor.h"

namespace batchwise {

struct SplitResult {
  double loss = 0.0;      ///< mean over the samples
  double accuracy = 0.0;  ///< share whose highest logit is their label's; ties to the lowest class
  std::int64_t samples = 0;
};

/// The split of an evaluation plan, in passes of the plan's micro-batch; the executor is prepared
/// for it by prepare_passes.
[[nodiscard]] SplitResult evaluate_split(Executor& executor);

/// The predicted class of each sample, after evaluate_split.
[[nodiscard]] std::vector<std::int32_t> predicted_classes(const Executor& executor);

/// Probabilities or logits of each sample of a prediction plan, handed over pass by pass as
/// [rows, classes] f32 in order of the samples.
void predict_split(Executor& executor,
                   const std::function<void(std::int64_t first, std::int64_t rows,
                                            std::span<const float> values)>& take);

/// Binds the passes that `samples` in passes of the plan's micro-batch need.
void prepare_passes(Executor& executor, std::int64_t samples);

struct ClassMetrics {
  double precision = 0.0;  ///< NaN where the class was never predicted
  double recall = 0.0;     ///< NaN where the class has no sample
  double f1 = 0.0;         ///< NaN where the class has no sample and was never predicted
  std::int64_t samples = 0;
};

struct Classification {
  std::vector<std::vector<std::int64_t>> confusion;  ///< [label][predicted]
  std::vector<ClassMetrics> classes;
};

[[nodiscard]] Classification classify(std::span<const std::int32_t> labels,
                                      std::span<const std::int32_t> predicted,
                                      std::int64_t classes);

}  // namespace batchwise
