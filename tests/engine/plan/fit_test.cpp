// Fitting a run into a budget: "auto", the largest batch, and the ways out of a plan that is too
// large.
#include "engine/plan/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using testing_support::graph_of;

/// A run on 1000 samples of 40 features, 60 of them for the test.
struct SmallRun {
  explicit SmallRun(const std::string& layers, std::int64_t samples = 1000)
      : graph(graph_of(layers, {40})) {
    experiment.optimizer = testing_support::adam();
    data = {.sample = {40},
            .type = ElementType::f32,
            .rows = samples,
            .training_samples = samples,
            .test_samples = 60};
  }
  [[nodiscard]] Fitting within(std::int64_t budget) const {
    return {graph, experiment, experiment.training, data, device, budget};
  }
  [[nodiscard]] std::int64_t bytes(std::int64_t batch, std::int64_t rows) const {
    return within(0).bytes({.batch_size = batch, .micro_batch_size = rows});
  }

  Graph graph;
  Experiment experiment;
  DataFacts data;
  DeviceFacts device;
};

constexpr const char* kDeep =
    R"({ type = "dense", units = 64, activation = "tanh" },
       { type = "dense", units = 64, activation = "tanh" },
       { type = "dense", units = 64, activation = "tanh" },
       { type = "dense", units = 3 })";

TEST(Fitting, LargestBatchIsTheLastThatFits) {
  const SmallRun run(kDeep);
  for (const std::int64_t batch : {64, 320, 768}) {
    const std::int64_t budget = run.bytes(batch, batch);
    const std::int64_t largest = run.within(budget).largest_batch();
    EXPECT_GE(largest, batch);
    EXPECT_LE(run.bytes(largest, largest), budget);
    EXPECT_GT(run.bytes(largest + kUnitSamples, largest + kUnitSamples), budget);
  }
  EXPECT_EQ(run.within(1000).largest_batch(), 0);
  EXPECT_EQ(run.within(std::numeric_limits<std::int64_t>::max()).largest_batch(), 1000);
}

TEST(Fitting, LargestBatchSuitsBatchNorm) {
  // 129 samples: 128 and 64 leave one over, which BatchNorm cannot normalise.
  const SmallRun run(R"({ type = "dense", units = 32 }, { type = "batchnorm" },
                   { type = "dense", units = 3 })",
                     129);
  const std::int64_t largest = run.within(run.bytes(128, 128)).largest_batch();
  EXPECT_LT(largest, 128);
  EXPECT_GT(largest, 100);
  EXPECT_TRUE(run.within(0).sound({.batch_size = largest, .micro_batch_size = largest}));
}

TEST(Fitting, AutomaticPassesAreTheLargestThatFitAndAboutEqual) {
  SmallRun run(kDeep);
  run.experiment.training.micro_batch_size = kAutomatic;
  const std::int64_t budget = run.bytes(1000, 384);
  const Passes passes = run.within(budget).passes(1000);
  EXPECT_EQ(passes.micro_batch_size, 334) << "three passes of at most 384";
  EXPECT_TRUE(run.within(budget).fits(passes));
  EXPECT_EQ(run.within(run.bytes(1000, 1000)).passes(1000).micro_batch_size, 1000);
}

TEST(Fitting, AutomaticPassesKeepBatchNormsGroupsWhole) {
  SmallRun run(R"({ type = "dense", units = 64 }, { type = "batchnorm", group = 24 },
             { type = "dense", units = 64 }, { type = "batchnorm", group = 16 },
             { type = "dense", units = 3 })");
  EXPECT_EQ(pass_granularity(run.graph), 48);
  run.experiment.training.micro_batch_size = kAutomatic;
  const Passes passes = run.within(run.bytes(960, 300)).passes(960);
  EXPECT_EQ(passes.micro_batch_size % 48, 0);
  EXPECT_LE(passes.micro_batch_size, 320);
  const SmallRun whole(R"({ type = "dense", units = 64 }, { type = "batchnorm" },
                     { type = "dense", units = 3 })");
  EXPECT_EQ(pass_granularity(whole.graph), 0);
  EXPECT_FALSE(whole.within(whole.bytes(100, 100))
                   .with_smaller_passes({.batch_size = 900, .micro_batch_size = 900}));
}

