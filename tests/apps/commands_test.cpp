// What train, new and demo write and print, and what their options do.
#include <gmock/gmock.h>

#include <limits>

#include "engine/files/safetensors.h"
#include "engine/model/experiment_file.h"
#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class TrainCommand : public ProgramTest {
 protected:
  void SetUp() override { write("experiment.toml", small_experiment()); }

  /// summary.json of a run of experiment.toml.
  [[nodiscard]] Json trained(const std::string& out, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"train", "experiment.toml", "--out", out});
    return result_of(more);
  }
  [[nodiscard]] std::string resolved(const std::string& run) const {
    return read(run + "/experiment.toml");
  }
};

TEST_F(TrainCommand, WritesTheRunFolder) {
  const ProgramResult result = run({"train", "experiment.toml", "--out", "run"});
  ASSERT_EQ(result.exit_code, 0) << result.messages;
  for (const char* name : {"experiment.toml", "metrics.jsonl", "summary.json",
                           "weights.safetensors", "checkpoints", "report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(path("run") / name)) << name;
  }
  EXPECT_THAT(result.output, HasSubstr("test loss"));
  EXPECT_THAT(result.output, HasSubstr(path("run").string()));
  EXPECT_THAT(result.messages, HasSubstr("180 training, 20 validation and 60 test samples"));
  EXPECT_THAT(result.messages, HasSubstr("device cpu (chosen by auto)"));
  EXPECT_THAT(result.messages, HasSubstr("numerics invariant (levels 1 2 3 4 6)"));
}

TEST_F(TrainCommand, SummaryHasTheDocumentedFields) {
  const Json result = trained("run");
  const Json summary = Json::parse(read("run/summary.json"));
  for (const char* key : {"test_loss", "test_accuracy", "seconds", "training_seconds",
                          "planned_bytes", "peak_bytes", "train_loss", "validation_loss"}) {
    EXPECT_TRUE(summary.at(key).is_number()) << key;
  }
  EXPECT_EQ(summary["steps"], 2 * 12);  // ceil(180 / 16) a pass
  EXPECT_EQ(summary["device"], "cpu");
  EXPECT_EQ(summary["precision"], "fp32");
  EXPECT_EQ(summary["numerics"], "invariant");
  EXPECT_EQ(summary["version"], result["version"]);
  EXPECT_EQ(summary["weights_sha256"].get<std::string>().size(), 64u);
  EXPECT_GE(summary["seconds"], summary["training_seconds"]);
  EXPECT_LE(summary["peak_bytes"], summary["planned_bytes"]);
  for (const auto& [key, value] : summary.items()) EXPECT_EQ(value, result.at(key)) << key;
}

TEST_F(TrainCommand, MetricsHaveOneObjectALine) {
  succeed({"train", "experiment.toml", "--out", "run"});
  std::int64_t steps = 0, epochs = 0, samples = 0;
  for (const Json& line : json_lines(read("run/metrics.jsonl"))) {
    if (line.at("kind") == "step") {
      EXPECT_EQ(line.at("step"), ++steps);
      EXPECT_EQ(line.at("epoch"), epochs + 1);
      EXPECT_EQ(line.at("learning_rate"), 0.05);
      EXPECT_TRUE(line.at("loss").is_number());
      samples += line.at("samples").get<std::int64_t>();
    } else if (line.at("kind") == "noise") {
      EXPECT_EQ(line.at("step"), steps);
      EXPECT_EQ(steps % 10, 0);
      EXPECT_GT(line.at("mean_squared_norm"), line.at("squared_norm_of_mean"));
    } else {
      EXPECT_EQ(line.at("kind"), "epoch");
      EXPECT_EQ(line.at("epoch"), ++epochs);
      EXPECT_EQ(line.at("step"), steps);
      for (const char* key : {"train_loss", "train_accuracy", "validation_loss",
                              "validation_accuracy", "seconds", "samples_per_second"}) {
        EXPECT_TRUE(line.at(key).is_number()) << key;
      }
    }
  }
  EXPECT_EQ(steps, 24);
  EXPECT_EQ(epochs, 2);
  EXPECT_EQ(samples, 2 * 180);
}

TEST_F(TrainCommand, WeightsAreNamedAndShaped) {
  const Json summary = trained("run");
  const SafetensorsFile file = read_safetensors(path("run/weights.safetensors"));
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const TensorData& tensor : file.tensors) shapes[tensor.name] = tensor.shape;
  const std::map<std::string, std::vector<std::int64_t>> expected{{"dense_1.weight", {8, 4}},
                                                                  {"dense_1.bias", {8}},
                                                                  {"dense_2.weight", {3, 8}},
                                                                  {"dense_2.bias", {3}}};
  EXPECT_EQ(shapes, expected);
  EXPECT_EQ(weights_sha256(file.tensors), summary["weights_sha256"]);
}

