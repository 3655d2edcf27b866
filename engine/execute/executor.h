// Runs a plan: binds its steps to the kernels of a backend and to the arenas, then calls them in
// order. Binding allocates; running does not, and waits for the device only for what it returns.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "engine/memory/arena.h"
#include "engine/plan/plan.h"

namespace batchwise {

/// The resident arrays a plan reads, in device memory owned by the caller.
struct ExternalArrays {
  const std::byte* data = nullptr;     ///< [samples, features] u8 or f32
  const std::byte* labels = nullptr;   ///< [samples] i32; null for prediction
  const std::byte* shift = nullptr;    ///< [channels], real
  const std::byte* divisor = nullptr;  ///< [channels], real
};

/// Whether a pass runs the plan's measurement steps (Step::measurement) with the others.
enum class MeasurementSteps { skipped, taken };

/// Not thread-safe: one executor is one stream of work.
class Executor {
 public:
  /// The plan, the backend and the memory must outlive the executor. bases: the start of each arena
  /// in it.
  Executor(const Plan& plan, const Backend& backend,
           const std::array<std::byte*, kArenaKinds>& bases, const ExternalArrays& external);
  Executor(const Plan& plan, const Backend& backend, const Arenas& arenas,
           const ExternalArrays& external)
      : Executor(plan, backend, arenas.bases(), external) {}

  /// Binds the plan for passes of so many rows (at most the plan's). Called for every row count
  /// before the first step.
  void prepare(std::int64_t rows);

  // From set_indices() to the end of run_update(): uploads, kernels, and last of all one download,
  // of the status. A device that fails throws RunError, naming the step that was being queued.

  /// Uploads the sample ids of an update's batch. Training only.
  void set_indices(std::span<const std::int32_t> indices) const;
  /// One micro-batch: rows scalars.first_sample .. + rows of the update's batch.
  void run_pass(std::int64_t rows, const UpdateScalars& scalars,
                MeasurementSteps measurements = MeasurementSteps::skipped);
  /// What follows an update's passes. Returns what it found.
  UpdateStatus run_update(const UpdateScalars& scalars);

  /// A value of fixed extent in device memory.
  [[nodiscard]] TensorView view(ValueId value) const { return bind(value, 1); }

  /// Copies a value to the host, dense and without padding: [leading, elements] of the plan's real
  /// type or i32, as stored. For results and diagnosis, not inside steps.
  [[nodiscard]] std::vector<std::byte> download(ValueId value, std::int64_t rows) const;

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] const Backend& backend() const { return backend_; }

 private:
  struct BoundStep {
    std::string name;  ///< layer and operation, for messages and profiles
    Kernel kernel;
    std::vector<TensorView> inputs;
    std::vector<TensorView> outputs;
    const Attributes* attributes;
    bool measurement;
  };

  [[nodiscard]] TensorView bind(ValueId value, std::int64_t rows) const;
  [[nodiscard]] std::vector<BoundStep> bind_section(Section section, std::int64_t rows) const;
  void run(const std::vector<BoundStep>& steps, const UpdateScalars& scalars,
           MeasurementSteps measurements) const;

  const Plan& plan_;
  const Backend& backend_;
  std::array<std::byte*, kArenaKinds> bases_;
  ExternalArrays external_;
  ValueId scalars_, status_, indices_;
  std::map<std::int64_t, std::vector<BoundStep>> passes_;
  std::vector<BoundStep> update_;
};

/// Fills the tables a training plan reads from the control arena: the optimizer's segments.
void upload_tables(const Plan& plan, const Backend& backend,
                   const std::array<std::byte*, kArenaKinds>& bases);

}  // namespace batchwise
