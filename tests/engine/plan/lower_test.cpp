// Lowering: dead steps dropped, types and pitches set, bytes reused only where nothing reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "engine/operations/operation.h"
#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using testing_support::graph_of;
using testing_support::has_step;
using testing_support::inference_request;
using testing_support::operations_of;
using testing_support::training_request;

Program lowered(const Graph& graph, const PlanRequest& request) {
  return lower(fuse(prune(differentiate(graph, make_parameter_layout(graph), request)), request),
               request);
}

Program lowered(const std::string& layers, const PlanRequest& request = training_request(32)) {
  return lowered(graph_of(layers, {4}), request);
}

/// Whether the step of that operation and layer writes over its first input.
bool in_place(const Program& program, const std::string& operation, const std::string& layer) {
  for (const Step& step : program.steps) {
    if (step.operation != operation || step.layer != layer) continue;
    return program.root(step.inputs[0]) == program.root(step.outputs[0]);
  }
  ADD_FAILURE() << "no step " << operation << " of " << layer;
  return false;
}

TEST(Lower, DropsTheFirstLayersInputGradient) {
  const Program program = lowered(
      R"({ type = "dense", units = 8, activation = "relu" }, { type = "dense", units = 3 })");
  EXPECT_FALSE(has_step(program, "dense_backward_input", "dense_1"));
  EXPECT_TRUE(has_step(program, "dense_backward_input", "dense_2"));
  EXPECT_TRUE(has_step(program, "dense_backward_weight", "dense_1"));
}

TEST(Lower, KeepsOfAFirstBatchNormWhatItsParametersNeed) {
  const Program program = lowered(R"({ type = "batchnorm" }, { type = "dense", units = 3 })");
  EXPECT_TRUE(has_step(program, "batchnorm_statistics", "batchnorm_1"));
  EXPECT_TRUE(has_step(program, "batchnorm_backward_parameters", "batchnorm_1"));
  EXPECT_FALSE(has_step(program, "batchnorm_backward_sums", "batchnorm_1"));
  EXPECT_FALSE(has_step(program, "batchnorm_backward_input", "batchnorm_1"));
}

TEST(Lower, StopsTheBackwardPassAtTheFirstTrainableLayer) {
  const Program program = lowered(
      R"({ type = "dense", units = 8, activation = "relu", trainable = false },
         { type = "dropout", rate = 0.5 }, { type = "dense", units = 6, activation = "tanh" },
         { type = "dense", units = 3 })");
  for (const char* operation : {"dense_backward_weight", "dense_backward_bias"}) {
    EXPECT_FALSE(has_step(program, operation, "dense_1")) << operation;
  }
  EXPECT_FALSE(has_step(program, "dense_backward_input", "dense_2"));
  EXPECT_FALSE(has_step(program, "activation_backward", "dense_1"));
  const std::vector<std::string> operations = operations_of(program);
  EXPECT_EQ(std::count(operations.begin(), operations.end(), "dropout"), 1);  // forward alone
}

TEST(Lower, GoesThroughAFrozenLayerInTheMiddle) {
  const Program program = lowered(
      R"({ type = "dense", units = 8 }, { type = "dense", units = 6, trainable = false },
         { type = "dense", units = 3 })");
  EXPECT_TRUE(has_step(program, "dense_backward_input", "dense_2"));
  EXPECT_FALSE(has_step(program, "dense_backward_weight", "dense_2"));
  EXPECT_FALSE(has_step(program, "dense_backward_bias", "dense_2"));
  EXPECT_TRUE(has_step(program, "dense_backward_weight", "dense_1"));
}

TEST(Lower, KeepsTheLossOfAModelThatIsFrozenWhole) {
  const Program program = lowered(R"({ type = "dense", units = 3, trainable = false })");
  EXPECT_TRUE(has_step(program, "softmax_cross_entropy", "loss"));
  EXPECT_TRUE(has_step(program, "update_results", ""));
  EXPECT_FALSE(has_step(program, "dense_backward_weight", "dense_1"));
}

