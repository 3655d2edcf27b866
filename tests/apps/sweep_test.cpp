// The command sweep: what it prints and writes, what it refuses, and that it can be stopped.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/apps/program.h"

namespace batchwise {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SweepCommand : public ProgramTest {
 protected:
  void SetUp() override { write("small.toml", small_experiment()); }

  [[nodiscard]] std::string refusal_of(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "sweep");
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.messages;
    return result.messages;
  }
};

TEST_F(SweepCommand, WritesTablesReportAndARunFolderARun) {
  const ProgramResult result =
      run({"sweep", "small.toml", "--batch-sizes", "8,32", "--optimizers", "sgd,adam", "--seeds",
           "2", "--epochs", "2", "--out", "out", "--tensorboard"});
  ASSERT_EQ(result.exit_code, 0) << result.messages;
  EXPECT_THAT(result.messages, AllOf(HasSubstr("4 cells x 2 seeds, compared at 2 epochs"),
                                     HasSubstr("8/8 "), HasSubstr("best so far")));
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("batch 8, sgd"), HasSubstr("batch 32, adam"), HasSubstr("report ")));
  EXPECT_THAT(read("out/report.html"), HasSubstr("batchwise sweep small.toml --batch-sizes 8,32"));
  EXPECT_THAT(read("out/results.csv"),
              HasSubstr("\n4,\"batch 32, adam\",32,adam,none,0.05,1,done,"));
  EXPECT_THAT(read("out/timings.csv"), HasSubstr("seconds"));
  for (const char* file : {"summary.json", "metrics.jsonl", "report.html", "measurements.json"}) {
    EXPECT_TRUE(std::filesystem::exists(path("out/cells/001-batch-8-sgd/seed-1") / file)) << file;
  }
  EXPECT_FALSE(std::filesystem::is_empty(path("out/tensorboard/001-batch-8-sgd/seed-1")));
  const ProgramResult evaluated = run({"evaluate", "out/cells/001-batch-8-sgd/seed-1"});
  EXPECT_EQ(evaluated.exit_code, 0) << evaluated.messages;
}

TEST_F(SweepCommand, GivesOneJsonObject) {
  const nlohmann::json result = result_of(
      {"sweep", "small.toml", "--batch-sizes", "8,32", "--seeds", "4,9", "--updates", "10"});
  EXPECT_EQ(result.at("compared_at"), "10 weight updates");
  EXPECT_EQ(result.at("seeds"), nlohmann::json({4, 9}));
  EXPECT_EQ(result.at("runs_done"), 4);
  EXPECT_EQ(result.at("cells").at(1).at("runs").at(0).at("steps"), 10);
  EXPECT_EQ(result.at("comparisons").size(), 1u);
}

TEST_F(SweepCommand, TakesKeysOfTheOptimizerThatIsSwept) {
  // The file's own optimizer may not know them.
  const nlohmann::json result =
      result_of({"sweep", "small.toml", "--batch-sizes", "32", "--seeds", "1", "--epochs", "1",
                 "--optimizers", "adam", "--set", "optimizer.beta1=0.8"});
  EXPECT_EQ(result.at("runs_done"), 1);
}

TEST_F(SweepCommand, TakesItsSeedsFromSeedOn) {
  const nlohmann::json result = result_of({"sweep", "small.toml", "--batch-sizes", "32", "--seed",
                                           "7", "--seeds", "2", "--epochs", "1"});
  EXPECT_EQ(result.at("seeds"), nlohmann::json({7, 8}));
}

TEST_F(SweepCommand, VariesAnyKey) {
  const nlohmann::json result =
      result_of({"sweep", "small.toml", "--batch-sizes", "32", "--seeds", "1", "--epochs", "1",
                 "--vary", "schedule={kind=\"constant\"},{kind=\"step\",at=[1,2],factor=0.5}",
                 "--vary", "model.layers.0.units=4,8"});
  EXPECT_EQ(result.at("cells").size(), 4u);
  EXPECT_EQ(result.at("comparisons").size(), 6u);  // one batch size: all cells with each other
}