TEST_F(TrainCommand, TheResolvedExperimentTrainsTheSame) {
  const Json summary = trained("run");
  EXPECT_THAT(resolved("run"), HasSubstr("momentum = 0.0"));  // a default, written out
  const Json again = result_of({"train", "run/experiment.toml", "--out", "again"});
  EXPECT_EQ(again["weights_sha256"], summary["weights_sha256"]);
}

TEST_F(TrainCommand, TheDefaultOutIsNumbered) {
  for (int count = 0; count < 2; ++count) succeed({"train", "experiment.toml", "--epochs", "0"});
  EXPECT_TRUE(std::filesystem::exists(path("runs/experiment-001/summary.json")));
  EXPECT_TRUE(std::filesystem::exists(path("runs/experiment-002/summary.json")));
}

TEST_F(TrainCommand, OverwriteReplacesARun) {
  const Json first = trained("run");
  const Json second = trained("run", {"--overwrite", "--seed", "7"});
  EXPECT_NE(first["weights_sha256"], second["weights_sha256"]);
  EXPECT_EQ(Json::parse(read("run/summary.json"))["seed"], 7);
  EXPECT_EQ(json_lines(read("run/metrics.jsonl")).size(), 24u + 2u + 2u);
}

TEST_F(TrainCommand, OverwriteLeavesAForeignFolderAlone) {
  std::filesystem::create_directory(path("mine"));
  write("mine/experiment.toml", small_experiment());
  const ProgramResult result = run({"train", "experiment.toml", "--out", "mine", "--overwrite"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(read("mine/experiment.toml"), small_experiment());
}

TEST_F(TrainCommand, AFailureLeavesTheRunThatWasToBeOverwritten) {
  const Json first = trained("run");
  const ProgramResult result =
      run({"train", "experiment.toml", "--out", "run", "--overwrite", "--init", "no.safetensors"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(Json::parse(read("run/summary.json"))["weights_sha256"], first["weights_sha256"]);
}

TEST_F(TrainCommand, ResumeContinuesToARaisedLimit) {
  const Json whole = trained("whole", {"--epochs", "4"});
  // Stopped in the middle of the second epoch of two, then continued to four.
  succeed({"train", "experiment.toml", "--out", "run", "--set", "training.max_steps=17"});
  EXPECT_EQ(Json::parse(read("run/summary.json"))["stopped_by"], "max_steps");
  const Json result = result_of(
      {"train", "--resume", "--out", "run", "--epochs", "4", "--set", "training.max_steps=0"});
  EXPECT_EQ(result["weights_sha256"], whole["weights_sha256"]);
  EXPECT_EQ(result["test_loss"], whole["test_loss"]);
  const auto without_times = [](std::vector<Json> lines) {
    for (Json& line : lines) {
      line.erase("seconds");
      line.erase("samples_per_second");
    }
    return lines;
  };
  EXPECT_EQ(without_times(json_lines(read("run/metrics.jsonl"))),
            without_times(json_lines(read("whole/metrics.jsonl"))));
}

TEST_F(TrainCommand, ResumeOfAFinishedRunChangesNothing) {
  const Json first = trained("run");
  const std::string metrics = read("run/metrics.jsonl");
  const Json again = result_of({"train", "--resume", "--out", "run"});
  EXPECT_EQ(again["weights_sha256"], first["weights_sha256"]);
  EXPECT_EQ(again["validation_loss"], first["validation_loss"]);
  EXPECT_EQ(again["train_loss"], first["train_loss"]);
  EXPECT_EQ(read("run/metrics.jsonl"), metrics);
}

TEST_F(TrainCommand, ARaisedLimitIsRecordedInTheRun) {
  succeed({"train", "experiment.toml", "--out", "run", "--set", "training.max_steps=3"});
  succeed({"train", "--resume", "--out", "run", "--set", "training.max_steps=20"});
  EXPECT_THAT(resolved("run"), HasSubstr("max_steps = 20"));
  EXPECT_EQ(result_of({"train", "--resume", "--out", "run"})["steps"], 20);
  EXPECT_EQ(run({"train", "--resume", "--out", "run", "--set", "training.max_steps=3"}).exit_code,
            2);
}

TEST_F(TrainCommand, ShorthandsAreTheSameAsSet) {
  const Json shorthand = trained(
      "a", {"--batch-size",    "32",  "--micro-batch-size", "8",     "--epochs",   "1",
            "--learning-rate", "0.2", "--optimizer",        "adamw", "--seed",     "3",
            "--device",        "cpu", "--precision",        "fp32",  "--numerics", "invariant",
            "--on-nonfinite",  "skip"});
  const Json set =
      trained("b", {"--set", "training.batch_size=32", "--set", "training.micro_batch_size = 8",
                    "--set=training.epochs=1", "--set", "optimizer.learning_rate=0.2", "--set",
                    "optimizer.name=\"adamw\"", "--set", "seed=3", "--set", "device='cpu'", "--set",
                    "precision=fp32", "--set", "numerics=invariant", "--set",
                    "training.on_nonfinite=skip"});
  EXPECT_EQ(shorthand["weights_sha256"], set["weights_sha256"]);
  EXPECT_EQ(resolved("a"), resolved("b"));
  EXPECT_NE(shorthand["weights_sha256"], trained("c")["weights_sha256"]);
}

TEST_F(TrainCommand, SetReachesLayersAndListsAndTables) {
  succeed({"train", "experiment.toml", "--out", "run", "--set", "model.layers.0.units=5", "--set",
           "schedule={kind='step',at=[1,1.5],factor=0.5}"});
  EXPECT_THAT(resolved("run"), HasSubstr("name = \"dense_1\", units = 5"));
  EXPECT_THAT(resolved("run"), HasSubstr("at = [1.0, 1.5]"));
}

TEST_F(TrainCommand, PathsAreRelativeToTheFileAndThoseOfSetToTheCurrentFolder) {
  std::string text = small_experiment();
  const std::size_t begin = text.find("kind ="), end = text.find("[model]");
  std::filesystem::create_directories(path("experiments"));
  write("experiments/csv.toml",
        text.replace(begin, end - begin, "kind = \"csv\"\ntrain = \"near.csv\"\n"));
  write("experiments/near.csv", "1,2,0\n3,4,1\n5,6,2\n");
  write("here.csv", "1,2,0\n3,4,1\n");
  EXPECT_EQ(result_of({"train", "experiments/csv.toml", "--out", "near"})["training_samples"], 3);
  EXPECT_EQ(result_of({"train", "experiments/csv.toml", "--out", "here", "--set",
                       "data.train=here.csv"})["training_samples"],
            2);
  EXPECT_THAT(resolved("near"), HasSubstr(path("experiments/near.csv").string()));
  EXPECT_THAT(resolved("near"), HasSubstr("sha256"));
}

TEST_F(TrainCommand, AutoBatchIsTheTrainingSetWhereThatFits) {
  const Json summary = trained("run", {"--batch-size", "auto", "--micro-batch-size", "auto"});
  EXPECT_EQ(summary["batch_size"], 180);
  EXPECT_EQ(summary["micro_batch_size"], 180);
  EXPECT_EQ(summary["steps"], 2);
  EXPECT_THAT(resolved("run"), HasSubstr("\nbatch_size = 180\n"));
}

TEST_F(TrainCommand, MicroBatchesAndThreadsChangeNoBit) {
  const Json plain = trained("a");
  EXPECT_EQ(trained("b", {"--micro-batch-size", "5"})["weights_sha256"], plain["weights_sha256"]);
  EXPECT_EQ(trained("c", {"--threads", "2"})["weights_sha256"], plain["weights_sha256"]);
  EXPECT_EQ(trained("d", {"--threads", "1"})["weights_sha256"], plain["weights_sha256"]);
}

TEST_F(TrainCommand, InitTakesTheWeightsOfAFile) {
  const Json first = trained("first");
  const Json copied =
      trained("copied", {"--init", "first/weights.safetensors", "--epochs", "0", "--seed", "5"});
  EXPECT_EQ(copied["weights_sha256"], first["weights_sha256"]);
  EXPECT_EQ(copied["steps"], 0);
  EXPECT_TRUE(copied["train_loss"].is_null());
}

TEST_F(TrainCommand, InitPartialListsWhatWasTakenAndLeft) {
  succeed({"train", "experiment.toml", "--out", "first"});
  const ProgramResult result =
      run({"train", "experiment.toml", "--out", "second", "--init", "first/weights.safetensors",
           "--init-partial", "--set", "model.layers.1.name=last", "--set", "seed=4"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.messages, HasSubstr("taken from first/weights.safetensors: dense_1.weight, "
                                         "dense_1.bias\n"));
  EXPECT_THAT(result.messages, HasSubstr("left as initialised: last.weight: missing; "
                                         "last.bias: missing\n"));
  EXPECT_THAT(result.messages,
              HasSubstr("in the file, not in the model: dense_2.weight, dense_2.bias\n"));
}

TEST_F(TrainCommand, EarlyStoppingKeepsTheBestAndSaysSo) {
  // Labels drawn at random: what is learned of them soon makes the validation worse.
  const std::vector<std::string> arguments{
      "train",
      "experiment.toml",
      "--out",
      "run",
      "--epochs",
      "50",
      "--learning-rate",
      "0.5",
      "--set",
      "data={kind='builtin',name='random',features=4,classes=3,validation_split=0.5}",
      "--set",
      "training.early_stopping.patience=2"};
  const ProgramResult result = run(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.messages;
  EXPECT_THAT(result.output, HasSubstr("stopped by early_stopping\n"));
  const Json summary = Json::parse(read("run/summary.json"));
  EXPECT_EQ(summary["stopped_by"], "early_stopping");
  double best = std::numeric_limits<double>::infinity();
  std::int64_t best_epoch = 0;
  for (const Json& line : json_lines(read("run/metrics.jsonl"))) {
    if (line["kind"] != "epoch" || line["validation_loss"] >= best) continue;
    best = line["validation_loss"];
    best_epoch = line["epoch"];
  }
  EXPECT_EQ(summary["best_epoch"], best_epoch);
  EXPECT_EQ(summary["validation_loss"], best);
  EXPECT_EQ(summary["epochs"], best_epoch + 2);
}

TEST_F(TrainCommand, FieldsWithoutSamplesAreNull) {
  const Json summary =
      trained("run", {"--set", "data.test_samples=0", "--set", "data.validation_split=0"});
  for (const char* key :
       {"test_loss", "test_accuracy", "validation_loss", "validation_accuracy", "best_epoch"}) {
    EXPECT_TRUE(summary.at(key).is_null()) << key;
  }
  EXPECT_TRUE(json_lines(read("run/metrics.jsonl")).back().at("validation_loss").is_null());
}

TEST_F(TrainCommand, ExplainPrintsTheStagesAndTrainsNothing) {
  const ProgramResult result = run({"train", "experiment.toml", "--explain"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* stage : {"model graph", "differentiated graph", "fused operations",
                            "saved forms", "lowered operations", "schedule", "memory"}) {
    EXPECT_THAT(result.output, HasSubstr(std::string("== ") + stage + " ==\n"));
  }
  EXPECT_FALSE(std::filesystem::exists(path("runs")));
}

TEST_F(TrainCommand, ProgressNoneIsSilentAndPlainIsNot) {
  const ProgramResult none = run({"train", "experiment.toml", "--progress", "none"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_EQ(none.messages, "");
  const ProgramResult plain = run({"train", "experiment.toml", "--progress", "plain"});
  EXPECT_THAT(plain.messages, HasSubstr("epoch 2/2"));
  EXPECT_THAT(plain.messages, Not(HasSubstr("\r")));
}

class NewCommand : public ProgramTest {};

TEST_F(NewCommand, PrintsEveryStarterAndNothingElse) {
  const std::filesystem::path starters =
      std::filesystem::path(BATCHWISE_SOURCE_DIR) / "apps/recipes/starters";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(starters)) {
    const std::string name = entry.path().stem().string();
    const ProgramResult result = run({"new", name});
    EXPECT_EQ(result.exit_code, 0) << name;
    EXPECT_EQ(result.output, read_whole(entry.path())) << name;
    EXPECT_EQ(result.messages, "");
    EXPECT_NO_THROW((void)parse_experiment(result.output, name, folder(), {})) << name;
    ++count;
  }
  EXPECT_GE(count, 7);
}

class DemoCommand : public ProgramTest {};

TEST_F(DemoCommand, TrainsAtThreeBatchSizesAndWritesTheReport) {
  const Json result = result_of({"demo", "--out", "demo", "--set", "data.samples=600", "--set",
                                 "data.test_samples=100", "--set", "training.epochs=1"});
  ASSERT_EQ(result["runs"].size(), 3u);
  const std::int64_t batch_sizes[] = {32, 128, 512};
  for (std::size_t index = 0; index < 3; ++index) {
    const Json& row = result["runs"][index];
    EXPECT_EQ(row["batch_size"], batch_sizes[index]);
    EXPECT_GT(row["test_accuracy"], 0.0);
    EXPECT_GT(row["samples_per_second"], 0.0);
    EXPECT_TRUE(std::filesystem::exists(
        path("demo") / ("batch-" + std::to_string(batch_sizes[index])) / "summary.json"));
  }
  EXPECT_EQ(result["report"], path("demo/report.html").string());
  EXPECT_THAT(read("demo/report.html"), HasSubstr("<html"));
}

TEST_F(DemoCommand, PrintsATableUnderRuns) {
  const ProgramResult result = run({"demo", "--set", "data.samples=60", "--set",
                                    "data.test_samples=0", "--set", "training.epochs=1"});
  EXPECT_EQ(result.exit_code, 0) << result.messages;
  EXPECT_THAT(result.output, HasSubstr("batch size"));
  EXPECT_THAT(result.output, HasSubstr("\n       512 "));
  EXPECT_TRUE(std::filesystem::exists(path("runs/demo-001/report.html")));
}

}  // namespace
}  // namespace batchwise
