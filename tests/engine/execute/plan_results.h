// What a plan leaves after it was run: for tests that compare plans which must give the same bits.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/execute/executor.h"
#include "engine/train/resident_data.h"
#include "engine/train/weights.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/small_runs.h"

namespace batchwise::testing_support {

/// For plans on samples of floats that lie on the backend.
[[nodiscard]] inline PlanRequest request_on(const Backend& backend, PlanRequest request) {
  request.real = backend.real();
  request.data_type = ElementType::f32;
  request.data_samples = request.batch_size;
  return request;
}

/// The same plan with another program in place of the one before lowering.
[[nodiscard]] inline Plan with_program(Plan plan, Program program) {
  plan.program = lower(std::move(program), plan.request);
  plan.schedule = schedule(plan.program);
  plan.placement = place(plan.program, plan.schedule, plan.parameters, plan.request);
  return plan;
}

/// What is left after three updates (training: all weights) or after the passes (prediction: all
/// probabilities). The batch is all samples.
[[nodiscard]] inline std::vector<std::byte> results_of(const Plan& plan, const Backend& backend,
                                                       const Samples& samples) {
  const std::int64_t batch = plan.request.batch_size;
  const std::int64_t micro_batch = plan.request.micro_batch_size;
  MemoryMeter meter;
  const Arenas arenas(backend, plan.placement.arena_bytes, meter);
  const Normalization none{.channels = 1, .shift = {0.0f}, .divisor = {1.0f}};
  const ResidentData data(samples, none, backend, meter);
  Executor executor(plan, backend, arenas, data.arrays());
  const ParameterArena weights{&backend, &plan.parameters, arenas[ArenaKind::parameters].data(),
                               true};
  initialize_weights(weights, 3);
  const bool trains = plan.request.phase == Phase::training;
  if (trains) {
    upload_tables(plan, backend, arenas.bases());
    executor.set_indices(first_ids(batch));
  }
  std::vector<std::byte> probabilities;
  for (std::uint64_t step = 1; step <= 3; ++step) {
    UpdateScalars scalars{.seed = 1, .step = step, .batch_samples = batch};
    scalars.gradient_scale = 1.0 / static_cast<double>(batch);
    scalars.learning_rate = 0.01;
    for (std::int64_t first = 0; first < batch; first += micro_batch) {
      const std::int64_t rows = std::min(micro_batch, batch - first);
      executor.prepare(rows);
      scalars.first_sample = first;
      executor.run_pass(rows, scalars);
      if (trains) continue;
      const auto pass = executor.download(plan.program.probabilities, rows);
      probabilities.insert(probabilities.end(), pass.begin(), pass.end());
    }
    if (trains) (void)executor.run_update(scalars);
  }
  return trains ? download_bytes(weights) : probabilities;
}

}  // namespace batchwise::testing_support
