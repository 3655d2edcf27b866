// Activation checkpointing and offloading: what is not kept, what runs again, and the least choice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "engine/plan/checkpointing.h"
#include "engine/plan/saved_values.h"
#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using testing_support::graph_of;
using testing_support::refusal_of;
using testing_support::training_request;

constexpr const char* kLayers =
    R"({ type = "dense", units = 32, activation = "relu" },
       { type = "dense", units = 48, activation = "tanh" },
       { type = "dropout", rate = 0.5 },
       { type = "batchnorm", group = 16 },
       { type = "dense", units = 16, activation = "gelu" },
       { type = "dense", units = 4 })";

Plan plan_of(const std::string& layers, std::vector<std::string> names, bool offload = false) {
  PlanRequest request = training_request(128);
  request.recompute = std::move(names);
  request.offload = offload;
  return make_plan(graph_of(layers, {24}), request);
}

std::int64_t arena_of(const Plan& plan) { return plan.arena_bytes(ArenaKind::activations); }

/// Steps of that operation and layer, by whether they are in the backward pass.
std::map<bool, int> count_of(const Program& program, const std::string& operation,
                             const std::string& layer) {
  std::map<bool, int> count{{false, 0}, {true, 0}};
  for (const Step& step : program.steps) {
    if (step.operation == operation && step.layer == layer) ++count[step.backward];
  }
  return count;
}

TEST(Recompute, RunsANamedLayerAgainInTheBackwardPass) {
  const Plan kept = plan_of(kLayers, {});
  const Plan again = plan_of(kLayers, {"dense_1"});
  EXPECT_EQ(count_of(kept.program, "dense_activation_forward", "dense_1"),
            (std::map<bool, int>{{false, 1}, {true, 0}}));
  EXPECT_EQ(count_of(again.program, "dense_activation_forward", "dense_1"),
            (std::map<bool, int>{{false, 1}, {true, 1}}));
  const ValueId output = again.program.find("dense_1.activation");
  ASSERT_NE(output, kNoValue);
  const auto last = static_cast<std::size_t>(again.schedule.last_use[output]);
  EXPECT_FALSE(again.program.steps[last].backward) << "still kept";
  EXPECT_LE(arena_of(again), arena_of(kept));
}

TEST(Recompute, TakesSingleValuesAndTheInput) {
  const Plan again = plan_of(kLayers, {"input", "dense_2.activation"});
  EXPECT_EQ(count_of(again.program, "gather", "input")[true], 1);
  EXPECT_EQ(count_of(again.program, "dense_activation_forward", "dense_2")[true], 1);
  EXPECT_EQ(count_of(again.program, "dense_activation_forward", "dense_1")[true], 0);
}

TEST(Recompute, MakesASegmentAgainFromWhatIsKeptBeforeIt) {
  const Plan again = plan_of(kLayers, {"dense_1", "dense_2", "dropout_1"});
  std::vector<std::string> order;
  for (const Step& step : again.program.steps) {
    if (step.backward && step.operation.ends_with("forward")) order.push_back(step.layer);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"dense_1", "dense_2"}));
  EXPECT_EQ(count_of(again.program, "dropout", "dropout_1")[true], 2) << "again, and its gradient";
}

TEST(Recompute, NeverRunsAgainWhatCountsItsRuns) {
  const Plan again = plan_of(kLayers, {"batchnorm_1"});
  EXPECT_EQ(count_of(again.program, "batchnorm_statistics", "batchnorm_1")[true], 0);
  EXPECT_EQ(count_of(again.program, "batchnorm_normalize", "batchnorm_1")[true], 1);
}

TEST(Recompute, RefusesUnknownNames) {
  const std::string message = refusal_of([] { (void)plan_of(kLayers, {"dense_7"}); });
  EXPECT_NE(message.find("training.checkpoint names \"dense_7\""), std::string::npos) << message;
  EXPECT_NE(message.find("did you mean \"dense_"), std::string::npos) << message;
}

TEST(Recompute, IsOnlyForTraining) {
  PlanRequest request = testing_support::inference_request(Phase::evaluation, 64, 64);
  request.recompute = {"dense_1"};
  const Plan plan = make_plan(graph_of(kLayers, {24}), request);
  EXPECT_EQ(std::count_if(plan.program.steps.begin(), plan.program.steps.end(),
                          [](const Step& step) { return step.backward; }),
            0);
}

TEST(Recompute, LeavesNoBufferThatOverlapsWhileAlive) {
  std::mt19937 generator(11);
  for (int trial = 0; trial < 60; ++trial) {
    const Graph graph = graph_of(testing_support::random_layers(generator), {1, 1, 40});
    PlanRequest request = training_request(64);
    std::vector<std::string> names;
    for (const GraphNode& node : graph.nodes) {
      const bool computes = node.operation != "flatten";
      if (computes && generator() % 2 == 0) names.push_back(node.name);
    }
    request.recompute = names;
    request.offload = generator() % 2 == 0;
    Plan plan;
    try {
      plan = make_plan(graph, request);
    } catch (const InputError&) {
      continue;  // a name whose steps were all dropped
    }
    for (const ArenaKind arena : {ArenaKind::activations, ArenaKind::host}) {
      std::vector<ValueId> values;
      for (ValueId id = 0; id < static_cast<ValueId>(plan.program.values.size()); ++id) {
        const Value& value = plan.program.values[id];
        if (value.arena == arena && value.alias == kNoValue && plan.schedule.first_use[id] >= 0) {
          values.push_back(id);
        }
      }
      for (const ValueId a : values) {
        for (const ValueId b : values) {
          if (a >= b || plan.schedule.first_use[a] > plan.schedule.last_use[b] ||
              plan.schedule.first_use[b] > plan.schedule.last_use[a]) {
            continue;
          }
          const auto begin = [&](ValueId id) { return plan.placement.offset_bytes[id]; };
          const auto end = [&](ValueId id) {
            const Value& value = plan.program.values[id];
            const Dimensions shape = shape_of(value, 64, 64);
            const std::int64_t elements =
                value.extent == Extent::fixed ? shape.elements() : shape[0] * value.pitch;
            return begin(id) + elements * static_cast<std::int64_t>(size_in_bytes(value.type));
          };
          EXPECT_TRUE(end(a) <= begin(b) || end(b) <= begin(a))
              << plan.program.values[a].name << " and " << plan.program.values[b].name;
        }
      }
    }
  }
}

