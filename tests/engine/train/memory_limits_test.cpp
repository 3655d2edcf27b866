// Training within a limit of memory: planned bytes are those that are taken, the largest batch
// named for a budget trains within it and the next does not, less memory gives the same bits, and a
// changed batch size takes no more than its plan.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/analysis/memory_profile.h"
#include "engine/analysis/over_memory.h"
#include "engine/plan/fit.h"
#include "kernels/emulation/memory.h"
#include "tests/engine/execute/allocation_counter.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;
using testing_support::first_ids;
using testing_support::message_of;
using testing_support::small_experiment;

/// The memory of a device as seen from outside the engine.
class Watched {
 public:
  explicit Watched(const std::string& device) : emulated_(device == "emulated") {}
  ~Watched() { limit(0); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  [[nodiscard]] bool possible() const {
    return emulated_ || testing_support::allocations_are_counted();
  }
  [[nodiscard]] std::int64_t bytes() const {
    return emulated_ ? emulation::memory_use().bytes : testing_support::aligned_bytes_held();
  }
  [[nodiscard]] std::int64_t peak() const {
    return emulated_ ? emulation::memory_use().peak_bytes
                     : testing_support::aligned_bytes_held_at_most();
  }
  /// Allows so many bytes in all; 0: no limit. The peak counts from here.
  void limit(std::int64_t bytes) const {
    emulated_ ? emulation::limit_memory(bytes) : testing_support::limit_aligned_bytes(bytes);
  }

 private:
  bool emulated_;
};

Dataset blank_dataset(const testing_support::Recipe& recipe, std::int64_t samples) {
  const bool bytes =
      recipe.experiment.data.kind == DataKind::idx || recipe.experiment.data.name == "digits";
  const std::vector<std::int64_t> shape(recipe.sample_shape.begin(), recipe.sample_shape.end());
  const auto classes = static_cast<std::int32_t>(recipe.experiment.model.layers.back().units);
  const ElementType type = bytes ? ElementType::u8 : ElementType::f32;
  Dataset dataset;
  dataset.train = testing_support::blank_samples(samples, shape, type, classes);
  dataset.test = testing_support::blank_samples(777, shape, type, classes);
  return dataset;
}

Experiment at_batch(Experiment experiment, const std::string& device, std::int64_t batch) {
  experiment.device = device;
  experiment.data.drop_last = true;  // the rest of an epoch may not suit BatchNorm
  experiment.batch_schedule = {};
  experiment.training.batch_size = batch;
  experiment.training.micro_batch_size = std::min(experiment.training.micro_batch_size, batch);
  return experiment;
}

class OnDevice : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, OnDevice, ::testing::Values("cpu", "emulated"),
                         [](const auto& instance) { return instance.param; });

TEST_P(OnDevice, PlannedBytesAreThoseThatAreTakenFromBatch1To8192) {
  const Watched memory(GetParam());
  if (!memory.possible()) GTEST_SKIP() << "a sanitizer's allocator leaves no room for hooks";
  int checked = 0;
  for (const testing_support::Recipe& recipe : testing_support::all_recipes()) {
    const Dataset dataset = blank_dataset(recipe, 11000);
    for (std::int64_t batch = 1; batch <= 8192; batch *= 2) {
      const Experiment experiment = at_batch(recipe.experiment, GetParam(), batch);
      const std::int64_t before = memory.bytes();
      memory.limit(0);
      try {
        const Session session(experiment, dataset);
        EXPECT_EQ(memory.peak() - before, session.memory_plan().total_bytes())
            << experiment.name << " at " << batch;
        EXPECT_EQ(session.peak_bytes(), session.memory_plan().total_bytes());
        ++checked;
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("batchnorm")) << experiment.name;  // groups of one
      }
      EXPECT_EQ(memory.bytes(), before) << "leaked";
    }
  }
  EXPECT_GE(checked, 14 * 14);
}

