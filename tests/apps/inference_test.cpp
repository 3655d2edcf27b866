// What evaluate and predict write and print, judged against a model whose predictions are known and
// against each other.
#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "engine/data/npy.h"
#include "engine/files/safetensors.h"
#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

/// A run whose logits are its features, on a CSV file that is all of its data.
class IdentityModel : public ProgramTest {
 protected:
  void SetUp() override {
    write("data.csv",
          "1,0,0,0\n"
          "1,0,0,0\n"
          "0,1,0,0\n"
          "0,1,0,1\n"
          "0,1,0,2\n"
          "1,1,0,2\n");  // a tie: class 0
    write("experiment.toml",
          "[data]\nkind = \"csv\"\ntrain = \"data.csv\"\ntest = \"data.csv\"\n"
          "[model]\nlayers = [{ type = \"dense\", units = 3 }]\n"
          "[training]\nepochs = 0\nbatch_size = 4\n");
    const std::vector<TensorData> weights{
        f32_tensor("dense_1.weight", {3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1}),
        f32_tensor("dense_1.bias", {3}, {0, 0, 0})};
    write_safetensors(path("identity.safetensors"), weights);
    succeed({"train", "experiment.toml", "--init", "identity.safetensors", "--out", "run"});
  }
};

TEST_F(IdentityModel, EvaluateGivesTheMetricsWorkedOutByHand) {
  const Json result = result_of({"evaluate", "run"});
  EXPECT_EQ(result["samples"], 6);
  EXPECT_EQ(result["batch_size"], 4);
  EXPECT_EQ(result["accuracy"], 0.5);
  // One logit of 1 and two of 0; in the last row two of 1 and one of 0.
  const double normalizer = std::log(std::numbers::e + 2.0);
  const double tied = std::log(2.0 * std::numbers::e + 1.0);
  const double expected = (5.0 * normalizer - 3.0 + tied) / 6.0;
  EXPECT_NEAR(result["loss"].get<double>(), expected, 1e-6);

  const Json matrix = Json::parse("[[2,1,0],[0,1,0],[1,1,0]]");
  EXPECT_EQ(result["confusion_matrix"], matrix);
  const Json& classes = result["classes"];
  ASSERT_EQ(classes.size(), 3u);
  EXPECT_DOUBLE_EQ(classes[0]["precision"].get<double>(), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(classes[0]["recall"].get<double>(), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(classes[0]["f1"].get<double>(), 2.0 / 3.0);
  EXPECT_EQ(classes[0]["samples"], 3);
  EXPECT_DOUBLE_EQ(classes[1]["precision"].get<double>(), 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(classes[1]["recall"].get<double>(), 1.0);
  EXPECT_DOUBLE_EQ(classes[1]["f1"].get<double>(), 0.5);
  EXPECT_TRUE(classes[2]["precision"].is_null());  // never predicted
  EXPECT_EQ(classes[2]["recall"], 0.0);
  EXPECT_EQ(classes[2]["f1"], 0.0);
}

TEST_F(IdentityModel, PredictWritesLogitsAndTheirSoftmax) {
  succeed({"predict", "run", "--out", "logits.npy", "--logits"});
  succeed({"predict", "run", "--out", "probabilities.npy"});
  const NpyArray logits = read_npy(path("logits.npy"));
  const NpyArray probabilities = read_npy(path("probabilities.npy"));
  const std::vector<std::int64_t> shape{6, 3};
  ASSERT_EQ(logits.shape, shape);
  ASSERT_EQ(probabilities.shape, shape);
  EXPECT_EQ(probabilities.dtype, NpyType::f4);
  const double features[] = {1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0};
  for (std::int64_t sample = 0; sample < 6; ++sample) {
    double sum = 0.0;
    for (int c = 0; c < 3; ++c) sum += std::exp(features[sample * 3 + c]);
    for (int c = 0; c < 3; ++c) {
      EXPECT_EQ(logits.number(sample * 3 + c), features[sample * 3 + c]);
      EXPECT_NEAR(probabilities.number(sample * 3 + c), std::exp(features[sample * 3 + c]) / sum,
                  1e-6);
    }
  }
}

TEST_F(IdentityModel, EvaluatePrintsClassesAndConfusions) {
  const ProgramResult result = run({"evaluate", "run"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, HasSubstr("6 samples, batch 4, device cpu"));
  EXPECT_THAT(result.output, HasSubstr("accuracy 0.5000"));
  EXPECT_THAT(result.output, HasSubstr("     0     0.6667   0.6667   0.6667        3"));
  EXPECT_THAT(result.output, HasSubstr("\n      2      1      0\n      0      1      0\n"));
}

/// A trained network with normalisation, validation and test samples.
class TrainedModel : public ProgramTest {
 protected:
  void SetUp() override {
    write("experiment.toml", small_experiment());
    succeed({"train", "experiment.toml", "--out", "run", "--set", "data.normalize=standardize"});
  }
  [[nodiscard]] std::string predictions(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"predict", "run", "--out", "p.npy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    succeed(arguments);
    return read("p.npy");
  }
};

TEST_F(TrainedModel, EvaluationDoesNotDependOnTheBatchSize) {
  Json reference = result_of({"evaluate", "run", "--batch-size", "1"});
  reference.erase("batch_size");
  for (const char* batch_size : {"7", "16", "59", "60", "1000"}) {
    Json result = result_of({"evaluate", "run", "--batch-size", batch_size});
    EXPECT_EQ(std::to_string(result["batch_size"].get<std::int64_t>()), batch_size);
    result.erase("batch_size");
    EXPECT_EQ(result.dump(), reference.dump()) << batch_size;
  }
}

TEST_F(TrainedModel, EvaluationAgreesWithTheSummary) {
  const Json summary = Json::parse(read("run/summary.json"));
  const Json test = result_of({"evaluate", "run"});
  EXPECT_EQ(test["loss"], summary["test_loss"]);
  EXPECT_EQ(test["accuracy"], summary["test_accuracy"]);
  const Json validation = result_of({"evaluate", "run", "--data", "validation"});
  EXPECT_EQ(validation["loss"], summary["validation_loss"]);
  EXPECT_EQ(validation["samples"], 20);
  EXPECT_EQ(result_of({"evaluate", "run", "--data", "train"})["samples"], 180);
}

TEST_F(TrainedModel, PredictionsDoNotDependOnTheBatchSize) {
  const std::string reference = predictions({"--batch-size", "1"});
  for (const char* batch_size : {"3", "60", "500"}) {
    EXPECT_EQ(predictions({"--batch-size", batch_size}), reference) << batch_size;
  }
  EXPECT_EQ(predictions({"--threads", "2"}), reference);
}

TEST_F(TrainedModel, CompareBatchSizesListsEverySample) {
  const Json result =
      result_of({"predict", "run", "--out", "p.npy", "--compare-batch-sizes", "1,7,64"});
  const Json& rows = result["compare_batch_sizes"];
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1]["batch_size"], 7);
  for (const Json& row : rows) {
    EXPECT_GT(row["samples_per_second"], 0.0);
    EXPECT_EQ(row["differing_samples"], 0);
    EXPECT_EQ(row["largest_difference"], 0.0);
    EXPECT_EQ(row["differences"], Json(std::vector<double>(60, 0.0)));
  }
  const ProgramResult text =
      run({"predict", "run", "--out", "p.npy", "--compare-batch-sizes", "1,7"});
  EXPECT_THAT(text.output, HasSubstr("samples differing"));
  EXPECT_THAT(text.output, HasSubstr("60 rows of 3 probabilities"));
}

/// The rows of the training set are drawn by the program; these are three of one's own.
constexpr float kRows[3][4] = {{0.5f, -1.0f, 2.0f, 0.25f}, {3.0f, 0, 0, 1}, {-1, -2, -3, -4}};

TEST_F(TrainedModel, UnlabelledFilesArePredictedAlike) {
  std::string csv, labelled;
  std::vector<float> values;
  for (const auto& row : kRows) {
    csv += std::to_string(row[0]);
    for (int column = 1; column < 4; ++column) csv += "," + std::to_string(row[column]);
    labelled += csv.substr(csv.rfind('\n') + 1) + ",0\n";
    csv += '\n';
    values.insert(values.end(), std::begin(row), std::end(row));
  }
  write("rows.csv", csv);
  write("labelled.csv", labelled);
  write_zip(path("rows.npz"), {{"x_test.npy", npy<float>("<f4", "(3, 4)", values)}});
  const std::string reference = predictions({"--data", "rows.csv"});
  EXPECT_EQ(read_npy(path("p.npy")).shape, (std::vector<std::int64_t>{3, 3}));
  EXPECT_EQ(predictions({"--data", "labelled.csv"}), reference);
  EXPECT_EQ(predictions({"--data", "rows.npz"}), reference);
  EXPECT_EQ(result_of({"evaluate", "run", "--data", "labelled.csv"})["samples"], 3);
}

class ImageModel : public ProgramTest {};

TEST_F(ImageModel, UnlabelledIdxFilesArePredicted) {
  std::string text = small_experiment();
  const std::size_t begin = text.find("kind ="), end = text.find("[model]");
  text.replace(begin, end - begin, "kind = \"idx\"\npath = \"images\"\n");
  text.insert(text.find("layers = [") + 10, "{ type = \"flatten\" },");
  write("experiment.toml", text);
  std::filesystem::create_directory(path("images"));
  const std::string images = idx_header({4, 2, 3}) + counting_bytes(24);
  write("images/train-images-idx3-ubyte", images);
  write("images/train-images-idx3-ubyte.gz", gzip(images));
  write("images/train-labels-idx1-ubyte.gz", gzip(idx_header({4}) + std::string("\0\1\2\0", 4)));
  const ProgramResult trained = run({"train", "experiment.toml", "--out", "run"});
  EXPECT_EQ(trained.exit_code, 0) << trained.messages;
  EXPECT_THAT(trained.messages, HasSubstr("train-images-idx3-ubyte is read; "
                                          "train-images-idx3-ubyte.gz beside it is not"));

  succeed({"predict", "run", "--out", "split.npy", "--data", "train"});
  write("unlabelled.gz", gzip(images));
  succeed({"predict", "run", "--out", "file.npy", "--data", "unlabelled.gz"});
  EXPECT_EQ(read("file.npy"), read("split.npy"));
  EXPECT_EQ(read_npy(path("file.npy")).shape, (std::vector<std::int64_t>{4, 3}));
}

}  // namespace
}  // namespace batchwise
