// The plans of a whole run: their bytes by category, by formula, and the layout of what they share.
#include "engine/plan/run_plan.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using testing_support::all_recipes;
using testing_support::Recipe;

DataFacts facts_of(const Recipe& recipe, std::int64_t training = 9000, std::int64_t test = 777) {
  const Experiment& experiment = recipe.experiment;
  const bool bytes = experiment.data.kind == DataKind::idx || experiment.data.name == "digits";
  DataFacts facts{.sample = recipe.sample_shape,
                  .type = bytes ? ElementType::u8 : ElementType::f32,
                  .rows = training,
                  .training_samples = training};
  if (experiment.data.validation_split > 0.0) {
    facts.training_samples = training * 9 / 10;
    facts.validation_samples = facts.rows - facts.training_samples;
  }
  facts.test_samples = test;
  return facts;
}

Graph graph_of(const Recipe& recipe) {
  return build_graph(recipe.experiment.model, recipe.sample_shape);
}

std::vector<std::int64_t> batches() {
  std::vector<std::int64_t> sizes;
  for (std::int64_t batch = 1; batch <= 70; ++batch) sizes.push_back(batch);
  for (std::int64_t batch = 128; batch <= 8192; batch *= 2) {
    for (const std::int64_t near : {batch - 1, batch, batch + 1}) sizes.push_back(near);
  }
  std::mt19937 generator(3);
  for (int count = 0; count < 20; ++count) sizes.push_back(1 + generator() % 10000);
  return sizes;
}

TEST(MemoryFormula, IsTheTotalOfThePlanAtEveryBatchSize) {
  for (const Recipe& recipe : all_recipes()) {
    const Graph graph = graph_of(recipe);
    const DataFacts data = facts_of(recipe);
    for (const std::int64_t granularity : {std::int64_t{256}, std::int64_t{2} << 20}) {
      const DeviceFacts device{.target = {}, .real = ElementType::f32, .granularity = granularity};
      const auto plan_at = [&](std::int64_t batch) {
        return make_run_plan(graph, recipe.experiment, data, device,
                             {.batch_size = batch, .micro_batch_size = batch});
      };
      const MemoryFormula formula(plan_at(32), data, device, true);
      for (const std::int64_t batch : batches()) {
        EXPECT_EQ(formula(batch), plan_at(batch).total_bytes())
            << recipe.experiment.name << " at " << batch;
      }
    }
  }
}

TEST(MemoryFormula, HoldsForAFixedMicroBatch) {
  const Recipe recipe = all_recipes().front();
  const Graph graph = graph_of(recipe);
  const DataFacts data = facts_of(recipe);
  const DeviceFacts device;
  const auto plan_at = [&](std::int64_t batch) {
    return make_run_plan(
        graph, recipe.experiment, data, device,
        {.batch_size = batch, .micro_batch_size = std::min<std::int64_t>(batch, 96)});
  };
  const MemoryFormula formula(plan_at(1024), data, device, false);
  for (const std::int64_t batch : batches()) {
    EXPECT_EQ(formula(batch), plan_at(batch).total_bytes()) << batch;
  }
}

TEST(MemoryFormula, NamesItsNumbers) {
  const Recipe recipe = all_recipes().front();
  const DataFacts data = facts_of(recipe);
  const RunPlan plan = make_run_plan(graph_of(recipe), recipe.experiment, data, {},
                                     {.batch_size = 64, .micro_batch_size = 64});
  const std::vector<std::string> text = MemoryFormula(plan, data, {}, true).text();
  ASSERT_GE(text.size(), 4u);
  const std::string slope = std::to_string(plan.training.placement.activation_bytes_per_unit);
  EXPECT_NE(text[2].find("T(B) = " + slope + " x ceil(B / 64)"), std::string::npos) << text[2];
}

TEST(RunPlan, CategoriesAddUpToTheBlocks) {
  for (const Recipe& recipe : all_recipes()) {
    const RunPlan plan = make_run_plan(graph_of(recipe), recipe.experiment, facts_of(recipe), {},
                                       {.batch_size = 512, .micro_batch_size = 512});
    std::int64_t blocks = round_up(plan.bytes.transient, 256);
    for (const std::int64_t block : plan.bytes.resident_blocks) blocks += round_up(block, 256);
    EXPECT_EQ(plan.total_bytes(), blocks) << recipe.experiment.name;
    for (const std::int64_t bytes : plan.bytes.footprint.device_bytes) EXPECT_GE(bytes, 0);
  }
}

