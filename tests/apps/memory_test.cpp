// What `batchwise memory` says, and that `train` then does as it says: budgets, "auto" sizes,
// checkpointing and activations in host memory as a user meets them.
#include <gmock/gmock.h>

#include <regex>

#include "tests/apps/program.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

/// 630 training, 70 validation and 100 test samples of 28x28 pixels.
constexpr const char* kDigits = R"(seed = 3
[data]
kind = "builtin"
name = "digits"
samples = 700
test_samples = 100
validation_split = 0.1
[model]
layers = [
  { type = "flatten" },
  { type = "dense", units = 256, activation = "relu" },
  { type = "dropout", rate = 0.2 },
  { type = "dense", units = 32, activation = "relu" },
  { type = "dense", units = 10 },
]
[training]
batch_size = 64
)";

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// The fields of a line of CSV, quotes taken off.
Words csv_fields(const std::string& line) {
  Words fields(1);
  bool quoted = false;
  for (const char letter : line) {
    if (letter == '"') {
      quoted = !quoted;
    } else if (letter == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += letter;
    }
  }
  return fields;
}

Words lines_of(const std::string& text) {
  std::istringstream stream(text);
  Words lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// One of the changes that an error offers.
struct WayOut {
  Words options;
  std::int64_t bytes = 0;
  std::string consequence;
};

std::vector<WayOut> ways_out(const std::string& message) {
  static const std::regex pattern(R"(\n  (--\S+) (\S+) \([^)]*\): (\d+) bytes, ([^\n]*))");
  std::vector<WayOut> ways;
  for (std::sregex_iterator match(message.begin(), message.end(), pattern), end; match != end;
       ++match) {
    ways.push_back({{(*match)[1], (*match)[2]}, std::stoll((*match)[3]), (*match)[4]});
  }
  return ways;
}

class MemoryCommand : public ProgramTest {
 protected:
  void SetUp() override { write("digits.toml", kDigits); }

  [[nodiscard]] Json report(const Words& more = {}, const char* file = "digits.toml") const {
    return result_of(Words{"memory", file} + more);
  }
  /// summary.json of a run of digits.toml.
  [[nodiscard]] Json trained(const char* out, const Words& more) const {
    return result_of(Words{"train", "digits.toml", "--out", out} + more);
  }
  /// Bytes planned for the experiment at a batch size.
  [[nodiscard]] std::int64_t planned(std::int64_t batch, const char* file = "digits.toml") const {
    return report({"--batch-sizes", std::to_string(batch)},
                  file)["rows"][0]["training"]["total_bytes"];
  }
  [[nodiscard]] Words follow_ways_out(const char* file) const;
};

TEST_F(MemoryCommand, PlansPowersOfTwoUpToTheTrainingSet) {
  const Json result = report();
  std::int64_t batch = 1, before = 0;
  for (const Json& row : result["rows"]) {
    EXPECT_EQ(row["batch_size"], batch);
    batch *= 2;
    std::int64_t sum = 0, total = 0;
    for (const auto& [category, bytes] : row["training"].items()) {
      if (category == "total_bytes") {
        total = bytes;
      } else if (category != "host_bytes") {
        sum += bytes.get<std::int64_t>();
      }
    }
    EXPECT_EQ(sum, total);
    EXPECT_GE(total, before);
    before = total;
  }
  EXPECT_EQ(batch, 1024);  // 512 was the last of at most 630
  const ProgramResult text = run({"memory", "digits.toml"});
  for (const char* part : {"on cpu: fp32, adam", "batch  params", "\n  512 ",
                           "bytes(B) =", "what could be given up, at batch 64"}) {
    EXPECT_THAT(text.output, HasSubstr(part));
  }
}

TEST_F(MemoryCommand, PlansTheBatchSizesThatTrainThenTakes) {
  write("blobs.toml", small_experiment());
  for (const char* file : {"digits.toml", "blobs.toml"}) {
    const Json rows = report({"--batch-sizes", "7,64,150"}, file)["rows"];
    ASSERT_EQ(rows.size(), 3u);
    for (const Json& row : rows) {
      const std::string batch = row["batch_size"].dump();
      const Json summary = result_of({"train", file, "--out", std::string(file) + batch,
                                      "--batch-size", batch, "--set", "training.max_steps=1"});
      EXPECT_EQ(summary["planned_bytes"], row["training"]["total_bytes"]) << file << batch;
      EXPECT_EQ(summary["peak_bytes"], row["training"]["total_bytes"]) << file << batch;
    }
  }
}

TEST_F(MemoryCommand, ByLayerHasALineForEachLayer) {
  const ProgramResult text = run({"memory", "digits.toml", "--by", "layer"});
  EXPECT_EQ(text.exit_code, 0);
  for (const char* part : {"kept activ", "\ninput ", "\ndense_1 ", "\ndropout_1 ", "\ndense_3 "}) {
    EXPECT_THAT(text.output, HasSubstr(part));
  }
  EXPECT_THAT(text.output, Not(HasSubstr("batch  params")));
  const Json result = report({"--batch-sizes", "64"});
  std::int64_t weights = 0;
  for (const Json& layer : result["layers"]) {
    weights += layer["parameters_bytes"].get<std::int64_t>();
    EXPECT_EQ(layer["optimizer_state_bytes"],
              2 * layer["gradients_bytes"].get<std::int64_t>());  // adam
  }
  EXPECT_EQ(weights, result["rows"][0]["training"]["parameters_bytes"]);
}

TEST_F(MemoryCommand, ABudgetNamesTheLargestBatchThatTrains) {
  const std::string budget = std::to_string(planned(320));
  EXPECT_EQ(report({"--budget", budget})["largest_training_batch"], 320);
  const Json summary = trained("run", {"--batch-size", "320", "--memory-budget", budget});
  EXPECT_LE(summary["peak_bytes"], std::stoll(budget));
  EXPECT_EQ(trained("auto", {"--batch-size", "auto", "--memory-budget", budget})["weights_sha256"],
            summary["weights_sha256"]);
  EXPECT_THAT(read("auto/experiment.toml"), HasSubstr("\nbatch_size = 320\n"));
  EXPECT_EQ(
      run({"train", "digits.toml", "--batch-size", "321", "--memory-budget", budget}).exit_code, 2);
}

/// Follows what the error offers for a batch of 512 within the bytes of one of 448, and returns the
/// options.
Words MemoryCommand::follow_ways_out(const char* file) const {
  const Words train{"train", file, "--memory-budget", std::to_string(planned(448, file))};
  const ProgramResult refused = run(train + Words{"--batch-size", "512", "--out", "refused"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(path("refused")));
  EXPECT_THAT(refused.messages, HasSubstr(std::to_string(planned(512, file))));
  const Json unlimited = result_of({"train", file, "--batch-size", "512", "--out", "unlimited"});
  Words options;
  for (const WayOut& way : ways_out(refused.messages)) {
    const bool other_batch = way.options.front() == "--batch-size";
    const Json summary = result_of(train + Words{"--out", way.options.back()} + way.options +
                                   (other_batch ? Words{} : Words{"--batch-size", "512"}));
    EXPECT_EQ(summary["planned_bytes"], way.bytes) << way.options.back();
    EXPECT_EQ(summary["peak_bytes"], way.bytes) << way.options.back();
    const bool same = way.consequence.find("the same results") == 0;
    EXPECT_EQ(summary["weights_sha256"] == unlimited["weights_sha256"], same) << way.consequence;
    options.push_back(way.options.front() + " " + way.options.back());
  }
  return options;
}

TEST_F(MemoryCommand, TheWaysOutOfALimitWork) {
  EXPECT_THAT(follow_ways_out("digits.toml"),
              ElementsAre("--micro-batch-size 256", "--set training.checkpoint=auto",
                          "--set training.offload_activations=true"));
}

/// Passes of a batch that BatchNorm normalises as a whole cannot be cut.
TEST_F(MemoryCommand, TheWaysOutOfALimitWorkWithBatchNorm) {
  std::string text = kDigits;
  const std::string dropout = "{ type = \"dropout\", rate = 0.2 }";
  text.replace(text.find(dropout), dropout.size(), "{ type = \"batchnorm\" }");
  write("batchnorm.toml", text);
  const Words ways = follow_ways_out("batchnorm.toml");
  EXPECT_EQ(ways.size(), 3u);
  EXPECT_THAT(ways, Each(Not(HasSubstr("--micro-batch-size"))));
}

TEST_F(MemoryCommand, ABatchThatBatchNormRefusesIsARowThatSaysWhy) {
  std::string text = small_experiment();
  const std::string last = "{ type = \"dense\", units = 3 }";
  write("batchnorm.toml",
        text.replace(text.find(last), last.size(), "{ type = \"batchnorm\" }, " + last));
  const Json rows = report({"--batch-sizes", "1,16"}, "batchnorm.toml")["rows"];
  EXPECT_THAT(rows[0]["refused"], HasSubstr("batchnorm_1"));
  EXPECT_TRUE(rows[1]["refused"].is_null());
  const ProgramResult table = run({"memory", "batchnorm.toml", "--batch-sizes", "1,16"});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_THAT(table.output, HasSubstr("    1  refused: layer \"batchnorm_1\""));
}

TEST_F(MemoryCommand, ACardIsABudgetForCuda) {
  const Json result = report({"--card", "rtx 4090"});
  EXPECT_EQ(result["device"], "cuda");
  EXPECT_EQ(result["budget_bytes"], (24564 - 700) * kMiB);
  EXPECT_THAT(result["budget_source"], HasSubstr("NVIDIA GeForce RTX 4090"));
  EXPECT_EQ(result["largest_training_batch"], 630);  // the whole training set
}

TEST_F(MemoryCommand, CudaIsPlannedWithoutAGpu) {
  const Json result = report({"--device", "cuda", "--budget", "1GiB"});
  EXPECT_EQ(result["device"], "cuda");
  for (const Json& row : result["rows"]) {
    EXPECT_EQ(row["training"]["overhead_bytes"], 512 * kMiB);
    EXPECT_EQ(row["training"]["total_bytes"].get<std::int64_t>() % (2 * kMiB), 0);
    EXPECT_GT(row["training"]["total_bytes"], 512 * kMiB);
  }
  for (const Json& lever : result["levers"]) EXPECT_GT(lever["bytes"], 512 * kMiB) << lever;
  // Of the budget, the overhead is taken before the first byte of the plan.
  EXPECT_EQ(report({"--device", "cuda", "--budget", "512MiB"})["largest_training_batch"], 0);
  const ProgramResult measured =
      run({"memory", "digits.toml", "--device", "cuda", "--measure", "--json"});
  EXPECT_EQ(measured.exit_code, 2);
  EXPECT_THAT(Json::parse(measured.output)["error"], HasSubstr("--device cpu"));
}

TEST_F(MemoryCommand, JsonIsOneObject) {
  const ProgramResult result =
      run({"memory", "digits.toml", "--measure", "--batch-sizes", "8", "--batch-size", "512",
           "--over-memory", "--budget", std::to_string(planned(448)), "--json"});
  const std::vector<Json> lines = json_lines(result.output);
  ASSERT_EQ(lines.size(), 1u) << result.output;
  EXPECT_EQ(lines[0]["command"], "memory");
  EXPECT_EQ(lines[0]["exit_code"], 0);
  EXPECT_EQ(lines[0]["result"]["over_memory"].size(), 5u);
}

TEST_F(MemoryCommand, CsvAndJsonExcludeEachOther) {
  const ProgramResult result = run({"memory", "digits.toml", "--csv", "--json"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(Json::parse(result.output)["error"], HasSubstr("--csv and --json"));
}

TEST_F(MemoryCommand, CsvHasTheSameFieldsInEveryLine) {
  const ProgramResult result = run({"memory", "digits.toml", "--csv", "--batch-sizes", "7,64"});
  const Words lines = lines_of(result.output);
  ASSERT_EQ(lines.size(), 3u) << result.output;
  const Words header = csv_fields(lines[0]);
  const auto total = static_cast<std::size_t>(
      std::find(header.begin(), header.end(), "total_bytes") - header.begin());
  ASSERT_LT(total, header.size());
  EXPECT_EQ(header[0], "batch_size");
  for (const auto& [line, batch] : {std::pair{1, 7}, std::pair{2, 64}}) {
    const Words fields = csv_fields(lines[static_cast<std::size_t>(line)]);
    ASSERT_EQ(fields.size(), header.size());
    EXPECT_EQ(fields[0], std::to_string(batch));
    EXPECT_EQ(fields[total], std::to_string(planned(batch)));
  }
  const Words layers = lines_of(run({"memory", "digits.toml", "--csv", "--by", "layer"}).output);
  for (const std::string& line : layers) EXPECT_EQ(csv_fields(line).size(), 6u) << line;
  EXPECT_EQ(csv_fields(layers.at(0))[0], "layer");
}

TEST_F(MemoryCommand, PlotsAreSvgOrAPage) {
  succeed({"memory", "digits.toml", "--plot", "memory.svg"});
  EXPECT_THAT(read("memory.svg"), testing::StartsWith("<svg"));
  EXPECT_THAT(read("memory.svg"), HasSubstr("</svg>"));
  succeed({"memory", "digits.toml", "--plot", "memory.html", "--budget", "2MiB"});
  EXPECT_THAT(read("memory.html"), HasSubstr("</html>"));
}

TEST_F(MemoryCommand, WhatIsMeasuredIsWhatWasPlanned) {
  for (const char* device : {"cpu", "emulated"}) {
    const Json rows = report({"--measure", "--batch-sizes", "3,64", "--device", device, "--set",
                              "data.samples=100", "--set", "data.test_samples=10", "--set",
                              "model.layers.1.units=8"})["rows"];
    ASSERT_EQ(rows.size(), 2u);
    for (const Json& row : rows) {
      EXPECT_EQ(row["measured"]["allocator_bytes"], row["training"]["total_bytes"]) << device;
      EXPECT_GT(row["measured"]["seconds_per_step"], 0.0);
    }
  }
}

TEST_F(MemoryCommand, EveryWayOverTheLimitGivesTheSameWeights) {
  const Words question{"--over-memory", "--batch-size", "512", "--budget",
                       std::to_string(planned(448))};
  const Json ways = report(question)["over_memory"];
  ASSERT_EQ(ways.size(), 5u);
  EXPECT_THAT(ways[1]["refused"], HasSubstr("512"));  // as it stands
  for (const std::size_t way : {0, 2, 3, 4}) {
    EXPECT_EQ(ways[way]["weights_sha256"], ways[0]["weights_sha256"]) << ways[way]["way"];
    EXPECT_GT(ways[way]["seconds_per_sample"], 0.0);
  }
  for (const std::size_t way : {2, 3, 4}) {
    EXPECT_LE(ways[way]["device_bytes"], planned(448)) << ways[way]["way"];
  }
  EXPECT_GT(ways[4]["host_bytes"], 0);
  const ProgramResult text = run(Words{"memory", "digits.toml"} + question);
  for (const char* part : {"no limit", "as it stands", "micro-batches of ", "checkpointing",
                           "activations in host memory"}) {
    EXPECT_THAT(text.output.substr(text.output.find("\nwithin ")), HasSubstr(part));
  }
}

TEST_F(MemoryCommand, AutomaticPassesAreRecordedAndResumed) {
  const std::string budget = std::to_string(planned(320));
  const Json plain = trained("plain", {"--batch-size", "512", "--epochs", "2"});
  const Words limited{"--batch-size", "512", "--micro-batch-size", "auto",
                      "--epochs",     "2",   "--memory-budget",    budget};
  const Json whole = trained("whole", limited);
  EXPECT_EQ(whole["weights_sha256"], plain["weights_sha256"]);
  EXPECT_EQ(whole["micro_batch_size"], 256);  // two passes of the same size
  EXPECT_LE(whole["planned_bytes"], std::stoll(budget));
  succeed(Words{"train", "digits.toml", "--out", "run", "--set", "training.max_steps=3"} + limited);
  const std::string recorded = "\nmicro_batch_size = 256\n";
  EXPECT_THAT(read("run/experiment.toml"), HasSubstr(recorded));
  const Json resumed =
      result_of({"train", "--resume", "--out", "run", "--set", "training.max_steps=0"});
  EXPECT_THAT(read("run/experiment.toml"), HasSubstr(recorded));
  EXPECT_EQ(resumed["micro_batch_size"], 256);
  EXPECT_EQ(resumed["planned_bytes"], whole["planned_bytes"]);
  EXPECT_EQ(resumed["weights_sha256"], whole["weights_sha256"]);
}

TEST_F(MemoryCommand, CheckpointingIsRecordedAndResumed) {
  const std::string budget = std::to_string(planned(448));
  const Words batch{"--batch-size", "512", "--epochs", "2"};
  const Json plain = trained("plain", batch);
  const Words limited =
      batch + Words{"--memory-budget", budget, "--set", "training.checkpoint=auto"};
  const Json automatic = trained("automatic", limited);
  EXPECT_EQ(automatic["weights_sha256"], plain["weights_sha256"]);
  EXPECT_LT(automatic["planned_bytes"], plain["planned_bytes"]);
  EXPECT_THAT(read("automatic/experiment.toml"), HasSubstr("\ncheckpoint = [\""));

  succeed(Words{"train", "digits.toml", "--out", "run", "--set", "training.max_steps=3"} + limited);
  const Json resumed =
      result_of({"train", "--resume", "--out", "run", "--set", "training.max_steps=0"});
  EXPECT_EQ(resumed["planned_bytes"], automatic["planned_bytes"]);
  EXPECT_EQ(resumed["weights_sha256"], plain["weights_sha256"]);

  const Json named =
      trained("named", batch + Words{"--set", "training.checkpoint=[\"input\", \"dense_1\"]"});
  EXPECT_EQ(named["weights_sha256"], plain["weights_sha256"]);
  EXPECT_THAT(read("named/experiment.toml"), HasSubstr("checkpoint = [\"input\", \"dense_1\"]"));
}

}  // namespace
}  // namespace batchwise
