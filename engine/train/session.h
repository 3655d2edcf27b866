// Everything a training run needs before its first step: data, graph, plans, memory, initial
// weights. All that can be wrong with an experiment is found while a session is made.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/data/normalization.h"
#include "engine/execute/communicator.h"
#include "engine/execute/executor.h"
#include "engine/model/experiment.h"
#include "engine/model/graph.h"
#include "engine/train/evaluation.h"
#include "engine/train/learning_rate.h"
#include "engine/train/resident_data.h"
#include "engine/train/weights.h"

namespace batchwise {

/// Bytes a run plans to hold at once, by category.
struct MemoryPlan {
  std::array<std::int64_t, kArenaKinds> arenas{};  ///< external: the resident data
  [[nodiscard]] std::int64_t total_bytes() const;
};

enum class SessionUse {
  train,
  plan_only,  ///< plans without taking memory: only what describes the plan may be called
};

/// Not thread-safe. Neither copied nor moved: executors point into it.
class Session {
 public:
  /// Splits and checks the data, resolves "auto", plans, and only then allocates and draws the
  /// initial weights. Throws InputError.
  Session(Experiment experiment, Dataset dataset, SessionUse use = SessionUse::train);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// With every "auto" resolved.
  [[nodiscard]] const Experiment& experiment() const { return experiment_; }
  [[nodiscard]] const Graph& graph() const { return graph_; }
  [[nodiscard]] const Backend& backend() const { return backend_; }
  [[nodiscard]] const Normalization& normalization() const { return normalization_; }
  [[nodiscard]] const Plan& training_plan() const { return plans_.front(); }
  [[nodiscard]] const MemoryPlan& memory_plan() const { return memory_plan_; }
  [[nodiscard]] std::int64_t peak_bytes() const { return meter_.peak_bytes; }

  [[nodiscard]] std::int64_t training_samples() const { return training_samples_; }
  [[nodiscard]] std::int64_t validation_samples() const { return validation_samples_; }
  [[nodiscard]] std::int64_t test_samples() const { return test_samples_; }
  [[nodiscard]] std::int64_t steps_per_epoch() const;
  /// Samples a pass holds at most.
  [[nodiscard]] std::int64_t micro_batch_size() const;
  [[nodiscard]] std::int64_t micro_batches(std::int64_t batch_samples) const;

  /// One weight update on the samples of these ids, 1 to batch_size of them. Returns its status;
  /// the weights are untouched when it is not finite. std::invalid_argument for ids that do not
  /// exist.
  UpdateStatus update(std::span<const std::int32_t> sample_ids, std::int64_t step,
                      double learning_rate);
  /// Names the layers and samples behind an update that was not finite.
  [[nodiscard]] std::string describe_nonfinite(std::span<const std::int32_t> sample_ids) const;

  [[nodiscard]] std::optional<SplitResult> evaluate_validation();
  [[nodiscard]] std::optional<SplitResult> evaluate_test();

  [[nodiscard]] ParameterArena weights() const;
  [[nodiscard]] ParameterArena optimizer_slot(int slot) const;
  [[nodiscard]] int optimizer_slots() const { return training_plan().optimizer_slots; }
  /// SHA-256 over the weights and running statistics in f32.
  [[nodiscard]] std::string weights_sha256() const;

 private:
  [[nodiscard]] std::vector<std::int32_t> nonfinite_samples(
      std::span<const std::int32_t> sample_ids) const;
  [[nodiscard]] std::vector<std::string> nonfinite_gradients() const;

  void split_and_check(const Dataset& dataset);
  void resolve_batch_sizes(const Dataset& dataset);
  [[nodiscard]] std::int64_t largest_batch(const Dataset& dataset) const;
  [[nodiscard]] std::vector<Plan> unchecked_plans(const Dataset& dataset, std::int64_t batch_size,
                                                  std::int64_t micro_batch_size) const;
  void refuse_what_does_not_fit() const;
  void check_ids(std::span<const std::int32_t> sample_ids) const;
  void make_plans(const Dataset& dataset);
  void allocate(const Dataset& dataset);
  [[nodiscard]] PlanRequest training_request(std::int64_t batch, std::int64_t micro_batch) const;
  [[nodiscard]] PlanRequest evaluation_request(std::int64_t samples, std::int64_t rows,
                                               const Samples& data) const;

  Experiment experiment_;
  const Backend& backend_;
  SingleProcess communicator_;
  Normalization normalization_;
  Graph graph_;
  ElementType data_type_ = ElementType::u8;
  std::int64_t resident_bytes_ = 0;
  std::int64_t all_training_rows_ = 0;  ///< training and validation samples of the training file
  std::int64_t training_samples_ = 0;
  std::int64_t validation_samples_ = 0;
  std::int64_t test_samples_ = 0;
  std::vector<Plan> plans_;  ///< training; validation and test where there are such samples
  MemoryPlan memory_plan_;
  MemoryMeter meter_;
  Arenas arenas_;
  ResidentData training_data_;
  ResidentData test_data_;
  ValueId gradients_ = kNoValue;  ///< of the training plan: the whole arena
  std::optional<Executor> training_;
  std::optional<Executor> validation_;
  std::optional<Executor> test_;
};

/// Samples kept for training: floor(samples * (1 - validation_split)), from the first on.
[[nodiscard]] std::int64_t training_part(std::int64_t samples, double validation_split);

/// The shape of one sample as the graph sees it.
[[nodiscard]] Dimensions sample_dimensions(const Samples& samples);

/// The arenas several plans need when they run one after the other: each the largest.
[[nodiscard]] std::array<std::int64_t, kArenaKinds> combined_arena_bytes(
    std::span<const Plan> plans);

}  // namespace batchwise
