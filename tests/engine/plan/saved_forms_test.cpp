// Saved forms: what is read in the backward pass in place of an activation, and what that saves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/ops/activation.h"
#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using testing_support::graph_of;
using testing_support::has_step;
using testing_support::inference_request;
using testing_support::operations_of;
using testing_support::training_request;

Program fused(const Graph& graph, const PlanRequest& request) {
  return fuse(prune(differentiate(graph, make_parameter_layout(graph), request)), request);
}

Program chosen(const std::string& layers, const PlanRequest& request = training_request(32),
               const Dimensions& sample_shape = {40}) {
  return choose_saved_forms(fused(graph_of(layers, sample_shape), request), request);
}

const Step& step_of(const Program& program, const std::string& operation,
                    const std::string& layer) {
  for (const Step& step : program.steps) {
    if (step.operation == operation && step.layer == layer) return step;
  }
  throw std::logic_error("no step " + operation + " of " + layer);
}

std::string name_of_input(const Program& program, const Step& step, std::size_t input) {
  return program.values[step.inputs[input]].name;
}

/// The name of what activation_backward of a layer reads besides the gradient.
std::string saved_by(const Program& program, const std::string& layer) {
  return name_of_input(program, step_of(program, "activation_backward", layer), 1);
}

/// Whether a step behind the loss uses the value's bytes.
bool is_kept(const Program& program, const std::string& name) {
  bool kept = false;
  for (const Step& step : program.steps) {
    for (const ValueId id : step.inputs) {
      kept |=
          step.backward && id != kNoValue && program.root(id) == program.root(program.find(name));
    }
  }
  return kept;
}

Plan plan_without(const Graph& graph, const PlanRequest& request) {
  Plan plan = make_plan(graph, request);
  plan.program = lower(fused(graph, request), request);
  plan.schedule = schedule(plan.program);
  plan.placement = place(plan.program, plan.schedule, plan.parameters, request);
  return plan;
}

std::string layers_of(const std::string& activation, const std::string& middle,
                      const std::string& last = "") {
  return R"({ type = "dense", units = 200, activation = ")" + activation + "\" }, " + middle +
         R"({ type = "dense", units = 30)" + last + R"( }, { type = "dense", units = 3 })";
}

const std::string kDropout = R"({ type = "dropout", rate = 0.5 }, )";
const std::string kFrozen = ", trainable = false";

TEST(SavedForms, ReadsTheSignsOfWhatDropoutLeaves) {
  for (const char* function : {"relu", "leaky_relu"}) {
    const Program program = chosen(layers_of(function, kDropout));
    EXPECT_EQ(saved_by(program, "dense_1"), "dropout_1.output");
    EXPECT_FALSE(is_kept(program, "dense_1.activation"));
    EXPECT_THAT(operations_of(program), Not(Contains("sign_bits")));
  }
}

TEST(SavedForms, LetsDropoutWorkInPlace) {
  const std::string hidden = R"({ type = "dense", units = 200, activation = "relu" }, )" + kDropout;
  const Graph graph = graph_of(hidden + hidden + R"({ type = "dense", units = 3 })", {40});
  const PlanRequest request = training_request(64);
  const Plan plan = make_plan(graph, request);
  const auto root_of = [&](const char* name) { return plan.program.root(plan.program.find(name)); };
  EXPECT_EQ(root_of("dropout_1.output"), root_of("dense_1.activation"));
  EXPECT_EQ(root_of("dropout_2.output"), root_of("dense_2.activation"));
  // Two activations less of 64 rows, 200 units padded to 208; in place of one there is now a
  // gradient when most is in memory.
  EXPECT_GE(plan_without(graph, request).arena_bytes(ArenaKind::activations) -
                plan.arena_bytes(ArenaKind::activations),
            64 * 208 * 4);
}

TEST(SavedForms, ReadsThroughSeveralDropouts) {
  const Program program = chosen(layers_of("relu", kDropout + kDropout));
  EXPECT_EQ(saved_by(program, "dense_1"), "dropout_2.output");
}

