// What stops a run from outside: kills, signals, a file-size limit and a full disk. The last good
// checkpoint stays, and resuming gives the bits of a run that was left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "engine/train/checkpoint.h"
#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"
#include "tests/engine/files/failing_writes.h"
#include "tests/long/kill_campaign.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

TEST(Kill, TenTimesChangesNothing) {
  const TemporaryFolder folder;
  const KillCounts counts = run_kill_campaign(folder.path(), 10, 7);
  EXPECT_EQ(counts.kills, 10);
  EXPECT_GE(counts.finished_runs, 2);
}

const std::vector<std::string> kTrain = {"train", "experiment.toml", "--out",
                                         "run",   "--progress",      "none"};
const std::vector<std::string> kResume = {"train", "--resume",   "--out",
                                          "run",   "--progress", "none"};

class SignalTest : public ProgramTest, public ::testing::WithParamInterface<int> {};

TEST_P(SignalTest, ExitsWithACheckpointToResumeFrom) {
  // Long enough that the signal comes before the end.
  const std::vector<std::string> longer = {"--epochs", "20", "--json"};
  write("experiment.toml", killed_experiment());
  std::vector<std::string> arguments = kTrain;
  arguments.insert(arguments.end(), longer.begin(), longer.end());
  RunningProgram program(folder(), arguments);
  // The first steps' lines are written with the first checkpoint after them.
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  const fs::path metrics = path("run/metrics.jsonl");
  while (!fs::exists(metrics) && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  program.send(GetParam());
  const ProgramResult result = program.wait();
  ASSERT_EQ(result.exit_code, 128 + GetParam()) << result.messages;
  EXPECT_THAT(result.messages, HasSubstr("--resume"));
  const nlohmann::json object = nlohmann::json::parse(result.output);
  EXPECT_EQ(object.at("exit_code"), 128 + GetParam());
  EXPECT_THAT(object.at("error").get<std::string>(), HasSubstr("signal"));
  const auto checkpoint = CheckpointStore(path("run/checkpoints")).load_newest();
  ASSERT_TRUE(checkpoint);
  EXPECT_GT(checkpoint->step, 0);
  EXPECT_FALSE(fs::exists(path("run/summary.json")));

  succeed(kResume);
  arguments[3] = "whole";
  succeed(arguments);
  EXPECT_EQ(outcome_of(path("run")), outcome_of(path("whole")));
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalTest, ::testing::Values(SIGINT, SIGTERM),
                         [](const auto& instance) {
                           return std::string(instance.param == SIGINT ? "SIGINT" : "SIGTERM");
                         });

class LimitTest : public ProgramTest {
 protected:
  LimitTest() {
    write("experiment.toml", killed_experiment());
    succeed({"train", "experiment.toml", "--out", "whole", "--progress", "none"});
  }
  /// Exit code 1, a message with the reason and the way on, and a checkpoint that loads.
  static void expect_stopped(const ProgramResult& result, const fs::path& run) {
    EXPECT_EQ(result.exit_code, 1) << result.messages;
    EXPECT_THAT(result.messages, AllOf(HasSubstr((run / "").string()), HasSubstr("bytes")));
    const auto checkpoint = CheckpointStore(run / "checkpoints").load_newest();
    ASSERT_TRUE(checkpoint);
    EXPECT_TRUE(checkpoint->damaged.empty());
    EXPECT_FALSE(fs::exists(run / "summary.json"));
  }
};

TEST_F(LimitTest, AFileSizeLimitLeavesTheLastCheckpoint) {
  // A network of a few weights, whose checkpoints stay small while its metrics grow.
  const std::vector<std::string> small = {"--set", "model.layers.1.units=1", "--epochs", "20"};
  const auto with_small = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), small.begin(), small.end());
    return arguments;
  };
  std::vector<std::string> whole = kTrain;
  whole[3] = "small";
  succeed(with_small(whole));
  const std::uintmax_t metrics_bytes = fs::file_size(path("small/metrics.jsonl"));
  std::uintmax_t checkpoint_bytes = 0;
  for (const auto& entry : fs::directory_iterator(path("small/checkpoints"))) {
    checkpoint_bytes = std::max(checkpoint_bytes, entry.file_size());
  }
  ASSERT_LT(2 * checkpoint_bytes, metrics_bytes);
  {
    const testing::FileSizeLimit limit((checkpoint_bytes + metrics_bytes) / 2);
    const ProgramResult result = run(with_small(kTrain));
    expect_stopped(result, path("run"));
    EXPECT_THAT(result.messages, HasSubstr("metrics.jsonl"));
  }
  succeed(kResume);
  EXPECT_EQ(outcome_of(path("run")), outcome_of(path("small")));
}

TEST_F(LimitTest, ALimitBelowACheckpointNamesIt) {
  const testing::FileSizeLimit limit(100 * 1024);
  const ProgramResult result = run(kTrain);
  EXPECT_EQ(result.exit_code, 2);  // the run folder appears with its first checkpoint or not at all
  EXPECT_THAT(result.messages, HasSubstr("step-000000000000.checkpoint"));
}

TEST_F(LimitTest, AFullDiskLeavesTheLastCheckpoint) {
  std::uintmax_t checkpoint_bytes = 0;
  for (const auto& entry : fs::directory_iterator(path("whole/checkpoints"))) {
    checkpoint_bytes = std::max(checkpoint_bytes, entry.file_size());
  }
  // Room for two checkpoints and the small files, not for a third before the oldest is deleted.
  const std::size_t bytes = (checkpoint_bytes * 5 / 2 + 4095) / 4096 * 4096;
  const RunOutcome expected = outcome_of(path("whole"));
  fs::create_directory(path("disk"));
  const testing::ChildResult child = testing::on_small_disk(path("disk"), bytes, [&] {
    std::vector<std::string> train = kTrain, resume = kResume;
    train[3] = resume[3] = "disk/run";
    const ProgramResult result = run(train);
    expect_stopped(result, path("disk/run"));
    EXPECT_THAT(result.messages, AllOf(HasSubstr("No space left"), HasSubstr("--resume --out")));
    if (::mount("none", path("disk").c_str(), "tmpfs", MS_REMOUNT, "size=64m") != 0) {
      return std::string("the disk cannot be enlarged");
    }
    succeed(resume);
    EXPECT_EQ(outcome_of(path("disk/run")), expected);
    return std::string(HasFailure() ? "see above" : "");
  });
  if (child == testing::ChildResult::no_disk) {
    GTEST_SKIP() << "this system lets no process mount a small disk of its own";
  }
  EXPECT_EQ(child, testing::ChildResult::succeeded);
}

}  // namespace
}  // namespace batchwise
