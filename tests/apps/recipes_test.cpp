// Every recipe and every starter runs, with the commands that the recipe's own comment gives, on a
// few updates and a part of MNIST.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "engine/data/idx.h"
#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

std::filesystem::path recipes() {
  return std::filesystem::path(BATCHWISE_SOURCE_DIR) / "apps/recipes";
}

Words words_of(const std::string& line) {
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// The commands in the comment at the top of a recipe, without the program's name.
std::vector<Words> documented_commands(const std::filesystem::path& recipe) {
  const std::string prefix = "#   batchwise ";
  std::ifstream file(recipe);
  std::vector<Words> commands;
  for (std::string line; std::getline(file, line) && line.starts_with("#");) {
    if (line.starts_with(prefix)) commands.push_back(words_of(line.substr(prefix.size())));
  }
  return commands;
}

bool needs_mnist(const std::filesystem::path& recipe) {
  return read_whole(recipe).find("kind = \"idx\"") != std::string::npos;
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(recipes())) {
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// The first samples of an IDX file, plain.
void copy_first(const std::filesystem::path& from, const std::filesystem::path& to,
                std::uint32_t samples) {
  const IdxArray array = read_idx(from);
  const auto bytes = array.bytes.size() / static_cast<std::size_t>(array.shape.front()) * samples;
  std::string header =
      array.shape.size() == 1 ? idx_header({samples}) : idx_header({samples, 28, 28});
  header.append(reinterpret_cast<const char*>(array.bytes.data()), bytes);
  write_file(to, header);
}

class RecipeTest : public ProgramTest {
 protected:
  /// A part of MNIST as the folder "mnist"; false where there is no MNIST.
  [[nodiscard]] bool take_part_of_mnist() const {
    const std::filesystem::path mnist = test_data("mnist");
    if (mnist.empty()) return false;
    std::filesystem::create_directory(path("mnist"));
    for (const auto& [split, samples] : {std::pair("train", 3000u), std::pair("t10k", 500u)}) {
      for (const char* content : {"-images-idx3-ubyte", "-labels-idx1-ubyte"}) {
        const std::string name = std::string(split) + content;
        copy_first(mnist / (name + ".gz"), path("mnist") / name, samples);
      }
    }
    return true;
  }

  /// A documented command as the program gets it here: paths, and few updates.
  [[nodiscard]] static Words shortened(Words words) {
    for (std::string& word : words) {
      if (word.starts_with("apps/recipes/")) word = recipes() / word.substr(13);
      if (word == "data.path=FOLDER") word = "data.path=mnist";
    }
    if (words.front() == "train") {
      words.insert(words.end(), {"--set", "training.max_steps=3"});
    }
    return words;
  }
};

class Recipes : public RecipeTest, public testing::WithParamInterface<std::string> {};

TEST_P(Recipes, DocumentedCommandsRun) {
  const std::filesystem::path recipe = recipes() / (GetParam() + ".toml");
  if (needs_mnist(recipe) && !take_part_of_mnist()) {
    GTEST_SKIP() << "MNIST is not there: BATCHWISE_DATA must name a folder with mnist/ in it";
  }
  const std::vector<Words> commands = documented_commands(recipe);
  EXPECT_GE(commands.size(), 2u) << "a recipe's comment gives its commands";
  for (const Words& command : commands) {
    const std::string line = fmt::format("{}", fmt::join(command, " "));
    if (run({command.front()}).messages.find("unknown command") != std::string::npos) {
      std::printf("skipped, this version has no such command: batchwise %s\n", line.c_str());
      continue;
    }
    const ProgramResult result = run(shortened(command));
    EXPECT_EQ(result.exit_code, 0) << line << "\n" << result.messages;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Recipes, testing::ValuesIn(recipe_names()), test_name);

TEST_F(RecipeTest, MnistIsReadFromItsCompressedFiles) {
  const std::filesystem::path mnist = test_data("mnist");
  if (mnist.empty()) {
    GTEST_SKIP() << "MNIST is not there: BATCHWISE_DATA must name a folder with mnist/ in it";
  }
  const Json summary =
      result_of({"train", (recipes() / "mnist-sgd.toml").string(), "--out", "run", "--set",
                 "data.path=" + mnist.string(), "--set", "training.max_steps=3"});
  EXPECT_EQ(summary["training_samples"], 60000);
  EXPECT_EQ(summary["test_samples"], 10000);
  EXPECT_GT(summary["test_accuracy"], 0.05);
}

TEST_F(RecipeTest, AccumulatingTheMeanEqualsTheWholeBatch) {
  if (!take_part_of_mnist()) {
    GTEST_SKIP() << "MNIST is not there: BATCHWISE_DATA must name a folder with mnist/ in it";
  }
  const auto weights = [&](const std::string& recipe, const std::string& out, Words more) {
    more.insert(more.begin(), {"train", (recipes() / recipe).string(), "--out", out, "--set",
                               "data.path=mnist", "--set", "training.max_steps=5"});
    return result_of(more)["weights_sha256"];
  };
  EXPECT_EQ(weights("mnist-accumulated-mean.toml", "a", {}),
            weights("mnist-accumulated-mean.toml", "b", {"--micro-batch-size", "128"}));
  EXPECT_NE(weights("mnist-accumulated-sum.toml", "c", {}),
            weights("mnist-accumulated-sum.toml", "d", {"--set", "training.accumulation=mean"}));
}

TEST_F(RecipeTest, TrainedAt256EvaluatedAt64) {
  succeed({"train", (recipes() / "evaluation-batch-size.toml").string(), "--batch-size", "256",
           "--out", "run"});
  Json at_64 = result_of({"evaluate", "run", "--data", "train", "--batch-size", "64"});
  Json at_256 = result_of({"evaluate", "run", "--data", "train"});
  EXPECT_EQ(at_64["batch_size"], 64);
  EXPECT_EQ(at_256["batch_size"], 256);
  EXPECT_EQ(at_256["samples"], 800);
  at_64.erase("batch_size");
  at_256.erase("batch_size");
  EXPECT_EQ(at_64.dump(), at_256.dump());
}

TEST_F(RecipeTest, UntrainedPredictionsDoNotDependOnTheBatch) {
  const Json trained =
      result_of({"train", (recipes() / "prediction-batch-size.toml").string(), "--out", "run"});
  EXPECT_EQ(trained["steps"], 0);
  EXPECT_EQ(trained["parameters"], 5 * 10 + 10 + 10 * 3 + 3);
  const Json result = result_of({"predict", "run", "--data", "train", "--compare-batch-sizes",
                                 "1,2,10", "--out", "predictions.npy"});
  ASSERT_EQ(result["compare_batch_sizes"].size(), 3u);
  for (const Json& row : result["compare_batch_sizes"]) {
    EXPECT_EQ(row["differences"], Json(std::vector<double>(10, 0.0))) << row["batch_size"];
  }
}

class Starters : public RecipeTest, public testing::WithParamInterface<std::string> {};

/// The data a starter expects beside it.
void write_table_data(const std::filesystem::path& folder) {
  write_file(folder / "train.csv",
             "1,2,0\n3,4,1\n5,6,2\n7,8,9\n1,1,0\n2,2,1\n3,3,2\n4,4,3\n5,5,4\n"
             "6,6,5\n");
  write_file(folder / "test.csv", "1,2,0\n3,4,1\n");
  const std::string features =
      npy<float>("<f4", "(10, 2)", {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0});
  const std::string labels = npy<std::int64_t>("<i8", "(10,)", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  write_zip(folder / "data.npz", {{"x_train.npy", features},
                                  {"y_train.npy", labels},
                                  {"x_test.npy", features},
                                  {"y_test.npy", labels}});
}

TEST_P(Starters, TrainsAsPrinted) {
  const ProgramResult printed = run({"new", GetParam()});
  ASSERT_EQ(printed.exit_code, 0);
  write("experiment.toml", printed.output);
  write_table_data(folder());
  Words command{"train", "experiment.toml", "--set", "training.max_steps=3", "--out", "run"};
  if (printed.output.find("kind = \"idx\"") != std::string::npos) {
    if (!take_part_of_mnist()) {
      GTEST_SKIP() << "MNIST is not there: BATCHWISE_DATA must name a folder with mnist/ in it";
    }
    command.insert(command.end(), {"--set", "data.path=mnist"});
  }
  const ProgramResult result = run(command);
  EXPECT_EQ(result.exit_code, 0) << result.messages;
  EXPECT_EQ(run({"evaluate", "run"}).exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(All, Starters,
                         testing::Values("blobs-mlp", "csv-mlp", "digits-mlp", "fashion-mlp",
                                         "mnist-batchnorm", "mnist-mlp", "npz-mlp"),
                         test_name);

}  // namespace
}  // namespace batchwise
