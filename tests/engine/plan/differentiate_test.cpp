// The program of a graph: forward, loss, backward in reverse, update; and what BatchNorm refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::graph_of;
using testing_support::has_step;
using testing_support::inference_request;
using testing_support::operations_of;
using testing_support::refusal_of;
using testing_support::training_request;

Program differentiated(const Graph& graph, const PlanRequest& request) {
  return differentiate(graph, make_parameter_layout(graph), request);
}

const char* const kTwoLayers =
    R"({ type = "dense", units = 8, activation = "relu" }, { type = "dense", units = 3 })";

TEST(Differentiate, GoesForwardThenBackInReverse) {
  const Program program = differentiated(graph_of(kTwoLayers, {4}), training_request(32));
  EXPECT_THAT(operations_of(program),
              ElementsAre("gather", "dense_forward", "activation_forward", "dense_forward",
                          "softmax_cross_entropy", "dense_backward_weight", "dense_backward_bias",
                          "dense_backward_input", "activation_backward", "dense_backward_weight",
                          "dense_backward_bias", "dense_backward_input", "update_results",
                          "gradient_norm", "optimizer_adam"));
  EXPECT_EQ(program.steps[5].layer, "dense_2");
  EXPECT_EQ(program.steps[9].layer, "dense_1");
  EXPECT_EQ(program.values[program.logits].shape, (Dimensions{3}));
  EXPECT_EQ(program.probabilities, kNoValue);
}

TEST(Differentiate, JudgesAnUpdateBeforeAnythingIsChanged) {
  const Program program = differentiated(
      graph_of(
          R"({ type = "dense", units = 8 }, { type = "batchnorm" }, { type = "dense", units = 3 })",
          {4}),
      training_request(32));
  std::vector<std::string> updates;
  bool pass_is_over = false;
  for (const Step& step : program.steps) {
    if (step.section == Section::update) {
      pass_is_over = true;
      updates.push_back(step.operation);
    } else {
      EXPECT_FALSE(pass_is_over) << step.operation << " after the update's steps";
    }
  }
  EXPECT_THAT(updates, ElementsAre("update_results", "gradient_norm", "batchnorm_running_update",
                                   "optimizer_adam"));
}

TEST(Differentiate, ChoosesTheOptimizersKernelAndState) {
  struct Case {
    OptimizerName name;
    double momentum;
    const char* kernel;
    int slots;
  };
  for (const Case& expected : {Case{OptimizerName::sgd, 0.0, "optimizer_sgd", 0},
                               Case{OptimizerName::sgd, 0.9, "optimizer_sgd", 1},
                               Case{OptimizerName::adam, 0.0, "optimizer_adam", 2},
                               Case{OptimizerName::adamw, 0.0, "optimizer_adam", 2},
                               Case{OptimizerName::rmsprop, 0.0, "optimizer_rmsprop", 1},
                               Case{OptimizerName::rmsprop, 0.9, "optimizer_rmsprop", 2}}) {
    PlanRequest request = training_request(32);
    request.optimizer.name = expected.name;
    request.optimizer.momentum = expected.momentum;
    EXPECT_EQ(optimizer_slots(request.optimizer), expected.slots);
    const Program program = differentiated(graph_of(kTwoLayers, {4}), request);
    const Step& last = program.steps.back();
    EXPECT_EQ(last.operation, expected.kernel);
    EXPECT_EQ(last.outputs[1] != kNoValue, expected.slots >= 1);
    EXPECT_EQ(last.outputs[2] != kNoValue, expected.slots >= 2);
  }
}

TEST(Differentiate, DecouplesWeightDecayInAdamwAlone) {
  PlanRequest request = training_request(32);
  request.optimizer.weight_decay = 0.01;
  for (const OptimizerName name : {OptimizerName::adam, OptimizerName::adamw}) {
    request.optimizer.name = name;
    const Program program = differentiated(graph_of(kTwoLayers, {4}), request);
    const Attributes& attributes = program.steps.back().attributes;
    EXPECT_EQ(attributes.number("weight_decay"), 0.01);
    EXPECT_EQ(attributes.number("decoupled"), name == OptimizerName::adamw ? 1.0 : 0.0);
  }
}

TEST(Differentiate, EvaluatesWithoutGradientsStateOrDropout) {
  const Graph graph = graph_of(
      R"({ type = "dense", units = 8, activation = "relu" }, { type = "dropout", rate = 0.5 },
         { type = "batchnorm" }, { type = "dense", units = 3 })",
      {4});
  const Program program = differentiated(graph, inference_request(Phase::evaluation, 100, 10));
  EXPECT_THAT(operations_of(program),
              ElementsAre("gather", "dense_forward", "activation_forward", "batchnorm_evaluate",
                          "dense_forward", "softmax_cross_entropy", "update_results"));
  for (const Value& value : program.values) {
    EXPECT_NE(value.arena, ArenaKind::gradients) << value.name;
    EXPECT_NE(value.arena, ArenaKind::optimizer) << value.name;
    EXPECT_NE(value.arena, ArenaKind::partial_sums) << value.name;
  }
  EXPECT_EQ(program.find("indices"), kNoValue);
}

TEST(Differentiate, PredictsProbabilitiesOrLogits) {
  const Graph graph = graph_of(kTwoLayers, {4});
  PlanRequest request = inference_request(Phase::prediction, 100, 10);
  const Program probabilities = differentiated(graph, request);
  EXPECT_EQ(probabilities.steps.back().operation, "softmax");
  EXPECT_EQ(probabilities.probabilities, probabilities.steps.back().outputs[0]);
  EXPECT_EQ(probabilities.find("labels"), kNoValue);
  request.probabilities = false;
  const Program logits = differentiated(graph, request);
  EXPECT_EQ(logits.steps.back().operation, "dense_forward");
  EXPECT_EQ(logits.probabilities, kNoValue);
}