TEST(SavedForms, ReadsTheSignsInAnotherShape) {
  const std::string layers = R"({ type = "activation", activation = "leaky_relu" }, )"
                             R"({ type = "flatten" }, { type = "dropout", rate = 0.2 }, )"
                             R"({ type = "dense", units = 3 })";
  const std::string images = R"({ type = "batchnorm" }, )" + layers;
  const Program program = chosen(images, training_request(32), {2, 3, 4});
  EXPECT_EQ(saved_by(program, "activation_1"), "dropout_1.output");
  EXPECT_EQ(program.values[program.find("activation_1.activation")].shape, (Dimensions{2, 3, 4}));
}

TEST(SavedForms, KeepsBitsWhereTheNextLayerIsFrozen) {
  for (const char* function : {"relu", "leaky_relu"}) {
    const Program program = chosen(layers_of(function, "", kFrozen));
    EXPECT_THAT(
        operations_of(program),
        ElementsAre("gather", "dense_activation_forward", "sign_bits", "dense_forward",
                    "dense_forward", "softmax_cross_entropy", "dense_backward_weight",
                    "dense_backward_bias", "dense_backward_input", "dense_backward_input",
                    "activation_backward_bits", "dense_backward_weight", "dense_backward_bias",
                    "update_results", "gradient_norm", "optimizer_adam"));
    const ValueId bits = program.find("dense_1.activation.signs");
    const Step& writes = step_of(program, "sign_bits", "dense_1");
    EXPECT_THAT(writes.inputs, ElementsAre(program.find("dense_1.activation")));
    EXPECT_THAT(writes.outputs, ElementsAre(bits));
    const Step& reads = step_of(program, "activation_backward_bits", "dense_1");
    EXPECT_THAT(reads.inputs, ElementsAre(program.find("dense_2.input_gradient"), bits));
    EXPECT_EQ(reads.attributes.entries(),
              step_of(program, "dense_activation_forward", "dense_1").attributes.entries());
    EXPECT_FALSE(is_kept(program, "dense_1.activation"));
  }
}

TEST(SavedForms, BitsAreWordsOfThirtyTwoElementsOfASample) {
  const Graph graph = graph_of(R"({ type = "batchnorm" }, )"
                               R"({ type = "activation", activation = "relu" }, )"
                               R"({ type = "flatten" }, )"
                               R"({ type = "dense", units = 9, trainable = false })",
                               {3, 5, 7});
  const PlanRequest request = training_request(100, 100);
  const Plan plan = make_plan(graph, request);
  const ValueId bits = plan.program.find("activation_1.activation.signs");
  ASSERT_NE(bits, kNoValue);
  const TensorView view = view_of(plan, bits, {}, 100);
  EXPECT_EQ(view.type, ElementType::i32);
  EXPECT_EQ(view.shape, (Dimensions{100, 4}));  // 105 elements
  EXPECT_EQ(view.strides, (Dimensions{16, 1}));
}

/// The steps from which to which a value is in memory.
std::pair<int, int> lifetime(const Plan& plan, const std::string& name) {
  const auto root = static_cast<std::size_t>(plan.program.root(plan.program.find(name)));
  return {plan.schedule.first_use[root], plan.schedule.last_use[root]};
}

TEST(SavedForms, BitsAreAllThatIsInMemoryUntilTheyAreRead) {
  const Graph graph = graph_of(layers_of("relu", "", kFrozen), {40});
  const PlanRequest request = training_request(64);
  const Plan plan = make_plan(graph, request);
  EXPECT_EQ(lifetime(plan, "dense_1.activation"), std::pair(1, 3));
  EXPECT_EQ(lifetime(plan, "dense_1.activation.signs"), std::pair(2, 10));
  EXPECT_LT(plan.arena_bytes(ArenaKind::activations),
            plan_without(graph, request).arena_bytes(ArenaKind::activations));
}

TEST(SavedForms, KeepsBitsBehindADropoutThatNothingKeeps) {
  const Program program = chosen(layers_of("relu", kDropout, kFrozen));
  EXPECT_TRUE(has_step(program, "activation_backward_bits", "dense_1"));
  EXPECT_FALSE(is_kept(program, "dropout_1.output"));
  EXPECT_EQ(name_of_input(program, step_of(program, "sign_bits", "dense_1"), 0),
            "dense_1.activation");
}

/// The same steps as without the stage.
void expect_unchanged(const std::string& layers, const PlanRequest& request) {
  EXPECT_EQ(to_text(chosen(layers, request)), to_text(fused(graph_of(layers, {40}), request)));
}

