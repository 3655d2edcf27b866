// Runs the plan of a network step by step, with a look at memory before and after each.
#pragma once

#include <functional>
#include <span>

#include "engine/memory/arena.h"
#include "engine/plan/plan.h"
#include "engine/train/resident_data.h"
#include "engine/train/weights.h"
#include "engine/verify/networks.h"

namespace batchwise::verification {

/// Of a network's plan on a data set of so many samples.
[[nodiscard]] PlanRequest request_of(const Backend& backend, const Network& network, Phase phase,
                                     std::int64_t samples, std::int64_t batch_size,
                                     std::int64_t micro_batch_size, Numerics numerics);

/// A step that is about to run, or has run.
struct StepCall {
  int index = 0;  ///< in the program
  const Step* step = nullptr;
  std::vector<TensorView> inputs;   ///< in device memory
  std::vector<TensorView> outputs;  ///< likewise
  UpdateScalars scalars;
  std::int64_t rows = 0;  ///< of the pass; of the batch for steps of the update

  /// "layer_1 dense_forward".
  [[nodiscard]] std::string name() const;
};

struct StepObserver {
  std::function<void(const StepCall&)> before = [](const StepCall&) {};
  std::function<void(const StepCall&)> after = [](const StepCall&) {};
};

/// A network on a device for one phase and batch size. Throws what the backend throws.
class PlanRun {
 public:
  PlanRun(const Backend& backend, const Network& network, Phase phase, const Samples& samples,
          std::int64_t batch_size, std::int64_t micro_batch_size, Numerics numerics,
          std::uint64_t seed);
  PlanRun(const PlanRun&) = delete;
  PlanRun& operator=(const PlanRun&) = delete;

  /// One weight update on the first samples, of a full batch. Training.
  void update(std::int64_t step_number, const StepObserver& observer);
  /// Every sample, in passes; then, in evaluation, the sums. Evaluation and prediction.
  void infer(const StepObserver& observer);

  /// Other samples in place of those it was made with; as many of them.
  void load(const Samples& samples);
  void take_weights_of(const PlanRun& other) {
    upload_bytes(weights(), download_bytes(other.weights()));
  }

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] const Backend& backend() const { return backend_; }

  /// A block of device memory that steps read or write.
  struct Region {
    const std::byte* data;
    std::int64_t bytes;
  };
  [[nodiscard]] std::vector<Region> regions() const;

 private:
  [[nodiscard]] ParameterArena weights() const;
  [[nodiscard]] TensorView bind(ValueId id, std::int64_t rows) const;
  void run_passes(UpdateScalars scalars, const StepObserver& observer);
  void run(Section section, std::int64_t rows, const UpdateScalars& scalars,
           const StepObserver& observer);
  void poison_activations();

  const Backend& backend_;
  const Network& network_;
  std::uint64_t seed_;
  Plan plan_;
  MemoryMeter meter_;
  Arenas arenas_;
  std::array<DeviceBuffer, 4> external_;  ///< data, labels, shift, divisor
};

}  // namespace batchwise::verification
