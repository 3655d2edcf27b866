// A batch that is due to grow while the memory for it is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/execute/allocation_counter.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::data_of;
using testing_support::message_of;
using testing_support::metrics_of_kind;
using testing_support::small_experiment;
using testing_support::timeless_metrics_of;
using testing_support::train_in;

/// Refuses what is more by `slack_bytes` than what is held when an epoch ends.
class Refuser final : public TrainingObserver {
 public:
  explicit Refuser(std::int64_t slack_bytes) : slack_bytes_(slack_bytes) {}
  Refuser(const Refuser&) = delete;
  Refuser& operator=(const Refuser&) = delete;
  ~Refuser() override { testing_support::limit_aligned_bytes(0); }
  void on_epoch(const Progress&, double, double, const std::optional<SplitResult>&) override {
    testing_support::limit_aligned_bytes(testing_support::aligned_bytes_held() + slack_bytes_);
  }

 private:
  std::int64_t slack_bytes_;
};

/// The batch grows from 32 to 256 after 10 steps.
Experiment growing(const std::string& normalization) {
  return small_experiment(
      {"batch_schedule.kind=step", "batch_schedule.at=[1]", "batch_schedule.factor=8"},
      "{ type = \"dense\", units = 64 }, " + normalization + ", { type = \"dense\", units = 4 }");
}

TEST(BatchGrowth, WithoutMemoryStopsWithACheckpointAndResumes) {
  if (!testing_support::allocations_are_counted()) {
    GTEST_SKIP() << "this build's sanitizer brings its own allocator";
  }
  const TemporaryFolder folder;
  // BatchNorm over the whole batch: smaller passes are no way out.
  const Experiment experiment = growing("{ type = \"batchnorm\" }");
  {
    Session session(experiment, data_of(experiment));
    const RunFolder run = RunFolder::create(folder / "run", session.experiment(), {}, false);
    Refuser refuser(0);
    EXPECT_THAT(message_of<RunError>([&] {
                  (void)Trainer(session, &run, {.observer = &refuser, .interrupted = {}}).run();
                }),
                AllOf(HasSubstr("epoch 2: the batch cannot grow from 32 to 256"),
                      HasSubstr("step 10"), HasSubstr("--resume --out")));
  }
  EXPECT_EQ(CheckpointStore(folder / "run/checkpoints").load_newest()->step, 10);
  EXPECT_EQ(train_in(folder / "run", experiment).weights_sha256,
            train_in(folder / "whole", experiment).weights_sha256);
  EXPECT_EQ(timeless_metrics_of(folder / "run"), timeless_metrics_of(folder / "whole"));
}

TEST(BatchGrowth, WithLittleMemoryGoesOnInSmallerPasses) {
  if (!testing_support::allocations_are_counted()) {
    GTEST_SKIP() << "this build's sanitizer brings its own allocator";
  }
  const TemporaryFolder folder;
  const Experiment experiment = growing("{ type = \"batchnorm\", group = 8 }");
  std::string weights_sha256;
  {
    Session session(experiment, data_of(experiment));
    const RunFolder run = RunFolder::create(folder / "run", session.experiment(), {}, false);
    Refuser refuser(64 * 1024);  // a layer of 64 units holds as much for 256 samples
    weights_sha256 =
        Trainer(session, &run, {.observer = &refuser, .interrupted = {}}).run().weights_sha256;
  }
  const auto changes = metrics_of_kind(folder / "run", "batch_size");
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].at("batch_size"), 256);
  EXPECT_LT(changes[0].at("micro_batch_size"), 256);
  EXPECT_EQ(weights_sha256, train_in(folder / "whole", experiment).weights_sha256);
}

TEST(BatchGrowth, ResolvesAutoForEachSizeAlsoWhenResumed) {
  const TemporaryFolder folder;
  for (const char* setting : {"training.micro_batch_size=auto", "training.checkpoint=auto"}) {
    SCOPED_TRACE(setting);
    // Room for the first batch in one pass, and for the second in parts or with recomputation.
    const auto with_budget = [&](std::int64_t budget) {
      return small_experiment(
          {"batch_schedule.kind=step", "batch_schedule.at=[1]", "batch_schedule.factor=8", setting,
           "training.memory_budget=" + std::to_string(budget)},
          "{ type = \"dense\", units = 64, activation = \"gelu\" }, "
          "{ type = \"dense\", units = 64, activation = \"gelu\" }, "
          "{ type = \"dense\", units = 64, activation = \"gelu\" }, { type = \"dense\", units = 4 "
          "}");
    };
    Experiment whole = with_budget(0);
    whole.training.micro_batch_size = 0;
    whole.training.checkpoint = {};
    Session without_limit(whole, data_of(whole));
    without_limit.change_batch_size(256);
    const Experiment experiment =
        with_budget(without_limit.memory_plan().total_bytes() - 64 * 1024);
    const std::filesystem::path path = folder / setting;
    {
      Session session(experiment, data_of(experiment));
      (void)RunFolder::create(path, session.experiment(), {}, false);
    }
    const Experiment recorded = RunFolder::open(path).experiment({});
    Session resumed(recorded, data_of(recorded));
    EXPECT_EQ(resumed.micro_batch_size(), 32);
    EXPECT_TRUE(resumed.plan().training.request.recompute.empty());
    resumed.change_batch_size(256);
    EXPECT_LE(resumed.memory_plan().total_bytes(), recorded.training.memory_budget.count);
    EXPECT_TRUE(resumed.micro_batch_size() < 256 ||
                !resumed.plan().training.request.recompute.empty());
  }
}

}  // namespace
}  // namespace batchwise