TEST(RunPlan, AnEvaluationThatNeedsMoreThanTrainingIsCounted) {
  Recipe recipe = all_recipes().front();
  const DataFacts data = facts_of(recipe, 1000, 1000000);
  const RunPlan plan = make_run_plan(graph_of(recipe), recipe.experiment, data, {},
                                     {.batch_size = 1, .micro_batch_size = 1});
  const std::int64_t own =
      plan.test->arena_bytes(ArenaKind::batch) + plan.test->arena_bytes(ArenaKind::activations);
  EXPECT_EQ(plan.bytes.transient, plan.training.arena_bytes(ArenaKind::partial_sums) + own);
  EXPECT_GT(plan.bytes.footprint[MemoryCategory::evaluation], 7000000);
}

TEST(RunPlan, ArenasOfOnePlanDoNotOverlapInTheTransientBlock) {
  const Recipe recipe = all_recipes().front();
  const RunPlan plan = make_run_plan(graph_of(recipe), recipe.experiment, facts_of(recipe), {},
                                     {.batch_size = 600, .micro_batch_size = 600});
  const std::int64_t partial_sums = plan.training.arena_bytes(ArenaKind::partial_sums);
  EXPECT_GT(partial_sums, 0);
  for (const Plan* each : {&plan.training, &*plan.test}) {
    const TransientLayout layout = transient_layout(*each, partial_sums);
    const auto offset = [&](ArenaKind kind) {
      return layout.offset_bytes[static_cast<std::size_t>(kind)];
    };
    EXPECT_EQ(offset(ArenaKind::batch), partial_sums);
    EXPECT_EQ(offset(ArenaKind::activations) - offset(ArenaKind::batch),
              each->arena_bytes(ArenaKind::batch));
    EXPECT_EQ(layout.bytes - offset(ArenaKind::activations),
              each->arena_bytes(ArenaKind::activations));
    EXPECT_LE(layout.bytes, plan.bytes.transient);
  }
}

TEST(RunPlan, FrozenLayersHaveNoGradientsAndNoOptimizerState) {
  const auto plan_of = [](const std::string& frozen) {
    const std::string layers =
        "{ type = \"dense\", units = 256" + frozen + " }, { type = \"dense\", units = 4 }";
    Experiment experiment;
    experiment.optimizer = testing_support::adam();
    const DataFacts data{.sample = {64}, .rows = 100, .training_samples = 100};
    return make_run_plan(testing_support::graph_of(layers, {64}), experiment, data, {},
                         {.batch_size = 32, .micro_batch_size = 32});
  };
  const Footprint trained = plan_of("").bytes.footprint;
  const Footprint frozen = plan_of(", trainable = false").bytes.footprint;
  const std::int64_t layer = (64 * 256 + 256) * 4;
  EXPECT_EQ(trained[MemoryCategory::parameters], frozen[MemoryCategory::parameters]);
  EXPECT_EQ(trained[MemoryCategory::gradients] - frozen[MemoryCategory::gradients], layer);
  EXPECT_EQ(trained[MemoryCategory::optimizer_state] - frozen[MemoryCategory::optimizer_state],
            2 * layer);
}

TEST(RunPlan, EveryArenaOfTheTransientBlockIsAligned) {
  // 16 x 81 weights and biases: a level of partial sums is 5184 bytes, which is 64 beyond 20 x 256.
  const Graph graph = testing_support::graph_of("{ type = \"dense\", units = 16 }", {80});
  Experiment experiment;
  experiment.optimizer = testing_support::adam();
  const DataFacts data{.sample = {80}, .rows = 5000, .training_samples = 5000};
  for (const std::int64_t batch : {256, 300, 600, 2000}) {
    const RunPlan plan = make_run_plan(graph, experiment, data, {},
                                       {.batch_size = batch, .micro_batch_size = batch});
    EXPECT_EQ(plan.training.parameters.weights_elements * 4 % 256, 64);
    const TransientLayout layout =
        transient_layout(plan.training, plan.training.arena_bytes(ArenaKind::partial_sums));
    for (const std::int64_t offset : layout.offset_bytes) EXPECT_EQ(offset % 256, 0) << batch;
    const MemoryFormula formula(plan, data, {}, true);
    EXPECT_EQ(formula(batch), plan.total_bytes());
  }
}

}  // namespace
}  // namespace batchwise
