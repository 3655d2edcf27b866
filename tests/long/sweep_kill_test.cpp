// A sweep killed at twenty random moments and continued ends with the table of one left alone.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// On optdigits where it is, or else on built-in digits.
std::string experiment() {
  const std::filesystem::path data = test_data("optdigits");
  const std::string section =
      data.empty()
          ? "kind = \"builtin\"\nname = \"digits\"\nsamples = 3000\ntest_samples = 500\n"
          : "kind = \"csv\"\ntrain = \"" + (data / "optdigits.tra").string() + "\"\ntest = \"" +
                (data / "optdigits.tes").string() + "\"\nnormalize = \"standardize\"\n";
  return "[data]\n" + section + R"(validation_split = 0.1
[model]
layers = [{ type = "flatten" }, { type = "dense", units = 64, activation = "relu" }, { type = "dense", units = 10 }]
[training]
epochs = 10
checkpoint_seconds = 0.02
)";
}

class SweepKills : public ProgramTest {};

TEST_F(SweepKills, TwentyKillsChangeNoTable) {
  write("experiment.toml", experiment());
  const std::vector<std::string> arguments{"sweep",         "experiment.toml",
                                           "--batch-sizes", "16,64,256",
                                           "--optimizers",  "sgd,adam",
                                           "--seeds",       "3",
                                           "--progress",    "none"};
  const auto asked = [&](const char* out) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"--out", out});
    return all;
  };
  const Clock::time_point began = Clock::now();
  succeed(asked("whole"));
  const double whole_seconds = Seconds(Clock::now() - began).count();
  std::mt19937 random(2026);
  int kills = 0, finished = 0;
  while (kills < 20) {
    const std::string name = "killed-" + std::to_string(finished);
    const bool resumes = std::filesystem::exists(path(name + "/sweep.json"));
    RunningProgram program(
        folder(),
        resumes ? std::vector<std::string>{"sweep", "--resume", "--progress", "none", "--out", name}
                : asked(name.c_str()));
    const double share = static_cast<double>(random()) / 4294967296.0;
    std::this_thread::sleep_for(Seconds(share * whole_seconds * 0.3));
    program.send(SIGKILL);
    const ProgramResult result = program.wait();
    if (result.exit_code == -SIGKILL) {
      ++kills;
      continue;
    }
    ASSERT_EQ(result.exit_code, 0) << result.messages;
    EXPECT_EQ(read(name + "/results.csv"), read("whole/results.csv"));
    ++finished;
  }
  const std::string name = "killed-" + std::to_string(finished);
  if (std::filesystem::exists(path(name + "/sweep.json"))) {
    succeed({"sweep", "--resume", "--progress", "none", "--out", name});
    EXPECT_EQ(read(name + "/results.csv"), read("whole/results.csv"));
    ++finished;
  }
  std::printf("%d kills over %d sweeps\n", kills, finished);
  EXPECT_GT(finished, 0);
}

}  // namespace
}  // namespace batchwise