TEST(SavedForms, LeavesWhatTheNextLayerKeeps) {
  expect_unchanged(layers_of("relu", ""), training_request(32));
  expect_unchanged(layers_of("leaky_relu", R"({ type = "batchnorm" }, )"), training_request(32));
}

TEST(SavedForms, LeavesGradientsThatReadMoreThanSigns) {
  for (const char* function : {"tanh", "sigmoid", "gelu"}) {
    expect_unchanged(layers_of(function, kDropout), training_request(32));
    expect_unchanged(layers_of(function, "", kFrozen), training_request(32));
  }
}

TEST(SavedForms, LeavesEvaluationAndPrediction) {
  for (const Phase phase : {Phase::evaluation, Phase::prediction}) {
    expect_unchanged(layers_of("relu", kDropout), inference_request(phase, 100, 10));
    expect_unchanged(layers_of("relu", "", kFrozen), inference_request(phase, 100, 10));
  }
}

TEST(SavedForms, LeavesTheLastLayerWhoseOutputTheLossHasJustRead) {
  expect_unchanged(R"({ type = "dense", units = 64, activation = "relu" })", training_request(32));
}

TEST(SavedForms, LeavesASingleFeatureOfWhichAWordIsNoLess) {
  const auto layers = [](const std::string& units) {
    return R"({ type = "dense", activation = "relu", units = )" + units +
           R"( }, { type = "dense", units = 3, trainable = false })";
  };
  expect_unchanged(layers("1"), training_request(32));
  EXPECT_TRUE(has_step(chosen(layers("2")), "sign_bits", "dense_1"));
}

/// relu's output y through a dropout to d, which a dense layer keeps, and back.
Program through_dropout() {
  return fused(graph_of(layers_of("relu", kDropout), {40}), training_request(32));
}

Step& backward_step_of(Program& program, const std::string& operation) {
  for (Step& step : program.steps) {
    if (step.backward && step.operation == operation) return step;
  }
  throw std::logic_error("no such step");
}

TEST(SavedForms, DoesNotReadThroughAMapThatZeroesElsewhere) {
  Program other_stream = through_dropout();
  backward_step_of(other_stream, "dropout").attributes = {{"rate", 0.5}, {"stream", 1.0}};
  Program other_ids = through_dropout();
  backward_step_of(other_ids, "dropout").inputs[1] = other_ids.find("labels");
  Program no_map = through_dropout();
  backward_step_of(no_map, "activation_backward").inputs[0] = no_map.find("dense_2.input_gradient");
  for (const Program& program : {other_stream, other_ids, no_map}) {
    const Program result = choose_saved_forms(program, training_request(32));
    EXPECT_TRUE(has_step(result, "activation_backward_bits", "dense_1"));
    EXPECT_FALSE(has_step(result, "activation_backward", "dense_1"));
  }
  EXPECT_TRUE(has_step(choose_saved_forms(through_dropout(), training_request(32)),
                       "activation_backward", "dense_1"));
}

TEST(SavedForms, LeavesAValueThatAnotherStepOfTheBackwardPassReads) {
  Program program = through_dropout();
  backward_step_of(program, "dense_backward_weight").inputs[0] = program.find("dense_1.activation");
  EXPECT_EQ(to_text(choose_saved_forms(program, training_request(32))), to_text(program));
}

TEST(SavedForms, TakesNoMoreMemory) {
  std::mt19937 generator(47);
  int saved = 0, with_bits = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const Graph graph = graph_of(testing_support::random_layers(generator), {1, 1, 30});
    const PlanRequest request = training_request(64, 32);
    const Plan plan = make_plan(graph, request), without = plan_without(graph, request);
    EXPECT_LE(plan.placement.activation_lower_bound, without.placement.activation_lower_bound)
        << to_text(plan.program);
    EXPECT_LE(plan.arena_bytes(ArenaKind::activations),
              without.arena_bytes(ArenaKind::activations));
    if (plan.arena_bytes(ArenaKind::activations) < without.arena_bytes(ArenaKind::activations)) {
      ++saved;
    }
    const std::vector<std::string> operations = operations_of(plan.program);
    if (std::count(operations.begin(), operations.end(), "sign_bits") > 0) ++with_bits;
  }
  EXPECT_GT(saved, 20);
  EXPECT_GT(with_bits, 20);
}

}  // namespace
}  // namespace batchwise