/// Bytes between what the smallest and the largest batch need.
std::vector<std::int64_t> budgets_of(const Experiment& experiment, const RunFacts& facts,
                                     const DeviceFacts& device) {
  const Fitting fit(facts.graph, experiment, experiment.training, facts.data, device,
                    std::numeric_limits<std::int64_t>::max());
  const auto at = [&](std::int64_t batch) {
    return static_cast<double>(fit.bytes(fit.passes(batch)));
  };
  const double least = at(2);
  const double most = at(facts.data.training_samples);
  std::vector<std::int64_t> budgets;
  for (const double share : {0.02, 0.1, 0.3, 0.6, 0.9}) {
    budgets.push_back(static_cast<std::int64_t>(least + share * (most - least)));
  }
  return budgets;
}

TEST_P(OnDevice, TheLargestBatchWithinABudgetTrainsAndTheNextUnitDoesNot) {
  const Watched memory(GetParam());
  if (!memory.possible()) GTEST_SKIP() << "a sanitizer's allocator leaves no room for hooks";
  const bool emulated = GetParam() == "emulated";
  int checked = 0;
  for (const testing_support::Recipe& recipe : testing_support::all_recipes()) {
    const Dataset dataset = blank_dataset(recipe, emulated ? 250 : 5000);
    Experiment experiment = at_batch(recipe.experiment, GetParam(), 32);
    experiment.training.micro_batch_size = 0;
    const RunFacts facts = examine(experiment, dataset);
    const DeviceFacts device = device_facts(find_backend(GetParam()), experiment.numerics);
    for (const std::int64_t budget : budgets_of(experiment, facts, device)) {
      const MemoryReport report =
          profile_memory(experiment, facts,
                         {.batch_sizes = {32},
                          .budget = MemoryBudget{budget, "test"},
                          .device = {.facts = device, .name = GetParam(), .overhead_bytes = 0}});
      const std::int64_t largest = report.largest_training_batch;
      ASSERT_GE(largest, 1) << experiment.name << " within " << budget;
      const std::int64_t before = memory.bytes();
      memory.limit(before + budget);
      {
        Session session(at_batch(experiment, GetParam(), largest), dataset);
        (void)session.update(first_ids(largest), 1, 0.001);
        EXPECT_TRUE(session.take_notes().empty());
        EXPECT_LE(memory.peak() - before, budget);
      }
      memory.limit(0);
      ++checked;
      const std::int64_t next = largest + kUnitSamples;
      if (next > facts.data.training_samples) continue;
      Experiment larger = at_batch(experiment, GetParam(), next);
      larger.training.memory_budget = {budget};
      EXPECT_THAT(message_of([&] { const Session session(larger, dataset); }),
                  HasSubstr("training.memory_budget is " + std::to_string(budget)))
          << experiment.name << " at " << next;
      // Without level 4 there are no smaller passes to go on in, so that the refusal is seen.
      larger.training.memory_budget = {};
      larger.numerics = Numerics::fast;
      memory.limit(before + budget);
      EXPECT_NE(message_of<InputError>([&] { const Session session(larger, dataset); }), "accepted")
          << experiment.name << " at " << next;
      memory.limit(0);
    }
  }
  EXPECT_GE(checked, 14 * 5);
}

/// A chain whose activations outweigh everything else.
Experiment deep_experiment(const std::string& device, int layers, int units, std::int64_t batch) {
  std::string text;
  for (int layer = 0; layer < layers; ++layer) {
    text += "{ type = \"dense\", units = " + std::to_string(units) +
            ", activation = \"relu\", init = \"kaiming_uniform\" }, ";
  }
  const std::string samples = std::to_string(batch);
  return small_experiment({"device=" + device, "data.samples=" + samples, "data.test_samples=0",
                           "training.batch_size=" + samples, "training.epochs=3",
                           "optimizer.name=sgd", "optimizer.learning_rate=0.05"},
                          text + "{ type = \"dense\", units = 4 }");
}

std::string hash_after_updates(Session& session, std::int64_t batch, int updates = 2) {
  for (int step = 1; step <= updates; ++step) (void)session.update(first_ids(batch), step, 0.05);
  return session.weights_sha256();
}

