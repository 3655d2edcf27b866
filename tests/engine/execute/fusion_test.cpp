// A fused plan against the same plan unfused, bit for bit: weights after updates, and predictions.
#include <gtest/gtest.h>

#include "engine/execute/executor.h"
#include "engine/train/resident_data.h"
#include "engine/train/weights.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

constexpr std::int64_t kSamples = 300;
constexpr std::int64_t kMicroBatch = 70;  // 300 = 4 * 70 + 20

PlanRequest request_of(Phase phase, const Backend& backend) {
  PlanRequest request = phase == Phase::training
                            ? testing_support::training_request(kSamples, kMicroBatch)
                            : testing_support::inference_request(phase, kSamples, kMicroBatch);
  request.real = backend.real();
  request.data_type = ElementType::f32;
  request.data_samples = kSamples;
  return request;
}

Plan plan_of(const Graph& graph, const PlanRequest& request, bool fused) {
  Plan plan = make_plan(graph, request);
  if (fused) return plan;
  plan.program = lower(differentiate(graph, plan.parameters, request), request);
  plan.schedule = schedule(plan.program);
  plan.placement = place(plan.program, plan.schedule, plan.parameters, request);
  return plan;
}

bool has_fused_step(const Plan& plan) {
  for (const Step& step : plan.program.steps) {
    if (step.operation == "dense_activation_forward") return true;
  }
  return false;
}

/// What is left after three updates (training: all weights) or after the passes (prediction: all
/// probabilities).
std::vector<std::byte> results_of(const Plan& plan, const Backend& backend,
                                  const Samples& samples) {
  MemoryMeter meter;
  const Arenas arenas(backend, plan.placement.arena_bytes, meter);
  const Normalization none{.channels = 1, .shift = {0.0f}, .divisor = {1.0f}};
  const ResidentData data(samples, none, backend, meter);
  Executor executor(plan, backend, arenas, data.arrays());
  const ParameterArena weights{&backend, &plan.parameters, arenas[ArenaKind::parameters].data(),
                               true};
  initialize_weights(weights, 3);
  if (plan.request.phase == Phase::training) {
    upload_tables(plan, backend, arenas);
    executor.set_indices(testing_support::first_ids(kSamples));
  }
  std::vector<std::byte> probabilities;
  for (std::uint64_t step = 1; step <= 3; ++step) {
    UpdateScalars scalars{.seed = 1, .step = step, .batch_samples = kSamples};
    scalars.gradient_scale = 1.0 / static_cast<double>(kSamples);
    scalars.learning_rate = 0.01;
    for (std::int64_t first = 0; first < kSamples; first += kMicroBatch) {
      const std::int64_t rows = std::min(kMicroBatch, kSamples - first);
      executor.prepare(rows);
      scalars.first_sample = first;
      executor.run_pass(rows, scalars);
      if (plan.request.phase == Phase::training) continue;
      const auto pass = executor.download(plan.program.probabilities, rows);
      probabilities.insert(probabilities.end(), pass.begin(), pass.end());
    }
    if (plan.request.phase == Phase::training) (void)executor.run_update(scalars);
  }
  return plan.request.phase == Phase::training ? download_bytes(weights) : probabilities;
}

class Fusion : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(Fusion, ChangesNoBit) {
  const auto [device, function] = GetParam();
  const Backend& backend = find_backend(device);
  const Experiment experiment = testing_support::small_experiment();
  const Samples samples = testing_support::data_of(experiment).train;
  const std::string activation = std::string(", activation = \"") + function + "\" }";
  const Graph graph = testing_support::graph_of(
      "{ type = \"dense\", units = 37" + activation + ", { type = \"dense\", units = 300" +
          activation + ", { type = \"dense\", units = 4 }",
      {12});
  for (const Phase phase : {Phase::training, Phase::prediction}) {
    const PlanRequest request = request_of(phase, backend);
    const Plan fused = plan_of(graph, request, true);
    const Plan unfused = plan_of(graph, request, false);
    ASSERT_TRUE(has_fused_step(fused));
    ASSERT_FALSE(has_fused_step(unfused));
    const std::vector<std::byte> expected = results_of(unfused, backend, samples);
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(results_of(fused, backend, samples), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Plans, Fusion,
                         ::testing::Combine(::testing::Values("cpu", "emulated", "reference"),
                                            ::testing::Values("relu", "leaky_relu", "tanh",
                                                              "sigmoid")),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)) + "_" +
                                  std::get<1>(instance.param);
                         });

}  // namespace
}  // namespace batchwise
