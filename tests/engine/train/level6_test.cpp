// Level 6: a training ends with the same bits on the CPU and on every device that runs the CUDA
// kernels, and so do the evaluations and predictions of its weights. Every recipe and starter,
// shortened to six updates: forty training samples in batches of 16, the last one smaller, twice.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>

#include "engine/train/inference.h"
#include "tests/engine/devices.h"
#include "tests/engine/plan/plan_support.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using testing_support::Recipe;

struct Short {
  std::string name;
  Experiment experiment;
  Dataset dataset;
};

/// Test names are letters and digits.
std::string test_name(std::string text) {
  for (char& character : text) {
    if (std::isalnum(static_cast<unsigned char>(character)) == 0) character = '_';
  }
  return text;
}

/// As the recipe, on few samples of the given data; every part of a pass and of an update occurs.
Experiment shortened(Experiment experiment) {
  const bool micro_batches = experiment.training.micro_batch_size > 0;
  experiment.training.epochs = 2;
  experiment.training.max_steps = 0;
  experiment.training.batch_size = 16;
  experiment.training.micro_batch_size = micro_batches ? 6 : 0;
  experiment.training.early_stopping = {};
  experiment.data.validation_split = 0.2;
  experiment.data.drop_last = false;
  return experiment;
}

/// 50 training and 20 test samples of what the program draws itself.
Dataset drawn(const Recipe& recipe) {
  DataConfig data = recipe.experiment.data;
  if (data.kind != DataKind::builtin) {
    const bool image = recipe.sample_shape.rank() == 3;
    data = testing_support::small_experiment().data;
    data.name = image ? "digits" : "blobs";
    data.features = image ? 784 : recipe.sample_shape[0];
    data.classes = recipe.experiment.model.layers.back().units;
  }
  data.samples = 50;
  data.test_samples = 20;
  return load_dataset(data, recipe.experiment.seed);
}

std::vector<Short> short_runs() {
  std::vector<Short> runs;
  std::set<std::string> names;
  for (const Recipe& recipe : testing_support::all_recipes()) {
    std::string name = test_name(recipe.experiment.name);
    while (!names.insert(name).second) name += "_again";  // a starter may be named as a recipe
    runs.push_back({name, shortened(recipe.experiment), drawn(recipe)});
  }
  return runs;
}

/// Everything that a run leaves and that the level speaks of.
struct Outcome {
  std::string weights_sha256;
  double train_loss = 0.0, validation_loss = 0.0, test_loss = 0.0, test_accuracy = 0.0;
  std::vector<double> step_losses;
  std::vector<double> evaluations;  ///< loss and accuracy at two batch sizes
  std::vector<float> probabilities;
  std::vector<float> logits;
};

Outcome outcome_of(Experiment experiment, const Dataset& dataset, const std::string& device) {
  experiment.device = device;
  testing_support::Listener listener;
  Session session(experiment, dataset);
  EXPECT_EQ(session.backend().name(), device);
  const TrainingSummary summary =
      Trainer(session, nullptr, {.observer = &listener, .interrupted = {}}).run();
  EXPECT_EQ(summary.peak_bytes, summary.planned_bytes) << device;
  EXPECT_EQ(summary.progress.step, 6);

  const Dimensions& input = session.graph().input_shape();
  const RunFolder::StoredWeights weights{.tensors = as_f32(download_tensors(session.weights())),
                                         .normalization = session.normalization(),
                                         .input_shape = {input.begin(), input.end()}};
  const Samples& samples = dataset.test ? *dataset.test : dataset.train;
  Outcome outcome{.weights_sha256 = summary.weights_sha256,
                  .train_loss = summary.progress.train_loss,
                  .validation_loss = summary.validation->loss,
                  .test_loss = summary.test ? summary.test->loss : 0.0,
                  .test_accuracy = summary.test ? summary.test->accuracy : 0.0,
                  .step_losses = listener.losses,
                  .evaluations = {},
                  .probabilities = {},
                  .logits = {}};
  for (const std::int64_t batch : {7, 20}) {
    Inference inference(experiment, weights, samples, batch, Phase::evaluation);
    const SplitResult result = inference.evaluate();
    outcome.evaluations.insert(outcome.evaluations.end(), {result.loss, result.accuracy});
  }
  outcome.probabilities =
      Inference(experiment, weights, samples, 7, Phase::prediction, true).predict();
  outcome.logits = Inference(experiment, weights, samples, 20, Phase::prediction, false).predict();
  return outcome;
}

/// Sums of finite numbers: equal bits, but for -0 and 0, which no loss is.
void expect_same(const Outcome& found, const Outcome& expected, const std::string& device) {
  EXPECT_EQ(found.weights_sha256, expected.weights_sha256) << device;
  EXPECT_EQ(found.step_losses, expected.step_losses) << device;
  EXPECT_EQ(found.train_loss, expected.train_loss) << device;
  EXPECT_EQ(found.validation_loss, expected.validation_loss) << device;
  EXPECT_EQ(found.test_loss, expected.test_loss) << device;
  EXPECT_EQ(found.test_accuracy, expected.test_accuracy) << device;
  EXPECT_EQ(found.evaluations, expected.evaluations) << device;
  const auto same_bits = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  EXPECT_TRUE(same_bits(found.probabilities, expected.probabilities)) << device;
  EXPECT_TRUE(same_bits(found.logits, expected.logits)) << device;
}

