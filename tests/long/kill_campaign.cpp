#include "tests/long/kill_campaign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "engine/files/durable_file.h"
#include "engine/train/checkpoint.h"
#include "engine/train/run_folder.h"
#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

bool has_temporary(const fs::path& folder) {
  std::error_code gone;  // files come and go while we look
  for (auto entry = fs::directory_iterator(folder, gone); !gone && entry != fs::end(entry);
       entry.increment(gone)) {
    if (entry->path().native().ends_with(kTemporaryEnding)) return true;
  }
  return false;
}

int half_made_runs(const fs::path& folder) {
  return static_cast<int>(std::count_if(
      fs::directory_iterator(folder), fs::directory_iterator(), [](const auto& entry) {
        return entry.path().filename().string().find(".partial") != std::string::npos;
      }));
}

class Campaign {
 public:
  Campaign(const fs::path& folder, std::uint32_t seed) : folder_(folder), random_(seed) {
    write_file(folder_ / "experiment.toml", killed_experiment());
    const Clock::time_point began = Clock::now();
    EXPECT_EQ(start("whole").wait().exit_code, 0);
    whole_seconds_ = Seconds(Clock::now() - began).count();
    expected_ = outcome_of(folder_ / "whole");
  }

  KillCounts run(int kills) {
    while (counts_.kills < kills && !testing::Test::HasFailure()) finish_one_run(kills);
    return counts_;
  }

 private:
  RunningProgram start(const std::string& name) const {
    const bool resumes = fs::exists(folder_ / name);
    std::vector<std::string> arguments = {"train", "--out", name, "--progress", "none"};
    arguments.push_back(resumes ? "--resume" : "experiment.toml");
    return {folder_, arguments};
  }

  /// Starts a run, kills it up to eight times and then lets it finish.
  void finish_one_run(int kills) {
    const std::string name = "run-" + std::to_string(counts_.finished_runs);
    const fs::path run = folder_ / name;
    const int last_kill = std::min(kills, counts_.kills + 1 + static_cast<int>(random_() % 8));
    bool had_checkpoint = false;
    while (!testing::Test::HasFailure()) {
      RunningProgram program = start(name);
      if (counts_.kills < last_kill) {
        wait_for_the_moment(run);
        program.send(SIGKILL);
      }
      const ProgramResult result = program.wait();
      if (result.exit_code == 0) break;
      ASSERT_EQ(result.exit_code, -SIGKILL) << result.messages;
      ++counts_.kills;
      had_checkpoint = check_what_is_left(name, had_checkpoint);
    }
    ++counts_.finished_runs;
    EXPECT_EQ(outcome_of(run), expected_) << name;
    fs::remove_all(run);
  }

  double uniform() { return static_cast<double>(random_()) / 4294967296.0; }

  /// Half of the moments lie anywhere in a run, a quarter in its first tenth, where the folder is
  /// made, and a quarter follow a checkpoint's beginning by up to two milliseconds.
  void wait_for_the_moment(const fs::path& run) {
    const double kind = uniform();
    const double share = uniform();
    double delay_seconds = share * whole_seconds_ * (kind < 0.5 ? 1.0 : 0.1);
    if (kind >= 0.75) {
      delay_seconds = share * 0.002;
      const Clock::time_point began = Clock::now();
      while (Seconds(Clock::now() - began).count() < whole_seconds_ &&
             !has_temporary(run / "checkpoints")) {
      }
    }
    std::this_thread::sleep_for(Seconds(delay_seconds));
  }

  /// The folder is not there or is a whole run; once it had a checkpoint there is always one that
  /// loads, and none is damaged. Returns whether there is one now.
  bool check_what_is_left(const std::string& name, bool had_checkpoint) {
    const fs::path run = folder_ / name;
    counts_.amid_creation = half_made_runs(folder_);  // they stay
    if (!fs::exists(run)) {
      ++counts_.without_folder;
      EXPECT_FALSE(had_checkpoint);
      return false;
    }
    EXPECT_NO_THROW((void)RunFolder::open(run).experiment());
    counts_.amid_a_checkpoint += has_temporary(run / "checkpoints") ? 1 : 0;
    try {
      const auto newest = CheckpointStore(run / "checkpoints").load_newest();
      EXPECT_TRUE(newest || !had_checkpoint) << "the checkpoints of " << name << " are gone";
      if (!newest) {
        ++counts_.without_checkpoint;
        return false;
      }
      EXPECT_TRUE(newest->damaged.empty()) << newest->damaged.front();
      return true;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
      return false;
    }
  }

  fs::path folder_;
  std::mt19937 random_;
  double whole_seconds_ = 0.0;
  RunOutcome expected_;
  KillCounts counts_;
};

}  // namespace

std::string killed_experiment() {
  return R"(seed = 3

[data]
kind = "builtin"
name = "digits"
samples = 1500
test_samples = 100
validation_split = 0.1

[model]
layers = [
  { type = "flatten" },
  { type = "dense", units = 32 },
  { type = "batchnorm", group = 8 },
  { type = "activation", activation = "relu" },
  { type = "dropout", rate = 0.2 },
  { type = "dense", units = 10 },
]

[optimizer]
name = "adam"

[schedule]
kind = "cosine"

[batch_schedule]
kind = "step"
at = [3]

[training]
epochs = 6
batch_size = 16
micro_batch_size = 8
validate_every_steps = 40
early_stopping = { patience = 100 }
checkpoint_seconds = 0.02
)";
}

RunOutcome outcome_of(const fs::path& run) {
  RunOutcome outcome;
  outcome.summary = nlohmann::json::parse(read_whole(run / "summary.json"));
  outcome.weights_sha256 = outcome.summary.at("weights_sha256");
  for (const char* key : {"seconds", "training_seconds", "samples_per_second"}) {
    outcome.summary.erase(key);
  }
  outcome.metrics = json_lines(read_whole(run / "metrics.jsonl"));
  for (nlohmann::json& line : outcome.metrics) {
    line.erase("seconds");
    line.erase("samples_per_second");
  }
  EXPECT_EQ(weights_sha256(RunFolder::open(run).read_weights().tensors), outcome.weights_sha256);
  return outcome;
}

KillCounts run_kill_campaign(const fs::path& folder, int kills, std::uint32_t seed) {
  return Campaign(folder, seed).run(kills);
}

}  // namespace batchwise