TEST(Offload, KeepsInHostMemoryWhatTheBackwardPassReads) {
  const Plan kept = plan_of(kLayers, {});
  const Plan offloaded = plan_of(kLayers, {}, true);
  int copies_out = 0;
  int copies_back = 0;
  for (const Step& step : offloaded.program.steps) {
    copies_out += step.operation == "copy_to_host" && !step.backward ? 1 : 0;
    copies_back += step.operation == "copy_from_host" && step.backward ? 1 : 0;
  }
  EXPECT_GE(copies_out, 5);
  EXPECT_EQ(copies_out, copies_back);
  EXPECT_GT(offloaded.arena_bytes(ArenaKind::host), 0);
  EXPECT_EQ(kept.arena_bytes(ArenaKind::host), 0);
  EXPECT_LT(arena_of(offloaded), arena_of(kept));
}

std::string chain(int layers, int units) {
  std::string text;
  for (int layer = 0; layer < layers; ++layer) {
    text += "{ type = \"dense\", units = " + std::to_string(units) + ", activation = \"tanh\" }, ";
  }
  return text + "{ type = \"dense\", units = 4 }";
}

TEST(LeastRecomputation, NothingGoesWhereAllFits) {
  const PlanRequest request = training_request(128);
  const Graph graph = graph_of(chain(6, 32), {24});
  const std::int64_t all = arena_of(make_plan(graph, request));
  EXPECT_EQ(least_recomputation(graph, request, all), std::vector<std::string>{});
  EXPECT_NE(least_recomputation(graph, request, all - 1), std::vector<std::string>{});
  EXPECT_EQ(least_recomputation(graph, request, 1000), std::nullopt);
}

TEST(LeastRecomputation, KeepsItsPromise) {
  std::mt19937 generator(5);
  int found = 0;
  for (int trial = 0; trial < 25; ++trial) {
    const Graph graph = graph_of(testing_support::random_layers(generator), {1, 1, 60});
    PlanRequest request = training_request(192);
    const std::int64_t all = arena_of(make_unchecked_plan(graph, request));
    for (const int percent : {90, 70, 50}) {
      const std::int64_t limit = all * percent / 100;
      const auto names = least_recomputation(graph, request, limit);
      if (!names) continue;
      request.recompute = *names;
      EXPECT_LE(arena_of(make_unchecked_plan(graph, request)), limit);
      request.recompute.clear();
      ++found;
    }
  }
  EXPECT_GE(found, 15);
}

TEST(LeastRecomputation, OfAChainIsAboutTwoRootsOfItsLength) {
  // Kept activations and one segment at a time: n layers fit in about 2 sqrt(n) of them.
  const Graph graph = graph_of(chain(100, 64), {64});
  const PlanRequest request = training_request(64);
  const std::int64_t all = arena_of(make_plan(graph, request));
  const auto names = least_recomputation(graph, request, all / 4);
  ASSERT_TRUE(names.has_value());
  EXPECT_LT(names->size(), 100u);
  EXPECT_GT(names->size(), 75u);
}

TEST(LeastRecomputation, CostsLittleMoreThanTheBestOfAll) {
  // A chain beyond what is tried exhaustively, against trying all.
  const Graph graph = graph_of(chain(9, 32), {32});
  PlanRequest request = training_request(64);
  const std::int64_t all = arena_of(make_plan(graph, request));
  for (const int percent : {80, 65, 55}) {
    const std::int64_t limit = all * percent / 100;
    const auto names = least_recomputation(graph, request, limit);
    ASSERT_TRUE(names.has_value()) << percent;
    std::size_t fewest = 100;
    for (unsigned bits = 0; bits < 1u << 10; ++bits) {
      request.recompute.clear();
      for (unsigned layer = 0; layer < 10; ++layer) {
        if ((bits >> layer & 1u) == 0) continue;
        request.recompute.push_back(layer == 0 ? "input"
                                               : "dense_" + std::to_string(layer) + ".activation");
      }
      if (request.recompute.size() >= fewest) continue;
      if (arena_of(make_unchecked_plan(graph, request)) <= limit) fewest = request.recompute.size();
    }
    EXPECT_LE(names->size(), fewest + 1) << percent;
  }
}

TEST(Recompute, RefusesNamesThatMakeNothingAgain) {
  for (const char* name : {"", "loss", "weights", "dense_1.weight", "data", "logits_gradient"}) {
    EXPECT_THAT(refusal_of([&] { (void)plan_of(kLayers, {name}); }),
                ::testing::HasSubstr("training.checkpoint names"))
        << name;
  }
}

}  // namespace
}  // namespace batchwise