TEST(Lower, WorksInPlaceWhereNothingReadsLater) {
  const Program program = lowered(
      R"({ type = "dense", units = 8 }, { type = "batchnorm" },
         { type = "activation", activation = "relu" },
         { type = "dense", units = 6, activation = "gelu" },
         { type = "dense", units = 5, activation = "tanh" }, { type = "dense", units = 3 })");
  EXPECT_TRUE(in_place(program, "activation_forward", "activation_1"));
  EXPECT_FALSE(in_place(program, "activation_forward", "dense_2"));  // gelu's gradient reads x
  for (const char* layer : {"activation_1", "dense_2", "dense_3"}) {
    EXPECT_TRUE(in_place(program, "activation_backward", layer)) << layer;
  }
}

TEST(Lower, LetsGeluWorkInPlaceWhereThereIsNoGradient) {
  const Program program = lowered(
      R"({ type = "dense", units = 6, activation = "gelu" }, { type = "dense", units = 3 })",
      inference_request(Phase::evaluation, 100, 10));
  EXPECT_TRUE(in_place(program, "activation_forward", "dense_1"));
}

TEST(Lower, KeepsAnActivationThatItsGradientReads) {
  const Program program = lowered(
      R"({ type = "dense", units = 8, activation = "relu" }, { type = "dropout", rate = 0.5 },
         { type = "dense", units = 3 })");
  const Step* forward = nullptr;
  for (const Step& step : program.steps) {
    if (step.operation == "dropout" && forward == nullptr) forward = &step;
  }
  ASSERT_NE(forward, nullptr);
  EXPECT_NE(program.root(forward->inputs[0]), program.root(forward->outputs[0]));
}

TEST(Lower, GivesRealNumbersThePlansTypeAndNoOthers) {
  PlanRequest request = training_request(32);
  request.real = ElementType::f64;
  const Program program = lowered(
      R"({ type = "dense", units = 8 }, { type = "batchnorm" }, { type = "dense", units = 3 })",
      request);
  const auto type_of = [&](const char* name) { return program.values[program.find(name)].type; };
  EXPECT_EQ(type_of("dense_1.output"), ElementType::f64);
  EXPECT_EQ(type_of("dense_1.weight"), ElementType::f64);
  EXPECT_EQ(type_of("loss"), ElementType::f64);
  EXPECT_EQ(type_of("shift"), ElementType::f64);
  EXPECT_EQ(type_of("data"), ElementType::u8);
  EXPECT_EQ(type_of("labels"), ElementType::i32);
  EXPECT_EQ(type_of("indices"), ElementType::i32);
  request.real = ElementType::f32;
  const Program single = lowered(
      R"({ type = "dense", units = 8 }, { type = "batchnorm" }, { type = "dense", units = 3 })",
      request);
  EXPECT_EQ(single.values[single.find("dense_1.output")].type, ElementType::f32);
  EXPECT_EQ(single.values[single.find("batchnorm_1.pooled")].type, ElementType::f64);
}

TEST(Lower, PadsRowsToSixteenElements) {
  const Program program = lowered(
      R"({ type = "dense", units = 1 }, { type = "dense", units = 17 }, { type = "dense", units = 3 })");
  const auto pitch_of = [&](const char* name) { return program.values[program.find(name)].pitch; };
  EXPECT_EQ(pitch_of("input"), 16);
  EXPECT_EQ(pitch_of("dense_1.output"), 1);  // a vector needs no padding between rows
  EXPECT_EQ(pitch_of("dense_2.output"), 32);
  EXPECT_EQ(pitch_of("dense_2.weight"), 32);  // [inputs][padded units]
  EXPECT_EQ(pitch_of("dense_2.weight.gradient"), 32);
  EXPECT_EQ(pitch_of("loss"), 1);
}