class PartOfTheNeed : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, PartOfTheNeed, ::testing::Values("cpu", "emulated"),
                         [](const auto& instance) { return instance.param; });

TEST_P(PartOfTheNeed, GivesTheSameWeightsInMicroBatchesAndWithCheckpointing) {
  const Watched memory(GetParam());
  const bool emulated = GetParam() == "emulated";
  const std::int64_t batch = emulated ? 384 : 4096;
  const int units = emulated ? 8 : 32;
  const int updates = emulated ? 1 : 2;
  const Experiment experiment = deep_experiment(GetParam(), emulated ? 48 : 160, units, batch);
  const Dataset dataset = testing_support::data_of(experiment);
  std::string expected;
  std::int64_t need = 0;
  {
    Session session(experiment, dataset);
    need = session.memory_plan().total_bytes();
    expected = hash_after_updates(session, batch, updates);
  }
  // A chain of n layers fits in about 2 / sqrt(n) of its need; the emulated device is slow.
  const std::int64_t budget = emulated ? need * 45 / 100 : need / 4;
  Experiment within = experiment;
  within.training.memory_budget = {budget};
  EXPECT_THAT(message_of([&] { const Session session(within, dataset); }),
              HasSubstr("--micro-batch-size"));
  const auto hash_within = [&](const std::string& setting, auto&& check) {
    Experiment changed = within;
    if (setting == "micro") changed.training.micro_batch_size = kAutomatic;
    if (setting == "checkpoint") changed.training.checkpoint.automatic = true;
    const std::int64_t before = memory.bytes();
    memory.limit(before + budget);
    std::string hash;
    {
      Session session(changed, dataset);
      EXPECT_LE(session.memory_plan().total_bytes(), budget);
      check(session);
      hash = hash_after_updates(session, batch, updates);
      EXPECT_LE(memory.peak() - before, budget);
    }
    memory.limit(0);
    return hash;
  };
  EXPECT_EQ(hash_within("micro", [&](Session& s) { EXPECT_LT(s.micro_batch_size(), batch); }),
            expected);
  EXPECT_EQ(hash_within("checkpoint",
                        [&](Session& s) {
                          EXPECT_EQ(s.micro_batch_size(), batch);
                          EXPECT_FALSE(s.experiment().training.checkpoint.names.empty());
                        }),
            expected);
}

TEST_P(OnDevice, CheckpointingAndOffloadingKeepTheBitsOfEveryLayer) {
  const std::string layers =
      R"({ type = "dense", units = 24, activation = "relu" },
         { type = "dropout", rate = 0.3 },
         { type = "dense", units = 20, activation = "gelu" },
         { type = "batchnorm", group = 16 },
         { type = "activation", activation = "leaky_relu" },
         { type = "dense", units = 16, activation = "sigmoid" },
         { type = "dropout", rate = 0.2 },
         { type = "dense", units = 4 })";
  const auto hash_with = [&](const std::vector<std::string>& settings) {
    std::vector<std::string> all{"device=" + GetParam(), "data.samples=80",
                                 "training.batch_size=48"};
    all.insert(all.end(), settings.begin(), settings.end());
    const Experiment experiment = small_experiment(all, layers);
    Session session(experiment, testing_support::data_of(experiment));
    for (int step = 1; step <= 3; ++step) (void)session.update(first_ids(48), step, 0.01);
    return session.weights_sha256();
  };
  const std::string expected = hash_with({});
  for (const std::vector<std::string>& settings : std::vector<std::vector<std::string>>{
           {"training.checkpoint=[\"dense_1\"]"},
           {"training.checkpoint=[\"input\", \"dense_1\", \"dropout_1\", \"dense_2\"]"},
           {"training.checkpoint=[\"batchnorm_1\", \"activation_1\", \"dense_3\"]"},
           {"training.checkpoint=[\"input\", \"dense_1\", \"dropout_1\", \"dense_2\", "
            "\"batchnorm_1\", \"activation_1\", \"dense_3\", \"dropout_2\"]"},
           {"training.offload_activations=true"},
           {"training.offload_activations=true", "training.checkpoint=[\"dense_2\"]",
            "training.micro_batch_size=16"}}) {
    EXPECT_EQ(hash_with(settings), expected) << settings.front();
  }
}

