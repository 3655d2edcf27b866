// Measurement steps in a training plan: where they are, and that nothing else moves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using testing_support::graph_of;
using testing_support::training_request;

const char* const kLayers =
    R"({ type = "dense", units = 40, activation = "relu" }, { type = "dropout", rate = 0.2 },
       { type = "dense", units = 30, trainable = false }, { type = "batchnorm", trainable = false },
       { type = "activation", activation = "gelu" }, { type = "dense", units = 3, bias = false })";

PlanRequest measuring(PlanRequest request) {
  request.sample_norms = true;
  return request;
}

/// A value by its name and place; whatever its number.
std::vector<std::string> names_of(const Plan& plan, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  for (const ValueId id : ids) {
    if (id == kNoValue) {
      names.emplace_back("-");
      continue;
    }
    const auto root = static_cast<std::size_t>(plan.program.root(id));
    names.push_back(plan.program.values[id].name + " at " +
                    std::to_string(plan.placement.offset_bytes[root]));
  }
  return names;
}

TEST(SampleNormsInAPlan, MoveNothingElse) {
  const Graph graph = graph_of(kLayers, {50});
  PlanRequest fast = training_request(96);
  fast.target = {DeviceKind::cuda, Numerics::fast};
  PlanRequest recomputing = training_request(600, 64);
  recomputing.recompute = {"dense_1", "batchnorm_1"};
  PlanRequest offloading = training_request(64);
  offloading.offload = true;
  for (const PlanRequest& request :
       {training_request(64), training_request(600, 64), fast, recomputing, offloading}) {
    const Plan without = make_plan(graph, request);
    Plan with = make_plan(graph, measuring(request));
    for (int kind = 0; kind < kArenaKinds; ++kind) {
      const auto arena = static_cast<ArenaKind>(kind);
      const bool results = arena == ArenaKind::batch;
      const std::int64_t more =
          results ? round_up(8 * request.batch_size, kArenaAlignmentBytes) : 0;
      EXPECT_EQ(with.arena_bytes(arena), without.arena_bytes(arena) + more) << name_of(arena);
    }
    EXPECT_EQ(std::erase_if(with.program.steps, [](const Step& step) { return step.measurement; }),
              2U);
    ASSERT_EQ(with.program.steps.size(), without.program.steps.size());
    for (std::size_t index = 0; index < with.program.steps.size(); ++index) {
      const Step& step = with.program.steps[index];
      const Step& same = without.program.steps[index];
      EXPECT_EQ(step.operation, same.operation);
      EXPECT_EQ(step.attributes.entries(), same.attributes.entries());
      if (step.section == Section::update) continue;
      const auto activations = [](const Plan& plan, std::vector<ValueId> ids) {
        std::erase_if(ids, [&](ValueId id) {
          return id != kNoValue && plan.program.values[id].arena == ArenaKind::control;
        });
        return names_of(plan, ids);
      };
      EXPECT_EQ(activations(with, step.inputs), activations(without, same.inputs));
      EXPECT_EQ(activations(with, step.outputs), activations(without, same.outputs));
    }
  }
}

TEST(SampleNormsInAPlan, AreOverwrittenByTheFirstLayerAndSkipFrozenOnes) {
  const Plan plan = make_plan(graph_of(kLayers, {50}), measuring(training_request(64, 32)));
  std::vector<const Step*> steps;
  for (const Step& step : plan.program.steps) {
    EXPECT_EQ(step.measurement, step.operation == "dense_sample_norms");
    if (step.measurement) steps.push_back(&step);
  }
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[0]->layer, "dense_3");
  EXPECT_EQ(steps[1]->layer, "dense_1");
  EXPECT_EQ(steps[0]->attributes.integer("accumulate"), 0);
  EXPECT_EQ(steps[1]->attributes.integer("accumulate"), 1);
  EXPECT_EQ(steps[0]->attributes.integer("bias"), 0);
  EXPECT_EQ(steps[1]->attributes.integer("bias"), 1);
  for (const Step* step : steps) EXPECT_TRUE(step->backward);
  const Value& norms = plan.program.values[steps[0]->outputs[0]];
  EXPECT_EQ(norms.type, ElementType::f64);
  EXPECT_EQ(norms.extent, Extent::per_sample);
  EXPECT_EQ(steps[0]->outputs, steps[1]->outputs);
}

TEST(SampleNormsInAPlan, AreOfNetworksThatTrainDenseLayersAlone) {
  const char* frozen =
      R"({ type = "batchnorm", group = 8 }, { type = "dense", units = 3, trainable = false })";
  PlanRequest evaluation = testing_support::inference_request(Phase::evaluation, 64, 32);
  const char* coupled = R"({ type = "dense", units = 4 }, { type = "batchnorm", group = 8 },
                          { type = "dense", units = 3 })";
  for (const Plan& plan : {make_plan(graph_of(frozen, {50}), measuring(training_request(64))),
                           make_plan(graph_of(coupled, {50}), measuring(training_request(64))),
                           make_plan(graph_of(kLayers, {50}), measuring(evaluation))}) {
    EXPECT_EQ(plan.program.find("sample_norms"), kNoValue);
    for (const Step& step : plan.program.steps) EXPECT_FALSE(step.measurement);
  }
}

}  // namespace
}  // namespace batchwise