TEST_F(SweepCommand, SearchesLearningRates) {
  const nlohmann::json result =
      result_of({"sweep", "small.toml", "--batch-sizes", "8,32", "--search", "4", "--range",
                 "optimizer.learning_rate=1e-3:1", "--seeds", "1", "--epochs", "1"});
  EXPECT_EQ(result.at("cells").size(), 8u);
  EXPECT_EQ(result.at("best_cells").size(), 2u);
}

TEST_F(SweepCommand, StopsWithAReportAndContinues) {
  const std::vector<std::string> arguments{"sweep",   "small.toml", "--batch-sizes", "8,32",
                                           "--seeds", "2",          "--epochs",      "300"};
  std::vector<std::string> whole = arguments;
  whole.insert(whole.end(), {"--out", "whole"});
  succeed(whole);
  std::vector<std::string> stopped = arguments;
  stopped.insert(stopped.end(), {"--out", "stopped"});
  RunningProgram program(folder(), stopped);
  for (int tries = 0; tries < 2000 && !std::filesystem::exists(path("stopped/sweep.json"));
       ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  ASSERT_EQ(result.exit_code, 130) << result.messages;
  EXPECT_THAT(result.messages, HasSubstr("sweep --resume --out"));
  EXPECT_THAT(read("stopped/report.html"), HasSubstr("batchwise sweep small.toml"));
  succeed({"sweep", "--resume", "--out", "stopped"});
  EXPECT_EQ(read("stopped/results.csv"), read("whole/results.csv"));
}

TEST_F(SweepCommand, RefusesWhatItCannotDo) {
  EXPECT_THAT(refusal_of({}), HasSubstr("EXPERIMENT.toml"));
  EXPECT_THAT(refusal_of({"none.toml"}), HasSubstr("none.toml"));
  EXPECT_THAT(refusal_of({"small.toml", "--epochs", "2", "--updates", "3"}),
              HasSubstr("one of them"));
  EXPECT_THAT(refusal_of({"small.toml", "--seeds", "0"}), HasSubstr("--seeds 0"));
  EXPECT_THAT(refusal_of({"small.toml", "--learning-rates", "0.1,x"}), HasSubstr("\"x\""));
  EXPECT_THAT(refusal_of({"small.toml", "--vary", "optimizer.momentum"}),
              HasSubstr("SECTION.KEY=VALUE,VALUE"));
  EXPECT_THAT(refusal_of({"small.toml", "--search", "3", "--range", "optimizer.learning_rate=1"}),
              HasSubstr("LOW:HIGH"));
  EXPECT_THAT(refusal_of({"small.toml", "--until", "accuracy"}), HasSubstr("validation_accuracy"));
  EXPECT_THAT(refusal_of({"small.toml", "--devices", "cpu,cpu"}), HasSubstr("named already"));
  EXPECT_THAT(refusal_of({"small.toml", "--devices", "gpu"}), HasSubstr("gpu"));
  EXPECT_THAT(refusal_of({"--resume"}), HasSubstr("--out"));
  EXPECT_THAT(refusal_of({"--resume", "--out", "nowhere"}), HasSubstr("is no sweep"));
  EXPECT_THAT(refusal_of({"small.toml", "--resume", "--out", "nowhere"}),
              HasSubstr("as it was asked for"));
  EXPECT_THAT(refusal_of({"small.toml", "--measure", "flatness"}), HasSubstr("sharpness"));
  std::filesystem::create_directories(path("taken"));
  write("taken/file", "mine");
  EXPECT_THAT(refusal_of({"small.toml", "--out", "taken", "--overwrite"}), HasSubstr("is none"));
  EXPECT_EQ(read("taken/file"), "mine");
  EXPECT_FALSE(std::filesystem::exists(path("runs")));
}

}  // namespace
}  // namespace batchwise