TEST_P(OnDevice, AHundredChangesOfTheBatchSizeTakeWhatTheLargestPlanTakes) {
  const Watched memory(GetParam());
  const bool emulated = GetParam() == "emulated";
  const std::int64_t before = memory.bytes();
  {
    const Experiment experiment =
        small_experiment({"device=" + GetParam(), "data.samples=3000", "training.batch_size=16"});
    Session session(experiment, testing_support::data_of(experiment));
    std::mt19937 generator(17);
    std::int64_t most = session.plan().bytes.transient;
    std::int64_t resident = session.memory_plan().total_bytes() - session.pool_bytes();
    for (int change = 1; change <= 100; ++change) {
      const auto batch = static_cast<std::int64_t>(1 + generator() % (emulated ? 300 : 3000));
      session.change_batch_size(batch);
      most = std::max(most, round_up(session.plan().bytes.transient, 256));
      (void)session.update(first_ids(batch), change, 0.001);
      EXPECT_EQ(session.pool_bytes(), most);
      if (memory.possible()) {
        EXPECT_EQ(memory.bytes() - before, resident + most);
      }
    }
    EXPECT_EQ(session.peak_bytes(), resident + most) << "the maximum, not the sum";
  }
  EXPECT_EQ(memory.bytes(), before) << "leaked";
}

TEST(ChangeBatchSize, GoesOnAsIfTheRunHadAlwaysHadThisSize) {
  const Experiment small = small_experiment({"training.batch_size=100"});
  const Dataset dataset = testing_support::data_of(small);
  Session changed(small, dataset);
  (void)changed.update(first_ids(100), 1, 0.01);
  changed.change_batch_size(200);
  EXPECT_EQ(changed.experiment().training.batch_size, 200);
  EXPECT_EQ(changed.steps_per_epoch(), 2);
  (void)changed.update(first_ids(200), 2, 0.01);

  Experiment large = small;
  large.training.batch_size = 200;
  Session other(large, dataset);
  (void)other.update(first_ids(100), 1, 0.01);  // as an epoch's smaller last batch
  (void)other.update(first_ids(200), 2, 0.01);
  EXPECT_EQ(changed.weights_sha256(), other.weights_sha256());
}

TEST(ChangeBatchSize, IsRefusedWithoutChangingAnything) {
  const Experiment experiment = small_experiment(
      {"training.batch_size=16", "training.memory_budget=110000"},
      "{ type = \"dense\", units = 64, activation = \"relu\" }, { type = \"dense\", units = 4 }");
  Session session(experiment, testing_support::data_of(experiment));
  const std::string before = session.weights_sha256();
  EXPECT_THAT(message_of([&] { session.change_batch_size(300); }),
              HasSubstr("training.memory_budget is 110000"));
  EXPECT_EQ(session.experiment().training.batch_size, 16);
  EXPECT_EQ(session.weights_sha256(), before);
  (void)session.update(first_ids(16), 1, 0.01);
  EXPECT_NE(session.weights_sha256(), before);
}

TEST_P(OnDevice, ARefusalByTheDeviceIsMetWithSmallerPassesAndTheSameWeights) {
  const Watched memory(GetParam());
  if (!memory.possible()) GTEST_SKIP() << "a sanitizer's allocator leaves no room for hooks";
  if (GetParam() == "emulated") {
    GTEST_SKIP() << "the emulated device says what is free, so that the plan is refused before";
  }
  const Experiment experiment = deep_experiment(GetParam(), 20, 32, 1024);
  const Dataset dataset = testing_support::data_of(experiment);
  std::string expected;
  std::int64_t need = 0;
  {
    Session session(experiment, dataset);
    need = session.memory_plan().total_bytes();
    expected = hash_after_updates(session, 1024);
  }
  memory.limit(memory.bytes() + need / 2);
  Session session(experiment, dataset);
  EXPECT_THAT(session.take_notes(), ::testing::Contains(HasSubstr("going on in passes of 256")));
  EXPECT_TRUE(session.take_notes().empty());
  EXPECT_LT(session.micro_batch_size(), 1024);
  EXPECT_EQ(hash_after_updates(session, 1024), expected);
}

