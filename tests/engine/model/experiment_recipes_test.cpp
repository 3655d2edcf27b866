// Every committed experiment file is read, and the recipes say what their names promise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/model/experiment_file.h"

namespace batchwise {
namespace {

const std::filesystem::path kRecipes = std::filesystem::path(BATCHWISE_SOURCE_DIR) / "apps/recipes";

std::vector<std::string> experiment_files(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Experiment recipe(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return load_experiment(kRecipes / (name + ".toml"), overrides);
}

std::vector<std::int64_t> dense_units(const Experiment& experiment) {
  std::vector<std::int64_t> units;
  for (const LayerConfig& layer : experiment.model.layers) {
    if (layer.type == LayerType::dense) units.push_back(layer.units);
  }
  return units;
}

TEST(Recipes, AreAllRead) {
  EXPECT_EQ(experiment_files(kRecipes),
            (std::vector<std::string>{
                "batch-growth", "evaluation-batch-size", "memorise-random-labels",
                "mnist-accumulated-mean", "mnist-accumulated-sum", "mnist-adam", "mnist-batchnorm",
                "mnist-deep", "mnist-dropout", "mnist-sgd", "prediction-batch-size"}));
  for (const std::string& name : experiment_files(kRecipes)) {
    EXPECT_EQ(recipe(name).name, name);
    EXPECT_NO_THROW((void)recipe(name, {"training.batch_size=512"})) << name;
  }
}

TEST(Recipes, StartersAreAllRead) {
  const std::filesystem::path folder = kRecipes / "starters";
  EXPECT_EQ(experiment_files(folder),
            (std::vector<std::string>{"blobs-mlp", "csv-mlp", "digits-mlp", "fashion-mlp",
                                      "mnist-batchnorm", "mnist-mlp", "npz-mlp"}));
  for (const std::string& name : experiment_files(folder)) {
    EXPECT_EQ(load_experiment(folder / (name + ".toml"), {}).name, name);
  }
}

TEST(Recipes, StudiesAreAllRead) {
  const std::filesystem::path folder = kRecipes / "studies";
  EXPECT_EQ(experiment_files(folder),
            (std::vector<std::string>{"batchnorm", "batchnorm-without", "f1", "growing-batch",
                                      "noise-scale", "rules", "steps-to-target"}));
  for (const std::string& name : experiment_files(folder)) {
    EXPECT_EQ(load_experiment(folder / (name + ".toml"), {}).name, name);
  }
}

TEST(Recipes, WriteKerasDefaultsOut) {
  for (const std::string& name : experiment_files(kRecipes)) {
    const Experiment experiment = recipe(name);
    EXPECT_EQ(experiment.model.init, Init::glorot_uniform) << name;
    if (name == "prediction-batch-size") continue;  // trains nothing
    if (name == "batch-growth") continue;           // its rate is one that others would lower
    if (experiment.optimizer.name == OptimizerName::adam) {
      EXPECT_EQ(experiment.optimizer.learning_rate, 0.001) << name;
      EXPECT_EQ(experiment.optimizer.epsilon, 1e-7) << name;
    } else {
      EXPECT_EQ(experiment.optimizer.name, OptimizerName::sgd) << name;
      EXPECT_EQ(experiment.optimizer.learning_rate, 0.01) << name;
      EXPECT_EQ(experiment.optimizer.momentum, 0.0) << name;
    }
  }
}

TEST(Recipes, AccumulateFourMicroBatches) {
  const Experiment mean = recipe("mnist-accumulated-mean");
  EXPECT_EQ(mean.training.micro_batch_size, 32);
  EXPECT_EQ(mean.training.batch_size, 4 * 32);
  EXPECT_EQ(mean.training.accumulation, Accumulation::mean);
  const Experiment sum = recipe("mnist-accumulated-sum");
  EXPECT_EQ(sum.training.micro_batch_size, 8);
  EXPECT_EQ(sum.training.batch_size, 4 * 8);
  EXPECT_EQ(sum.training.accumulation, Accumulation::sum);
}

TEST(Recipes, HaveTheNetworksTheyName) {
  EXPECT_EQ(dense_units(recipe("evaluation-batch-size")), (std::vector<std::int64_t>{64, 2}));
  EXPECT_EQ(dense_units(recipe("prediction-batch-size")), (std::vector<std::int64_t>{10, 3}));
  EXPECT_EQ(dense_units(recipe("memorise-random-labels")), (std::vector<std::int64_t>{16, 2}));
  EXPECT_EQ(dense_units(recipe("mnist-deep")), (std::vector<std::int64_t>{512, 256, 128, 10}));
  for (const char* name : {"mnist-sgd", "mnist-adam", "mnist-dropout", "mnist-batchnorm"}) {
    EXPECT_EQ(dense_units(recipe(name)), (std::vector<std::int64_t>{128, 10})) << name;
  }
  EXPECT_EQ(recipe("mnist-adam").data.validation_split, 0.2);
  EXPECT_EQ(recipe("prediction-batch-size").training.epochs, 0);
  EXPECT_FALSE(recipe("memorise-random-labels").data.shuffle);
}

TEST(Recipes, BatchNormStandsBeforeEachDenseLayer) {
  const std::vector<LayerConfig> layers = recipe("mnist-batchnorm").model.layers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].type != LayerType::dense) continue;
    ASSERT_GT(i, 0u);
    EXPECT_EQ(layers[i - 1].type, LayerType::batchnorm);
    EXPECT_EQ(layers[i - 1].momentum, 0.01);
    EXPECT_EQ(layers[i - 1].epsilon, 1e-3);
  }
}

/// The batch grows where the rate would fall, by as much.
TEST(Recipes, BatchGrowthTakesThePlaceOfALowerRate) {
  const Experiment grown = recipe("batch-growth");
  const Experiment lowered =
      recipe("batch-growth", {"batch_schedule.max_batch_size=64", "schedule.factor=0.25"});
  EXPECT_EQ(grown.schedule.factor, 1.0);
  EXPECT_EQ(1.0 / static_cast<double>(grown.batch_schedule.factor), lowered.schedule.factor);
  EXPECT_EQ(std::vector<double>(grown.batch_schedule.at.begin(), grown.batch_schedule.at.end()),
            lowered.schedule.at);
  EXPECT_EQ(lowered.batch_schedule.max_batch_size, lowered.training.batch_size);
}

}  // namespace
}  // namespace batchwise
