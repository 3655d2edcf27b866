// Fusion: which steps become one, which stay apart, and what it does to memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/operations/operation.h"
#include "kernels/ops/activation.h"
#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using ::testing::ElementsAre;
using testing_support::graph_of;
using testing_support::has_step;
using testing_support::inference_request;
using testing_support::operations_of;
using testing_support::training_request;

Program differentiated(const Graph& graph, const PlanRequest& request) {
  return differentiate(graph, make_parameter_layout(graph), request);
}

Program fused(const std::string& layers, const PlanRequest& request = training_request(32)) {
  return fuse(differentiated(graph_of(layers, {4}), request), request);
}

std::string dense(const std::string& activation) {
  return R"({ type = "dense", units = 8, activation = ")" + activation +
         R"(" }, { type = "dense", units = 3 })";
}

const Step& step_of(const Program& program, const std::string& operation) {
  for (const Step& step : program.steps) {
    if (step.operation == operation) return step;
  }
  throw std::logic_error("no step " + operation);
}

TEST(Fuse, JoinsADenseLayerWithItsActivation) {
  const Program program = fused(dense("tanh"));
  EXPECT_THAT(
      operations_of(program),
      ElementsAre("gather", "dense_activation_forward", "dense_forward", "softmax_cross_entropy",
                  "dense_backward_weight", "dense_backward_bias", "dense_backward_input",
                  "activation_backward", "dense_backward_weight", "dense_backward_bias",
                  "dense_backward_input", "update_results", "gradient_norm", "optimizer_adam"));
  const Step& step = step_of(program, "dense_activation_forward");
  EXPECT_THAT(step.inputs, ElementsAre(program.find("input"), program.find("dense_1.weight"),
                                       program.find("dense_1.bias")));
  EXPECT_THAT(step.outputs, ElementsAre(program.find("dense_1.activation")));
  EXPECT_EQ(step.attributes.integer("function"), static_cast<int>(ActivationFunction::tanh));
  EXPECT_EQ(step.layer, "dense_1");
}

TEST(Fuse, JoinsEveryFunctionThatDoesNotSaveItsInput) {
  for (const char* function : {"relu", "leaky_relu", "tanh", "sigmoid"}) {
    for (const PlanRequest& request :
         {training_request(32), inference_request(Phase::evaluation, 100, 10),
          inference_request(Phase::prediction, 100, 10)}) {
      const Program program = fused(dense(function), request);
      EXPECT_TRUE(has_step(program, "dense_activation_forward", "dense_1")) << function;
      EXPECT_FALSE(has_step(program, "activation_forward", "dense_1")) << function;
    }
  }
}

TEST(Fuse, LeavesGeluWhoseGradientReadsItsInput) {
  for (const PlanRequest& request :
       {training_request(32), inference_request(Phase::evaluation, 100, 10)}) {
    const Program program = fused(dense("gelu"), request);
    EXPECT_TRUE(has_step(program, "dense_forward", "dense_1"));
    EXPECT_TRUE(has_step(program, "activation_forward", "dense_1"));
  }
}

TEST(Fuse, JoinsAnActivationThatIsALayerOfItsOwn) {
  const Program program = fused(
      R"({ type = "dense", units = 8, bias = false }, { type = "activation", activation = "relu" },
         { type = "dense", units = 3 })");
  const Step& step = step_of(program, "dense_activation_forward");
  EXPECT_EQ(step.inputs[2], kNoValue);
  EXPECT_EQ(step.layer, "dense_1");
}

TEST(Fuse, JoinsTheActivationOfTheLogits) {
  const Program program = fused(R"({ type = "dense", units = 3, activation = "relu" })",
                                inference_request(Phase::prediction, 100, 10));
  EXPECT_THAT(operations_of(program), ElementsAre("gather", "dense_activation_forward", "softmax"));
}

TEST(Fuse, LeavesAnActivationBehindAnotherLayer) {
  const Program program = fused(
      R"({ type = "dense", units = 8 }, { type = "batchnorm" },
         { type = "activation", activation = "relu" }, { type = "dense", units = 3 })");
  EXPECT_TRUE(has_step(program, "dense_forward", "dense_1"));
  EXPECT_TRUE(has_step(program, "activation_forward", "activation_1"));
}

/// input -> dense_forward -> product -> relu -> output, and what else reads the product.
struct TwoSteps {
  Program program;
  ValueId product, output;

  TwoSteps() {
    for (const char* name : {"input", "weight", "product", "output", "other"}) {
      program.values.push_back({.name = name, .shape = {4}});
    }
    product = program.find("product");
    output = program.find("output");
    add("dense_forward", {program.find("input"), program.find("weight"), kNoValue}, {product});
    add("activation_forward", {product}, {output}, {{"function", 0.0}});
    program.logits = output;
  }
  void add(std::string operation, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
           Attributes attributes = {}) {
    program.steps.push_back({.operation = std::move(operation),
                             .layer = "layer",
                             .inputs = std::move(inputs),
                             .outputs = std::move(outputs),
                             .attributes = std::move(attributes)});
  }
};

