// A trained run on samples: evaluation and prediction at any batch size.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/train/evaluation.h"
#include "engine/train/resident_data.h"
#include "engine/train/run_folder.h"

namespace batchwise {

/// The samples `what` names: "train", "validation" or "test" of the experiment's data (train
/// without the validation part), or a path. Throws InputError when there are none, or when a sample
/// does not have as many elements as the model was trained on.
[[nodiscard]] Samples select_samples(const Experiment& experiment,
                                     const RunFolder::StoredWeights& weights,
                                     const std::string& what);

/// Rows [first, first + count) of samples.
[[nodiscard]] Samples slice(const Samples& samples, std::int64_t first, std::int64_t count);

/// Holds weights, data and arenas on a device for one phase and batch size. Not thread-safe;
/// neither copied nor moved.
class Inference {
 public:
  /// phase: evaluation (samples must be labelled) or prediction. Throws InputError.
  Inference(const Experiment& experiment, const RunFolder::StoredWeights& weights,
            const Samples& samples, std::int64_t batch_size, Phase phase,
            bool probabilities = true);
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

  [[nodiscard]] std::int64_t classes() const { return graph_.classes(); }
  [[nodiscard]] std::int64_t batch_size() const { return plan_.request.micro_batch_size; }
  [[nodiscard]] const Backend& backend() const { return backend_; }

  /// Evaluation phase only.
  [[nodiscard]] SplitResult evaluate();
  [[nodiscard]] std::vector<std::int32_t> predicted_classes() const;
  /// Prediction phase only: [samples, classes].
  [[nodiscard]] std::vector<float> predict();

 private:
  const Backend& backend_;
  Graph graph_;
  Plan plan_;
  MemoryMeter meter_;
  Arenas arenas_;
  ResidentData data_;
  std::optional<Executor> executor_;
};

/// What --compare-batch-sizes reports for one batch size.
struct BatchSizeComparison {
  std::int64_t batch_size = 0;
  double samples_per_second = 0.0;
  std::vector<double> differences;  ///< per sample: largest |difference| over the classes from its
                                    ///< batch-of-one prediction; 0 where the bits are the same
  std::int64_t differing_samples = 0;  ///< of other bits
  double largest_difference = 0.0;     ///< NaN where any difference is
};

/// Compares predictions of [samples, classes] with those one by one; leaves the batch size and the
/// throughput open.
[[nodiscard]] BatchSizeComparison compare_predictions(std::span<const float> found,
                                                      std::span<const float> one_by_one,
                                                      std::int64_t classes);

/// Predicts the samples at each batch size and compares with the predictions one by one.
[[nodiscard]] std::vector<BatchSizeComparison> compare_batch_sizes(
    const Experiment& experiment, const RunFolder::StoredWeights& weights, const Samples& samples,
    std::span<const std::int64_t> batch_sizes, bool probabilities);

}  // namespace batchwise