void expect_level_6(const Experiment& experiment, const Dataset& dataset) {
  const Outcome expected = outcome_of(experiment, dataset, "cpu");
  ASSERT_FALSE(expected.probabilities.empty());
  for (const std::string& device : testing_support::other_devices()) {
    expect_same(outcome_of(experiment, dataset, device), expected, device);
  }
}

class Level6 : public ::testing::TestWithParam<Short> {};

TEST_P(Level6, SameBitsOnEveryDevice) { expect_level_6(GetParam().experiment, GetParam().dataset); }

INSTANTIATE_TEST_SUITE_P(Recipe, Level6, ::testing::ValuesIn(short_runs()),
                         [](const auto& instance) { return instance.param.name; });

TEST(Level6Options, EveryOptimizerActivationAndGroup) {
  const std::string layers =
      R"({ type = "batchnorm", group = 4 }, { type = "dense", units = 33, activation = "gelu" },
         { type = "dropout", rate = 0.3 }, { type = "dense", units = 17, activation = "tanh" },
         { type = "batchnorm", group = 8, trainable = false },
         { type = "dense", units = 5, activation = "sigmoid", trainable = false },
         { type = "dense", units = 9, activation = "leaky_relu" }, { type = "dense", units = 4 })";
  const std::vector<std::vector<std::string>> options{
      {"optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true",
       "optimizer.clip_global_norm=0.5"},
      {"optimizer.name=adamw", "optimizer.weight_decay=0.1", "training.micro_batch_size=8"},
      {"optimizer.name=rmsprop", "optimizer.momentum=0.5", "training.accumulation=sum",
       "training.micro_batch_size=8"},
      {"optimizer.name=adam", "schedule.kind=cosine", "data.normalize=standardize"}};
  for (std::vector<std::string> settings : options) {
    settings.insert(settings.end(), {"data.samples=50", "data.test_samples=20",
                                     "training.batch_size=16", "data.validation_split=0.2"});
    const Experiment experiment = testing_support::small_experiment(settings, layers);
    SCOPED_TRACE(settings.front());
    expect_level_6(experiment, testing_support::data_of(experiment));
  }
}

TEST(Level6Options, ABatchOfSeveralChunks) {
  // 600 rows: three chunks of the tree over samples, in passes that end inside them.
  const Experiment experiment = testing_support::small_experiment(
      {"data.samples=2250", "training.batch_size=600", "training.micro_batch_size=250",
       "training.max_steps=6", "training.epochs=3", "data.validation_split=0.2"});
  expect_level_6(experiment, testing_support::data_of(experiment));
}

TEST(Level6Options, ARunMovesBetweenDevices) {
  // Checkpoints, best weights and optimizer state leave one device and go on on another.
  const std::vector<std::string> settings{
      "optimizer.name=adam", "data.validation_split=0.2", "data.samples=150", "training.epochs=4",
      "training.early_stopping={ patience = 3, min_delta = 0.0 }"};
  const Experiment experiment = testing_support::small_experiment(settings);
  const std::string expected = testing_support::train(experiment).weights_sha256;
  for (const std::string& device : testing_support::other_devices()) {
    Experiment elsewhere = experiment;
    elsewhere.device = device;
    for (const auto& [first, second] :
         {std::pair(experiment, elsewhere), {elsewhere, experiment}}) {
      const TemporaryFolder folder;
      EXPECT_THROW((void)testing_support::train_in(folder / "run", first, 6), Interrupted);
      const TrainingSummary summary = testing_support::train_in(folder / "run", second);
      EXPECT_EQ(summary.weights_sha256, expected) << first.device << " to " << second.device;
    }
  }
}

TEST(Level6Options, AnUpdateThatIsNotFiniteIsDescribedAlike) {
  const Experiment experiment = testing_support::small_experiment();
  Dataset dataset = testing_support::data_of(experiment);
  testing_support::set_feature(dataset.train, 3, 2, std::numeric_limits<float>::infinity());
  std::vector<std::string> devices = testing_support::other_devices();
  devices.emplace_back("cpu");
  for (const std::string& device : devices) {
    Experiment elsewhere = experiment;
    elsewhere.device = device;
    Session session(elsewhere, dataset);
    const std::string before = session.weights_sha256();
    const std::vector<std::int32_t> ids = testing_support::first_ids(32);
    EXPECT_EQ(session.update(ids, 1, 0.001).finite, 0.0) << device;
    EXPECT_EQ(session.weights_sha256(), before) << device;
    const std::string found = session.describe_nonfinite(ids);
    EXPECT_NE(found.find("dense_1.weight"), std::string::npos) << device << ": " << found;
    EXPECT_NE(found.find("the loss of sample 3"), std::string::npos) << device << ": " << found;
  }
}

TEST(Level6Data, FashionMnist) {
  const char* const data = std::getenv("BATCHWISE_DATA");
  const std::filesystem::path folder =
      data == nullptr ? std::filesystem::path() : std::filesystem::path(data) / "fashion-mnist";
  if (data == nullptr || !std::filesystem::exists(folder)) {
    GTEST_SKIP() << "BATCHWISE_DATA names no folder with fashion-mnist";
  }
  Experiment experiment;
  for (const Recipe& recipe : testing_support::all_recipes()) {
    if (recipe.experiment.name == "mnist-batchnorm") experiment = shortened(recipe.experiment);
  }
  experiment.data.path = folder.string();
  Dataset dataset = load_dataset(experiment.data, experiment.seed);
  dataset.train = slice(dataset.train, 100, 50);
  dataset.test = slice(*dataset.test, 9000, 20);
  expect_level_6(experiment, dataset);
}

}  // namespace
}  // namespace batchwise