TEST(OverMemory, MeasuresEveryWayToTheSameWeights) {
  const Experiment experiment = deep_experiment("cpu", 24, 32, 1024);
  const Dataset dataset = testing_support::data_of(experiment);
  const Session session(experiment, dataset, SessionUse::plan_only);
  const std::int64_t budget = session.memory_plan().total_bytes() * 6 / 10;
  const std::vector<OverMemoryWay> ways = measure_over_memory(experiment, dataset, budget, 1);
  ASSERT_EQ(ways.size(), 5u);
  EXPECT_EQ(ways[0].planned_bytes, session.memory_plan().total_bytes());
  EXPECT_THAT(ways[1].refused, HasSubstr("the plan needs"));
  for (const std::size_t way : {2u, 3u, 4u}) {
    EXPECT_EQ(ways[way].refused, "") << ways[way].name;
    EXPECT_LE(ways[way].planned_bytes, budget) << ways[way].name;
    EXPECT_EQ(ways[way].weights_sha256, ways[0].weights_sha256) << ways[way].name;
    EXPECT_GT(ways[way].seconds_per_sample, 0.0);
  }
  EXPECT_GT(ways[4].host_bytes, 0);
}

TEST(ChangeBatchSize, TakesNoBatchWithoutSamples) {
  const Experiment experiment = small_experiment();
  Session session(experiment, testing_support::data_of(experiment));
  EXPECT_NE(message_of([&] { session.change_batch_size(0); }), "accepted");
  EXPECT_NE(message_of([&] { session.change_batch_size(-5); }), "accepted");
  EXPECT_EQ(session.experiment().training.batch_size, 32);
}

TEST(AutomaticBatch, WithAMicroBatchThatCutsGroupsIsRefusedAtOnce) {
  const Experiment experiment =
      small_experiment({"training.batch_size=auto", "training.micro_batch_size=64"},
                       "{ type = \"dense\", units = 8 }, { type = \"batchnorm\", group = 48 }, "
                       "{ type = \"dense\", units = 4 }");
  EXPECT_THAT(
      message_of([&] { const Session session(experiment, testing_support::data_of(experiment)); }),
      HasSubstr("does not divide the micro-batch of 64"));
}

TEST(ProfileMemory, IsMeasuredAsItWasPlanned) {
  for (const char* setting : {"training.micro_batch_size=auto", "training.checkpoint=auto"}) {
    SCOPED_TRACE(setting);
    const Experiment experiment = small_experiment(
        {"data.samples=2000", setting, "batch_schedule.kind=step", "batch_schedule.at=[1]",
         "batch_schedule.max_batch_size=400"},
        "{ type = \"dense\", units = 64, activation = \"gelu\" }, "
        "{ type = \"dense\", units = 64, activation = \"gelu\" }, "
        "{ type = \"dense\", units = 64, activation = \"relu\" }, { type = \"dense\", units = 4 }");
    const Dataset dataset = testing_support::data_of(experiment);
    const RunFacts facts = examine(experiment, dataset);
    const MemoryQuestion question{
        .batch_sizes = {32, 352, 512},
        .budget = MemoryBudget{std::int64_t{700} << 10, "test"},
        .device = {.facts = device_facts(find_backend("cpu"), experiment.numerics),
                   .name = "cpu",
                   .overhead_bytes = 0}};
    MemoryReport report = profile_memory(experiment, facts, question);
    EXPECT_FALSE(report.levers.empty());
    for (MemoryRow& row : report.rows) {
      measure_memory(experiment, facts, dataset, question, row);
      ASSERT_EQ(row.refused, "") << row.batch_size;
      EXPECT_EQ(row.measured->allocator_bytes, row.training.total_bytes()) << row.batch_size;
    }
  }
}

}  // namespace
}  // namespace batchwise
