// The schedule: whatever touches the same bytes is ordered, and lifetimes are first to last use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using testing_support::graph_of;
using testing_support::inference_request;
using testing_support::random_plan;
using testing_support::training_request;

/// Addresses that nothing is stored at, an arena each, far apart.
std::array<std::byte*, kArenaKinds> imaginary_bases() {
  std::array<std::byte*, kArenaKinds> bases{};
  for (std::size_t kind = 0; kind < bases.size(); ++kind) {
    bases[kind] = reinterpret_cast<std::byte*>((kind + 1) << 44);
  }
  return bases;
}

struct Bytes {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// From a value's first byte to behind its last.
Bytes bytes_of(const Plan& plan, ValueId id) {
  const TensorView view = view_of(plan, id, imaginary_bases(), plan.request.micro_batch_size);
  if (view.absent()) return {};
  std::int64_t last = 0;
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    last += (view.shape[axis] - 1) * view.strides[axis];
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(view.data);
  return {begin, begin + static_cast<std::uintptr_t>(last + 1) * size_in_bytes(view.type)};
}

/// What of a step's operands has bytes that the schedule has to order: all but activations, whose
/// sharing comes with placement, and external data, which nobody writes. Partial sums lie level
/// beside level, so that ranges say nothing; they are told apart by name.
bool touch_the_same(const Plan& plan, ValueId a, ValueId b) {
  const Program& program = plan.program;
  if (program.root(a) == program.root(b)) return true;
  const ArenaKind arena = program.values[a].arena;
  if (arena != program.values[b].arena || arena == ArenaKind::activations) return false;
  if (arena == ArenaKind::partial_sums || arena == ArenaKind::external) return false;
  const Bytes left = bytes_of(plan, a);
  const Bytes right = bytes_of(plan, b);
  return left.begin < right.end && right.begin < left.end;
}

bool conflict(const Plan& plan, const Step& earlier, const Step& later) {
  const auto any_common = [&](const std::vector<ValueId>& left, const std::vector<ValueId>& right) {
    for (const ValueId a : left) {
      for (const ValueId b : right) {
        if (a != kNoValue && b != kNoValue && touch_the_same(plan, a, b)) return true;
      }
    }
    return false;
  };
  return any_common(earlier.outputs, later.inputs) || any_common(earlier.outputs, later.outputs) ||
         any_common(earlier.inputs, later.outputs);
}

/// reaches[i][j]: step i waits for step j, directly or not.
std::vector<std::vector<bool>> closure(const Schedule& schedule) {
  const std::size_t steps = schedule.dependencies.size();
  std::vector<std::vector<bool>> reaches(steps, std::vector<bool>(steps, false));
  for (std::size_t step = 0; step < steps; ++step) {
    for (const int before : schedule.dependencies[step]) {
      reaches[step][before] = true;
      for (std::size_t other = 0; other < steps; ++other) {
        if (reaches[before][other]) reaches[step][other] = true;
      }
    }
  }
  return reaches;
}

void expect_complete(const Plan& plan) {
  const auto reaches = closure(plan.schedule);
  for (std::size_t later = 0; later < plan.program.steps.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!conflict(plan, plan.program.steps[earlier], plan.program.steps[later])) continue;
      EXPECT_TRUE(reaches[later][earlier])
          << "step " << later << " does not wait for step " << earlier << "\n"
          << to_text(plan.program);
    }
  }
}

TEST(Schedule, OrdersWhateverTouchesTheSameBytes) {
  std::mt19937 generator(11);
  for (int trial = 0; trial < 100; ++trial) expect_complete(random_plan(generator));
  for (const testing_support::Recipe& recipe : testing_support::all_recipes()) {
    const Graph graph = build_graph(recipe.experiment.model, recipe.sample_shape);
    PlanRequest request = training_request(128);
    request.optimizer = recipe.experiment.optimizer;
    expect_complete(make_plan(graph, request));
    expect_complete(make_plan(graph, inference_request(Phase::evaluation, 100, 10)));
  }
}

TEST(Schedule, WaitsForEveryGradientBeforeItsNormAndTheOptimizer) {
  const Plan plan =
      make_plan(graph_of(R"({ type = "dense", units = 8 }, { type = "dense", units = 3 })", {4}),
                training_request(32));
  const auto reaches = closure(plan.schedule);
  std::size_t norm = 0;
  std::size_t optimizer = 0;
  for (std::size_t step = 0; step < plan.program.steps.size(); ++step) {
    if (plan.program.steps[step].operation == "gradient_norm") norm = step;
    if (plan.program.steps[step].operation == "optimizer_adam") optimizer = step;
  }
  int checked = 0;
  for (std::size_t step = 0; step < plan.program.steps.size(); ++step) {
    const std::string& operation = plan.program.steps[step].operation;
    const bool gradient =
        operation == "dense_backward_weight" || operation == "dense_backward_bias";
    if (gradient) {
      EXPECT_TRUE(reaches[norm][step]) << step;
      ++checked;
    }
    // The weights are read by these.
    if (operation == "dense_forward" || operation == "dense_backward_input") {
      EXPECT_TRUE(reaches[optimizer][step]) << step;
      ++checked;
    }
  }
  EXPECT_EQ(checked, 4 + 3);
}

TEST(Schedule, DependsOnEarlierStepsOnlyAndOnEachOnce) {
  std::mt19937 generator(12);
  for (int trial = 0; trial < 50; ++trial) {
    const Plan plan = random_plan(generator);
    for (std::size_t step = 0; step < plan.program.steps.size(); ++step) {
      const std::vector<int>& needs = plan.schedule.dependencies[step];
      EXPECT_TRUE(std::is_sorted(needs.begin(), needs.end(), std::less_equal<>()) ||
                  needs.size() <= 1);
      for (const int before : needs) {
        EXPECT_GE(before, 0);
        EXPECT_LT(before, static_cast<int>(step));
      }
    }
  }
}

TEST(Schedule, LeavesIndependentStepsUnordered) {
  const Plan plan =
      make_plan(graph_of(R"({ type = "dense", units = 8 }, { type = "dense", units = 3 })", {4}),
                training_request(32));
  const auto reaches = closure(plan.schedule);
  for (std::size_t step = 1; step < plan.program.steps.size(); ++step) {
    if (plan.program.steps[step].operation != "dense_backward_bias") continue;
    EXPECT_EQ(plan.program.steps[step - 1].operation, "dense_backward_weight");
    EXPECT_FALSE(reaches[step][step - 1]);
  }
}

TEST(Schedule, LifetimesSpanEveryUse) {
  std::mt19937 generator(13);
  for (int trial = 0; trial < 50; ++trial) {
    const Plan plan = random_plan(generator);
    std::vector<int> first(plan.program.values.size(), -1);
    std::vector<int> last(plan.program.values.size(), -1);
    for (std::size_t step = 0; step < plan.program.steps.size(); ++step) {
      for (const auto* ids :
           {&plan.program.steps[step].inputs, &plan.program.steps[step].outputs}) {
        for (const ValueId id : *ids) {
          if (id == kNoValue) continue;
          const ValueId root = plan.program.root(id);
          if (first[root] < 0) first[root] = static_cast<int>(step);
          last[root] = static_cast<int>(step);
        }
      }
    }
    if (plan.request.phase == Phase::prediction) {
      // The host reads the result after the last step.
      last[plan.program.root(plan.program.probabilities)] =
          static_cast<int>(plan.program.steps.size());
    }
    EXPECT_EQ(plan.schedule.first_use, first);
    EXPECT_EQ(plan.schedule.last_use, last);
  }
}

}  // namespace
}  // namespace batchwise