TEST(Fuse, LeavesAProductThatSomethingElseReads) {
  const TwoSteps alone;
  EXPECT_THAT(operations_of(fuse(alone.program, training_request(32))),
              ElementsAre("dense_activation_forward"));

  TwoSteps read_twice;
  read_twice.add("dropout", {read_twice.product}, {read_twice.program.find("other")});
  EXPECT_EQ(fuse(read_twice.program, training_request(32)).steps.size(), 3u);

  TwoSteps read_in_another_shape;
  Program& program = read_in_another_shape.program;
  program.values.push_back({.name = "flat", .shape = {4}, .alias = read_in_another_shape.product});
  read_in_another_shape.add("dropout", {program.find("flat")}, {program.find("other")});
  EXPECT_EQ(fuse(program, training_request(32)).steps.size(), 3u);

  TwoSteps result;
  result.program.logits = result.product;
  EXPECT_EQ(fuse(result.program, training_request(32)).steps.size(), 2u);
}

PlanRequest fast_on(DeviceKind device, std::int64_t batch, std::int64_t micro_batch = 0) {
  PlanRequest request = training_request(batch, micro_batch);
  request.target = {device, Numerics::fast};
  return request;
}

TEST(Fuse, JoinsTheGradientsOfWeightAndBiasForTheLibraryAlone) {
  const Program program = fused(dense("relu"), fast_on(DeviceKind::cuda, 32));
  for (const char* layer : {"dense_1", "dense_2"}) {
    EXPECT_TRUE(has_step(program, "dense_backward_weight_bias", layer));
    EXPECT_FALSE(has_step(program, "dense_backward_weight", layer));
    EXPECT_FALSE(has_step(program, "dense_backward_bias", layer));
  }
  const Step& step = step_of(program, "dense_backward_weight_bias");
  EXPECT_THAT(step.inputs,
              ElementsAre(program.find("dense_1.activation"), program.find("logits_gradient")));
  EXPECT_THAT(
      step.outputs,
      ElementsAre(program.find("dense_2.weight.gradient"), program.find("dense_2.weight.partials"),
                  program.find("dense_2.bias.gradient"), program.find("dense_2.bias.partials")));

  PlanRequest invariant = fast_on(DeviceKind::cuda, 32);
  invariant.target.numerics = Numerics::invariant;
  for (const PlanRequest& request : {invariant, fast_on(DeviceKind::host, 32)}) {
    EXPECT_FALSE(has_step(fused(dense("relu"), request), "dense_backward_weight_bias", "dense_1"));
  }
}

TEST(Fuse, LeavesGradientsThatSeveralPassesAddUpTo) {
  const Program program = fused(dense("relu"), fast_on(DeviceKind::cuda, 32, 16));
  EXPECT_TRUE(has_step(program, "dense_backward_weight", "dense_1"));
  EXPECT_TRUE(has_step(program, "dense_backward_bias", "dense_1"));
}

TEST(Fuse, LeavesTheGradientOfAWeightWithoutBias) {
  const Program program =
      fused(R"({ type = "dense", units = 8, bias = false }, { type = "dense", units = 3 })",
            fast_on(DeviceKind::cuda, 32));
  EXPECT_TRUE(has_step(program, "dense_backward_weight", "dense_1"));
  EXPECT_TRUE(has_step(program, "dense_backward_weight_bias", "dense_2"));
}

/// The activation arena of the request's plan without fusion.
std::int64_t bytes_unfused(const Graph& graph, const PlanRequest& request) {
  const Program program = lower(prune(differentiated(graph, request)), request);
  return place(program, schedule(program), make_parameter_layout(graph), request)
      .arena_bytes[static_cast<std::size_t>(ArenaKind::activations)];
}

TEST(Fuse, TakesNoMoreMemory) {
  std::mt19937 generator(31);
  for (int trial = 0; trial < 200; ++trial) {
    const Graph graph = graph_of(testing_support::random_layers(generator), {1, 1, 30});
    for (const PlanRequest& request :
         {training_request(64, 32), inference_request(Phase::evaluation, 50, 7),
          inference_request(Phase::prediction, 50, 7)}) {
      EXPECT_LE(make_plan(graph, request).arena_bytes(ArenaKind::activations),
                bytes_unfused(graph, request));
    }
  }
}

TEST(Fuse, KeepsTheWork) {
  const auto flops_of = [](const Program& program) {
    const Dimensions x{32, 4}, weight{8, 4}, bias{8}, y{32, 8};
    double flops = 0.0;
    for (const Step& step : program.steps) {
      if (step.operation == "activation_forward") {
        flops += find_kernel_record(step.operation).flops({y}, {y});
      } else if (step.operation != "gather") {
        flops += find_kernel_record(step.operation).flops({x, weight, bias}, {y});
      }
    }
    return flops;
  };
  const TwoSteps two;
  EXPECT_EQ(flops_of(fuse(two.program, training_request(32))), flops_of(two.program));
}

}  // namespace
}  // namespace batchwise