TEST(Differentiate, GivesFrozenParametersNoGradient) {
  const Program program = differentiated(
      graph_of(R"({ type = "dense", units = 8, trainable = false }, { type = "dense", units = 3 })",
               {4}),
      training_request(32));
  EXPECT_EQ(program.find("dense_1.weight.gradient"), kNoValue);
  EXPECT_NE(program.find("dense_2.weight.gradient"), kNoValue);
}

TEST(Differentiate, NormalisesAFrozenBatchNormWithItsRunningStatistics) {
  const Program program = differentiated(
      graph_of(R"({ type = "dense", units = 8 }, { type = "batchnorm", trainable = false },
                  { type = "dense", units = 3 })",
               {4}),
      training_request(1));  // nor does it mind a batch of one
  EXPECT_TRUE(has_step(program, "batchnorm_evaluate", "batchnorm_1"));
  EXPECT_TRUE(has_step(program, "batchnorm_evaluate_backward", "batchnorm_1"));
  EXPECT_FALSE(has_step(program, "batchnorm_statistics", "batchnorm_1"));
  EXPECT_FALSE(has_step(program, "batchnorm_running_update", "batchnorm_1"));
}

/// The message for BatchNorm on four features, "accepted" if there is none.
std::string batchnorm_refusal(const std::string& group, PlanRequest request,
                              const Dimensions& sample = {4}) {
  const std::string flatten = sample.rank() > 1 ? ", { type = \"flatten\" }" : "";
  const Graph graph = graph_of("{ type = \"batchnorm\", name = \"norm\", group = " + group + " }" +
                                   flatten + ", { type = \"dense\", units = 3 }",
                               sample);
  return refusal_of([&] { (void)make_plan(graph, request); });
}

TEST(BatchNormPlanning, NamesGhostGroupsWhenTheBatchIsSplit) {
  EXPECT_THAT(batchnorm_refusal("\"batch\"", training_request(128, 32)),
              AllOf(HasSubstr("\"norm\""), HasSubstr("batch of 128"), HasSubstr("group = 32"),
                    HasSubstr("micro_batch_size = 0")));
  EXPECT_EQ(batchnorm_refusal("\"batch\"", training_request(128)), "accepted");
}

TEST(BatchNormPlanning, WantsMicroBatchesOfWholeGroups) {
  EXPECT_THAT(batchnorm_refusal("24", training_request(128, 32)),
              AllOf(HasSubstr("\"norm\""), HasSubstr("group = 24"), HasSubstr("32"),
                    HasSubstr("multiple of the group")));
  EXPECT_THAT(batchnorm_refusal("64", training_request(128, 32)), HasSubstr("multiple"));
  EXPECT_EQ(batchnorm_refusal("16", training_request(128, 32)), "accepted");
  EXPECT_EQ(batchnorm_refusal("24", training_request(128)), "accepted");  // the last one smaller
}

TEST(BatchNormPlanning, RefusesAGroupOfOneValueWithTheRemedies) {
  EXPECT_THAT(batchnorm_refusal("\"batch\"", training_request(1)),
              AllOf(HasSubstr("\"norm\""), HasSubstr("one value"), HasSubstr("batch_size"),
                    Not(HasSubstr("drop_last"))));            // which would drop no such batch
  EXPECT_THAT(batchnorm_refusal("16", training_request(33)),  // 16 + 16 + 1
              AllOf(HasSubstr("33 samples in groups of 16"), HasSubstr("or group")));
}

TEST(BatchNormPlanning, LooksAtTheEpochsLastBatch) {
  PlanRequest request = training_request(32);
  request.last_batch_size = 1;
  EXPECT_THAT(batchnorm_refusal("\"batch\"", request),
              AllOf(HasSubstr("the last batch"), HasSubstr("data.drop_last = true")));
  request.last_batch_size = 2;
  EXPECT_EQ(batchnorm_refusal("\"batch\"", request), "accepted");
  request.last_batch_size = 17;
  EXPECT_THAT(batchnorm_refusal("16", request), HasSubstr("the last batch"));
}

TEST(BatchNormPlanning, KnowsItsPixelsWhereverItStands) {
  std::string layers = R"({ type = "batchnorm" })";
  for (int depth = 1; depth <= 20; ++depth) {
    const Graph graph =
        graph_of(layers + R"(, { type = "flatten" }, { type = "dense", units = 3 })", {2, 4, 5});
    const Program program = differentiated(graph, training_request(32));
    int updates = 0;
    for (const Step& step : program.steps) {
      if (step.operation != "batchnorm_running_update") continue;
      EXPECT_EQ(step.attributes.integer("pixels"), 20) << "layer " << updates << " of " << depth;
      ++updates;
    }
    EXPECT_EQ(updates, depth);
    layers += R"(, { type = "batchnorm" })";
  }
}

TEST(BatchNormPlanning, CountsPixelsAsValues) {
  EXPECT_EQ(batchnorm_refusal("\"batch\"", training_request(1), {2, 4, 4}), "accepted");
}

TEST(BatchNormPlanning, MattersInTrainingAlone) {
  EXPECT_EQ(batchnorm_refusal("\"batch\"", inference_request(Phase::evaluation, 100, 1)),
            "accepted");
}

}  // namespace
}  // namespace batchwise
