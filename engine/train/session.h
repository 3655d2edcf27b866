// Everything a training run needs before its first step: data, graph, plans, memory, initial
// weights. All that can be wrong with an experiment is found while a session is made.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/execute/communicator.h"
#include "engine/execute/executor.h"
#include "engine/memory/pool.h"
#include "engine/model/experiment.h"
#include "engine/plan/fit.h"
#include "engine/train/evaluation.h"
#include "engine/train/gradient_norms.h"
#include "engine/train/resident_data.h"
#include "engine/train/run_facts.h"
#include "engine/train/weights.h"

namespace batchwise {

enum class SessionUse {
  train,
  plan_only,  ///< plans whatever memory there is, and takes none: only what describes the plan may
              ///< be called
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
  [[nodiscard]] const Graph& graph() const { return facts_.graph; }
  [[nodiscard]] const Backend& backend() const { return backend_; }
  [[nodiscard]] const Normalization& normalization() const { return facts_.normalization; }
  [[nodiscard]] const RunPlan& plan() const { return *plan_; }
  [[nodiscard]] const Plan& training_plan() const { return plan_->training; }
  /// Bytes the present plan takes, by category.
  [[nodiscard]] const Footprint& memory_plan() const { return plan_->bytes.footprint; }
  /// The most that the device's allocator held at once.
  [[nodiscard]] std::int64_t peak_bytes() const { return meter_.peak_bytes; }
  /// What is taken of the device for the transient block: of the largest plan so far.
  [[nodiscard]] std::int64_t pool_bytes() const { return transient_.reserved_bytes(); }

  [[nodiscard]] std::int64_t training_samples() const { return facts_.data.training_samples; }
  [[nodiscard]] std::int64_t validation_samples() const { return facts_.data.validation_samples; }
  [[nodiscard]] std::int64_t test_samples() const { return facts_.data.test_samples; }
  [[nodiscard]] std::int64_t steps_per_epoch() const;
  /// Samples a pass holds at most.
  [[nodiscard]] std::int64_t micro_batch_size() const;
  [[nodiscard]] std::int64_t micro_batches(std::int64_t batch_samples) const;

  /// Goes on with updates of so many samples: plans anew, keeps weights, running statistics and
  /// optimizer state, and takes more memory only where the pool has too little. What was "auto" is
  /// resolved anew. Throws InputError where the batch cannot be planned or does not fit, and then
  /// nothing has changed; OutOfMemory where the device refused even the smallest passes, after
  /// which the weights are there still but no update can be made.
  void change_batch_size(std::int64_t batch_size);
  /// What the user should know and was not asked, such as smaller passes than planned; each once.
  [[nodiscard]] std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }

  /// One weight update on the samples of these ids, 1 to batch_size of them. Returns its status;
  /// the weights are untouched when it is not finite. std::invalid_argument for ids that do not
  /// exist. norms: where given, set to what the batch says of its samples' gradients; only with
  /// measures_gradients(), else std::logic_error.
  UpdateStatus update(std::span<const std::int32_t> sample_ids, std::int64_t step,
                      double learning_rate, GradientNorms* norms = nullptr);
  /// Whether updates can tell the norms of their samples' gradients: with
  /// measure.noise_scale_every_steps, where a dense layer is trained.
  [[nodiscard]] bool measures_gradients() const;
  /// Names the layers and samples behind an update that was not finite.
  [[nodiscard]] std::string describe_nonfinite(std::span<const std::int32_t> sample_ids) const;

  [[nodiscard]] std::optional<SplitResult> evaluate_validation();
  [[nodiscard]] std::optional<SplitResult> evaluate_test();
  /// Per class, of the predictions of the last evaluate_test(), which must have given a result.
  [[nodiscard]] Classification classify_test() const;

  [[nodiscard]] ParameterArena weights() const;
  /// Of the last update, summed over its samples: neither scaled nor clipped.
  [[nodiscard]] ParameterArena gradients() const;
  [[nodiscard]] ParameterArena optimizer_slot(int slot) const;
  [[nodiscard]] int optimizer_slots() const { return training_plan().optimizer_slots; }
  /// SHA-256 over the weights and running statistics in f32.
  [[nodiscard]] std::string weights_sha256() const;

 private:
  [[nodiscard]] std::vector<std::int32_t> nonfinite_samples(
      std::span<const std::int32_t> sample_ids) const;
  [[nodiscard]] std::vector<std::string> nonfinite_gradients() const;

  [[nodiscard]] GradientNorms gradient_norms(const UpdateStatus& status,
                                             const UpdateScalars& scalars) const;

  [[nodiscard]] std::int64_t memory_limit() const;
  [[nodiscard]] Fitting fitting(std::int64_t budget_bytes) const;
  [[nodiscard]] std::int64_t auto_budget() const;
  void check_micro_batch() const;
  void resolve_batch_size();
  [[noreturn]] void refuse_every_batch(const Fitting& fit) const;
  [[nodiscard]] Passes checked_passes(std::int64_t batch_size) const;
  void take_plan(const Passes& passes);
  void refuse_what_does_not_fit(const Passes& passes) const;
  void allocate(const Dataset& dataset);
  void bind();
  void bind_or_shrink();
  [[nodiscard]] std::optional<Passes> smaller_passes() const;
  [[nodiscard]] std::array<std::byte*, kArenaKinds> bases_of(const Plan& plan) const;
  void check_ids(std::span<const std::int32_t> sample_ids) const;

  Experiment experiment_;  ///< resolved
  TrainingConfig asked_;   ///< as the user wrote it, "auto" included
  const Backend& backend_;
  SingleProcess communicator_;
  RunFacts facts_;
  DeviceFacts device_;
  Passes passes_;
  std::unique_ptr<const RunPlan> plan_;  ///< executors point into it
  std::vector<std::string> notes_;

  MemoryMeter meter_;
  MemoryMeter host_meter_;
  DeviceBuffer parameters_, gradients_, optimizer_, control_;
  ResidentData training_data_, test_data_;
  std::vector<std::int32_t> test_labels_;
  MemoryPool transient_;
  MemoryPool host_;
  std::byte* transient_base_ = nullptr;
  std::byte* host_base_ = nullptr;

  ValueId gradients_value_ = kNoValue;  ///< of the training plan: the whole arena
  std::optional<Executor> training_;
  std::optional<Executor> validation_;
  std::optional<Executor> test_;
};

}  // namespace batchwise
