// A fused plan against the same plan unfused, bit for bit: weights after updates, and predictions.
#include <gtest/gtest.h>

#include "tests/engine/execute/plan_results.h"

namespace batchwise {
namespace {

constexpr std::int64_t kSamples = 300;
constexpr std::int64_t kMicroBatch = 70;  // 300 = 4 * 70 + 20

PlanRequest request_of(Phase phase, const Backend& backend) {
  return testing_support::request_on(
      backend, phase == Phase::training
                   ? testing_support::training_request(kSamples, kMicroBatch)
                   : testing_support::inference_request(phase, kSamples, kMicroBatch));
}

Plan plan_of(const Graph& graph, const PlanRequest& request, bool fused) {
  Plan plan = make_plan(graph, request);
  if (fused) return plan;
  return testing_support::with_program(plan, prune(differentiate(graph, plan.parameters, request)));
}

bool has_fused_step(const Plan& plan) {
  for (const Step& step : plan.program.steps) {
    if (step.operation == "dense_activation_forward") return true;
  }
  return false;
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
    const std::vector<std::byte> expected = testing_support::results_of(unfused, backend, samples);
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(testing_support::results_of(fused, backend, samples), expected);
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