TEST(Fitting, AutomaticCheckpointingRecomputesNothingWhereAllFits) {
  SmallRun run(kDeep);
  run.experiment.training.checkpoint.automatic = true;
  EXPECT_TRUE(run.within(run.bytes(800, 800)).passes(800).recompute.empty());
  const std::int64_t less = run.bytes(800, 800) - 60000;
  const Passes passes = run.within(less).passes(800);
  EXPECT_FALSE(passes.recompute.empty());
  EXPECT_TRUE(run.within(less).fits(passes));
}

TEST(Fitting, EveryWayOutFitsAndIsSound) {
  for (const char* layers : {kDeep, R"({ type = "dense", units = 32 }, { type = "batchnorm" },
                  { type = "dense", units = 3 })"}) {
    const SmallRun run(layers, 129);
    const Passes asked{.batch_size = 129, .micro_batch_size = 129};
    for (std::int64_t budget = run.bytes(1, 1); budget < run.bytes(129, 129); budget += 3000) {
      const Fitting fit = run.within(budget);
      const std::vector<WayOut> ways = fit.ways_out(asked, "--batch-size ");
      EXPECT_LE(ways.size(), 3u);
      for (const WayOut& way : ways) {
        EXPECT_LE(way.bytes, budget) << way.how;
        if (!way.how.starts_with("--batch-size ")) continue;
        const std::int64_t batch = std::stoll(way.how.substr(13));
        EXPECT_TRUE(fit.sound({.batch_size = batch, .micro_batch_size = batch})) << batch;
      }
    }
  }
}

TEST(Fitting, WaysOutKeepTheResultsFirst) {
  const SmallRun run(kDeep);
  const std::vector<WayOut> ways =
      run.within(run.bytes(1000, 640))
          .ways_out({.batch_size = 1000, .micro_batch_size = 1000}, "-b ");
  ASSERT_EQ(ways.size(), 3u);
  EXPECT_THAT(ways[0].how, HasSubstr("--micro-batch-size "));
  EXPECT_THAT(ways[0].consequence, HasSubstr("the same results"));
  EXPECT_THAT(ways[1].consequence, HasSubstr("the same results"));
}

TEST(Fitting, PassesThatChangeAnUpdateAreNoWayOut) {
  SmallRun run(kDeep);
  run.experiment.training.accumulation = Accumulation::sum;
  EXPECT_FALSE(splits_freely(run.experiment));
  const Passes asked{.batch_size = 1000, .micro_batch_size = 1000};
  for (const WayOut& way : run.within(run.bytes(1000, 640)).ways_out(asked, "--batch-size ")) {
    EXPECT_THAT(way.how, ::testing::Not(HasSubstr("--micro-batch-size"))) << way.how;
  }
}

TEST(Fitting, WhereNothingFitsPassesAreNoSmallerThanAUnitOfMemory) {
  SmallRun run(kDeep);
  run.experiment.training.micro_batch_size = kAutomatic;
  EXPECT_EQ(run.within(0).passes(1000).micro_batch_size, kUnitSamples);
  EXPECT_EQ(run.within(0).passes(20).micro_batch_size, 20);
}

TEST(Fitting, GroupsThatNoPassHoldsTogetherCannotBeCut) {
  const SmallRun run(R"({ type = "dense", units = 4 }, { type = "batchnorm", group = 2147483647 },
                        { type = "dense", units = 4 }, { type = "batchnorm", group = 2147483646 },
                        { type = "dense", units = 4 }, { type = "batchnorm", group = 2147483645 },
                        { type = "dense", units = 3 })");
  EXPECT_EQ(pass_granularity(run.graph), 0);
}

}  // namespace
}  // namespace batchwise