/// Every activation a step reads still holds what its producer wrote: no step in between has
/// written another value over the bytes they share.
void expect_reads_what_was_written(const Graph& graph, const PlanRequest& request) {
  const Program before = fuse(differentiate(graph, make_parameter_layout(graph), request), request);
  const Program program = lower(before, request);
  std::map<ValueId, ValueId> content;  // of a root: which value, reshapes looked through
  for (const Step& step : program.steps) {
    for (const ValueId id : step.inputs) {
      if (id == kNoValue || program.values[id].arena != ArenaKind::activations) continue;
      ASSERT_TRUE(content.contains(program.root(id))) << program.values[id].name << " is unwritten";
      EXPECT_EQ(content[program.root(id)], before.root(id))
          << step.operation << " of " << step.layer << " reads " << program.values[id].name << "\n"
          << to_text(program);
    }
    for (const ValueId id : step.outputs) {
      if (id == kNoValue || program.values[id].arena != ArenaKind::activations) continue;
      content[program.root(id)] = before.root(id);
    }
  }
}

TEST(Lower, NeverWritesOverWhatIsStillRead) {
  std::mt19937 generator(7);
  for (int trial = 0; trial < 300; ++trial) {
    const Graph graph = graph_of(testing_support::random_layers(generator), {1, 1, 20});
    expect_reads_what_was_written(graph, training_request(64, 32));
    expect_reads_what_was_written(graph, inference_request(Phase::evaluation, 50, 7));
    expect_reads_what_was_written(graph, inference_request(Phase::prediction, 50, 7));
  }
}

TEST(Lower, WorksInPlaceOnlyWhereTheRecordAllows) {
  std::mt19937 generator(8);
  for (int trial = 0; trial < 300; ++trial) {
    const Plan plan = testing_support::random_plan(generator);
    for (const Step& step : plan.program.steps) {
      const int allowed = find_kernel_record(step.operation).in_place_input;
      for (std::size_t input = 0; input < step.inputs.size(); ++input) {
        for (std::size_t output = 0; output < step.outputs.size(); ++output) {
          const ValueId from = step.inputs[input];
          const ValueId to = step.outputs[output];
          if (from == kNoValue || to == kNoValue) continue;
          if (plan.program.root(from) != plan.program.root(to)) continue;
          EXPECT_EQ(static_cast<int>(input), allowed) << step.operation;
          EXPECT_EQ(output, 0u) << step.operation;
        }
      }
    }
  }
}

TEST(Lower, GivesAStepTheWorkspaceOfItsTarget) {
  PlanRequest request = training_request(64, 16);
  const auto workspaces = [&] {
    std::map<std::string, std::int64_t> bytes;
    const Program program = lowered(
        R"({ type = "dense", units = 8, activation = "relu" }, { type = "dense", units = 3 })",
        request);
    for (const Step& step : program.steps) {
      for (std::size_t index = 0; index < step.outputs.size(); ++index) {
        const ValueId id = step.outputs[index];
        if (id == kNoValue || !program.values[id].workspace) continue;
        EXPECT_EQ(index + 1, step.outputs.size()) << step.operation;
        EXPECT_EQ(program.values[id].type, ElementType::u8);
        bytes[step.operation] += program.values[id].shape[0];
      }
    }
    return bytes;
  };
  EXPECT_TRUE(workspaces().empty());
  request.target = {DeviceKind::host, Numerics::fast};
  EXPECT_TRUE(workspaces().empty());
  request.target = {DeviceKind::cuda, Numerics::invariant};
  EXPECT_TRUE(workspaces().empty());
  request.target = {DeviceKind::cuda, Numerics::fast};
  constexpr std::int64_t kBytes = std::int64_t{32} << 20;
  EXPECT_EQ(workspaces(), (std::map<std::string, std::int64_t>{
                              {"dense_activation_forward", kBytes},
                              {"dense_forward", kBytes},
                              {"dense_backward_input", kBytes},
                              {"dense_backward_weight", 2 * kBytes},
                          }));
}

}  // namespace
}  // namespace batchwise
