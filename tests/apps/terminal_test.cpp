// The program among others: on a terminal, in a pipe, on a full disk, with closed streams, and when
// it is asked to stop.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <thread>

#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

/// Long enough to be looked at and to be stopped: images, and a wide layer.
constexpr const char* kLonger = R"(
[data]
kind = "builtin"
name = "digits"
samples = 2000
test_samples = 100
[model]
layers = [
  { type = "flatten" },
  { type = "dense", units = 128, activation = "relu" },
  { type = "dense", units = 10 },
]
[training]
epochs = 30
)";

class OnTerminal : public ProgramTest {
 protected:
  void SetUp() override { write("experiment.toml", kLonger); }
};

/// What was drawn between two returns of the cursor.
std::vector<std::string> drawn_lines(const std::string& text) {
  std::vector<std::string> lines(1);
  for (std::size_t index = 0; index < text.size(); ++index) {
    if (text[index] == '\r' || text[index] == '\n') {
      lines.emplace_back();
    } else if (text.compare(index, 3, "\033[K") == 0) {
      index += 2;
    } else {
      lines.back() += text[index];
    }
  }
  return lines;
}

TEST_F(OnTerminal, TheBarNeverWraps) {
  for (const std::uint16_t columns : {std::uint16_t{200}, std::uint16_t{80}, std::uint16_t{40}}) {
    const std::string text = run_on_terminal(folder(), {"train", "experiment.toml"}, columns);
    int bars = 0;
    for (const std::string& line : drawn_lines(text)) {
      if (!line.starts_with("epoch ")) continue;
      EXPECT_LT(line.size(), columns) << line;
      if (line.find(" [") == std::string::npos) continue;
      ++bars;
      EXPECT_THAT(line, HasSubstr("%"));
      if (columns >= 80) {
        EXPECT_THAT(line, HasSubstr("ETA "));
        EXPECT_THAT(line, HasSubstr(" samples/s"));
        EXPECT_THAT(line, HasSubstr(" MiB"));
      }
    }
    EXPECT_GT(bars, 0) << text;
    EXPECT_THAT(text, HasSubstr("epoch 30/30"));
  }
}

TEST_F(OnTerminal, PlainDrawsNoBar) {
  const std::string text =
      run_on_terminal(folder(), {"train", "experiment.toml", "--progress", "plain"}, 80);
  EXPECT_THAT(text, HasSubstr("epoch 30/30"));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

class Streaming : public ProgramTest {
 protected:
  void SetUp() override { write("experiment.toml", small_experiment()); }
};

TEST_F(Streaming, HelpIsOnStandardOutputWithAnExample) {
  for (const char* command : {"train", "evaluate", "predict", "new", "demo"}) {
    const ProgramResult result = run({command, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.messages, "");
    EXPECT_THAT(result.output, HasSubstr(std::string("Example:\n  batchwise ") + command + " "));
    EXPECT_THAT(result.output, HasSubstr("--json"));
  }
  EXPECT_THAT(run({"--help"}).output, HasSubstr("Example:\n  batchwise new"));
  EXPECT_THAT(run({"--version"}).output, testing::StartsWith("batchwise "));
}

TEST_F(Streaming, AFullDiskIsAnErrorAndTheRunIsThere) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"new", "mnist-mlp"},
        {"--help"},
        {"train", "experiment.toml", "--out", "run"},
        {"predict", "run", "--out", "p.npy", "--json", "--compare-batch-sizes",
         "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20"}}) {
    const ProgramResult result = run(command, {.output = "/dev/full", .messages = {}});
    EXPECT_EQ(result.exit_code, 1) << command.front();
    EXPECT_THAT(result.messages,
                HasSubstr("standard output cannot be written: No space left on device"));
  }
  EXPECT_TRUE(std::filesystem::exists(path("run/summary.json")));
}

TEST_F(Streaming, AnErrorKeepsItsExitCodeOnAFullDisk) {
  EXPECT_EQ(run({"train", "no.toml", "--json"}, {.output = "/dev/full", .messages = {}}).exit_code,
            2);
}

/// A closed stream must not be taken by the next file that is opened.
TEST_F(Streaming, ClosedStreamsDoNotSpoilTheRun) {
  const Json whole = result_of({"train", "experiment.toml", "--out", "whole"});
  const ProgramResult no_output =
      run({"train", "experiment.toml", "--out", "a"}, {.output = "-", .messages = {}});
  EXPECT_EQ(no_output.exit_code, 1);
  EXPECT_THAT(no_output.messages, HasSubstr("Bad file descriptor"));
  const ProgramResult no_messages =
      run({"train", "experiment.toml", "--out", "b"}, {.output = {}, .messages = "-"});
  EXPECT_EQ(no_messages.exit_code, 0);
  for (const char* out : {"a", "b"}) {
    EXPECT_EQ(Json::parse(read(std::string(out) + "/summary.json"))["weights_sha256"],
              whole["weights_sha256"]);
    EXPECT_EQ(json_lines(read(std::string(out) + "/metrics.jsonl")).size(), 28u);
  }
  EXPECT_EQ(run({"trian"}, {.output = {}, .messages = "-"}).exit_code, 2);
}

/// A pipe whose reader is gone: the run goes on, and the loss of its output is an error.
TEST_F(Streaming, AClosedPipeDoesNotKillTheRun) {
  write("experiment.toml", kLonger);  // it outlasts the reader
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  std::thread reader([&] { std::ifstream(path("pipe")).get(); });
  const ProgramResult result = run({"train", "experiment.toml", "--out", "run"},
                                   {.output = path("pipe"), .messages = path("pipe")});
  reader.join();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(std::filesystem::exists(path("run/summary.json")));
}

/// tests/apps/interruption_test.cpp has what a stopped run leaves behind; this is what it says.
TEST_F(OnTerminal, AnInterruptedRunSaysHowToContinue) {
  RunningProgram program(folder(), {"train", "experiment.toml", "--out", "run", "--json"});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const std::filesystem::path checkpoints = path("run/checkpoints");
  while (!std::filesystem::exists(checkpoints) || std::filesystem::is_empty(checkpoints)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "no checkpoint within a minute";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  EXPECT_EQ(result.exit_code, 130) << result.messages;
  const Json object = Json::parse(result.output);
  EXPECT_EQ(object["exit_code"], 130);
  EXPECT_THAT(object["error"].get<std::string>(),
              HasSubstr("train --resume --out " + path("run").string()));
  const ProgramResult unfinished = run({"evaluate", "run"});
  EXPECT_EQ(unfinished.exit_code, 2);
  EXPECT_THAT(unfinished.messages, HasSubstr("has not finished"));
}

}  // namespace
}  // namespace batchwise
