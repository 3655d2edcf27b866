// Levels 1 to 4 of docs/numerics.md: the same bits run after run, on any number of threads, however
// a batch is split, and at any batch size of evaluation and prediction.
#include <gtest/gtest.h>

#include <map>

#include "engine/train/inference.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/bounds.h"

namespace batchwise {
namespace {

using testing_support::data_of;
using testing_support::Listener;
using testing_support::same_bits;
using testing_support::small_experiment;
using testing_support::train;

/// More features than a chunk of the order over features, and more samples than one over samples.
Experiment wide(std::vector<std::string> settings, const std::string& layers) {
  for (const char* setting : {"data.samples=1300", "data.features=300", "data.name=random",
                              "data.test_samples=0", "training.epochs=1"}) {
    settings.emplace_back(setting);
  }
  return small_experiment(settings, layers);
}

const std::string kPlain =
    R"({ type = "dense", units = 24, activation = "relu" },
       { type = "dense", units = 17, activation = "gelu" }, { type = "dense", units = 4 })";
const std::string kDropout =
    R"({ type = "dropout", rate = 0.1 }, { type = "dense", units = 24, activation = "tanh" },
       { type = "dropout", rate = 0.4 }, { type = "dense", units = 4 })";
const std::string kGhost =
    R"({ type = "batchnorm", group = 16 }, { type = "dense", units = 24, activation = "sigmoid" },
       { type = "dense", units = 20 }, { type = "batchnorm", group = 8 },
       { type = "activation", activation = "leaky_relu" }, { type = "dropout", rate = 0.2 },
       { type = "dense", units = 4 })";

/// What must not change: the weights and every step's loss.
struct Outcome {
  std::string weights_sha256;
  std::vector<double> losses;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome(const std::string& layers, std::vector<std::string> settings,
                std::int64_t micro_batch) {
  settings.push_back("training.micro_batch_size=" + std::to_string(micro_batch));
  const Experiment experiment = wide(settings, layers);
  Listener listener;
  const TrainingSummary summary = train(experiment, data_of(experiment), &listener);
  return {summary.weights_sha256, listener.losses};
}

void expect_same_however_split(const std::string& layers, const std::vector<std::string>& settings,
                               const std::vector<std::int64_t>& micro_batches) {
  const Outcome whole = outcome(layers, settings, 0);
  ASSERT_FALSE(whole.losses.empty());
  for (const std::int64_t micro_batch : micro_batches) {
    EXPECT_EQ(outcome(layers, settings, micro_batch), whole)
        << "in passes of " << micro_batch << ": " << settings.front();
  }
}

TEST(Level1, GivesTheSameBitsRunAfterRun) {
  for (const std::string& layers : {kPlain, kDropout, kGhost}) {
    EXPECT_EQ(outcome(layers, {"training.batch_size=128"}, 0),
              outcome(layers, {"training.batch_size=128"}, 0));
  }
  EXPECT_NE(outcome(kPlain, {"training.batch_size=128", "seed=1"}, 0),
            outcome(kPlain, {"training.batch_size=128", "seed=2"}, 0));
}

TEST(Level1, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (const std::string& layers : {kPlain, kDropout, kGhost}) {
    std::vector<Outcome> outcomes;
    for (const int threads : {1, 2, 3}) {
      set_cpu_threads(threads);
      outcomes.push_back(outcome(layers, {"training.batch_size=600"}, 0));
    }
    set_cpu_threads(1);
    EXPECT_EQ(outcomes[0], outcomes[1]);
    EXPECT_EQ(outcomes[0], outcomes[2]);
  }
}

// 128 is 1 x 128, 4 x 32, 16 x 8, 2 x 50 + 28 and 128 x 1; the epoch's last batch is of 20.
TEST(Level4, SplitsOfABatchWithinAChunk) {
  expect_same_however_split(kPlain, {"training.batch_size=128"}, {128, 32, 8, 50, 1});
}

// Three chunks of 256, the last one smaller, left in the middle and resumed.
TEST(Level4, SplitsOfABatchAcrossChunks) {
  expect_same_however_split(kPlain, {"training.batch_size=600"}, {600, 256, 100, 7});
  // Six chunks: a tree of three levels.
  expect_same_however_split(kPlain, {"training.batch_size=1300"}, {512, 333});
}

TEST(Level4, DropoutFollowsTheSample) {
  expect_same_however_split(kDropout, {"training.batch_size=128"}, {32, 50, 1});
  expect_same_however_split(kDropout, {"training.batch_size=600"}, {256, 7});
}

TEST(Level4, GhostBatchNormUnderSplitsOfWholeGroups) {
  expect_same_however_split(kGhost, {"training.batch_size=128"}, {16, 32, 48, 112});
  expect_same_however_split(kGhost, {"training.batch_size=600"}, {256, 80, 16});
}

TEST(Level4, EveryOptimizer) {
  const std::vector<std::vector<std::string>> optimizers = {
      {"optimizer.name=sgd", "optimizer.learning_rate=0.05"},
      {"optimizer.name=sgd", "optimizer.learning_rate=0.05", "optimizer.momentum=0.9",
       "optimizer.nesterov=true", "optimizer.weight_decay=0.01"},
      {"optimizer.name=adam", "optimizer.clip_global_norm=0.5"},
      {"optimizer.name=adamw", "optimizer.weight_decay=0.1"},
      {"optimizer.name=rmsprop"},
      {"optimizer.name=rmsprop", "optimizer.momentum=0.9", "optimizer.weight_decay=0.01"}};
  std::map<std::string, int> outcomes;
  for (std::vector<std::string> settings : optimizers) {
    settings.emplace_back("training.batch_size=300");
    expect_same_however_split(kPlain, settings, {128, 50});
    ++outcomes[outcome(kPlain, settings, 0).weights_sha256];
  }
  EXPECT_EQ(outcomes.size(), optimizers.size());  // and each is another one
}

TEST(Level4, AFrozenLayer) {
  const std::string layers =
      R"({ type = "dense", units = 24, activation = "relu", trainable = false },
         { type = "batchnorm", trainable = false }, { type = "dense", units = 4 })";
  expect_same_however_split(layers, {"training.batch_size=128"}, {32, 50, 1});
}

/// Weights after an epoch of training, as a run folder would hold them.
RunFolder::StoredWeights trained(const Experiment& experiment, const Dataset& dataset) {
  Session session(experiment, dataset);
  (void)Trainer(session, nullptr).run();
  return {.tensors = as_f32(download_tensors(session.weights())),
          .normalization = session.normalization(),
          .input_shape = {300}};
}

constexpr std::int64_t kInferenceBatches[] = {1, 2, 3, 7, 32, 100, 10000};

TEST(Level2, PredictionsDoNotDependOnTheBatchSize) {
  for (const std::string& layers : {kPlain, kDropout, kGhost}) {
    const Experiment experiment = wide({"training.batch_size=128"}, layers);
    const Dataset dataset = data_of(experiment);
    const RunFolder::StoredWeights weights = trained(experiment, dataset);
    const Samples samples = slice(dataset.train, 0, 333);
    for (const bool probabilities : {true, false}) {
      std::vector<float> expected;
      for (const std::int64_t batch : kInferenceBatches) {
        Inference inference(experiment, weights, samples, batch, Phase::prediction, probabilities);
        const std::vector<float> found = inference.predict();
        if (expected.empty()) expected = found;
        EXPECT_TRUE(same_bits<float>(found, expected)) << "batch " << batch;
      }
    }
  }
}

TEST(Level2, PredictionsDoNotDependOnNeighboursOrPosition) {
  const Experiment experiment = wide({"training.batch_size=128"}, kGhost);
  const Dataset dataset = data_of(experiment);
  const RunFolder::StoredWeights weights = trained(experiment, dataset);
  const Samples all = slice(dataset.train, 0, 200);
  Inference together(experiment, weights, all, 64, Phase::prediction);
  const std::vector<float> expected = together.predict();
  for (const std::int64_t first : {1, 37, 150}) {
    Inference apart(experiment, weights, slice(all, first, 50), 19, Phase::prediction);
    const std::span<const float> part =
        std::span(expected).subspan(static_cast<std::size_t>(first * 4), 200);
    EXPECT_TRUE(same_bits<float>(apart.predict(), part)) << first;
  }
}

TEST(Level3, EvaluationDoesNotDependOnTheBatchSize) {
  for (const std::string& layers : {kPlain, kDropout, kGhost}) {
    const Experiment experiment = wide({"training.batch_size=128"}, layers);
    const Dataset dataset = data_of(experiment);
    const RunFolder::StoredWeights weights = trained(experiment, dataset);
    std::optional<SplitResult> expected;
    std::vector<std::int32_t> expected_classes;
    for (const std::int64_t batch : kInferenceBatches) {
      Inference inference(experiment, weights, dataset.train, batch, Phase::evaluation);
      const SplitResult found = inference.evaluate();
      if (!expected) {
        expected = found;
        expected_classes = inference.predicted_classes();
      }
      EXPECT_EQ(found.loss, expected->loss) << "batch " << batch;
      EXPECT_EQ(found.accuracy, expected->accuracy) << "batch " << batch;
      EXPECT_EQ(inference.predicted_classes(), expected_classes) << "batch " << batch;
    }
  }
}

TEST(Level3, ATrainersEvaluationDoesNotDependOnItsMicroBatch) {
  std::optional<double> expected;
  for (const char* micro_batch : {"128", "50", "1"}) {
    const TrainingSummary summary =
        train(wide({"training.batch_size=128", "data.validation_split=0.3",
                    std::string("training.micro_batch_size=") + micro_batch},
                   kDropout));
    if (!expected) expected = summary.validation->loss;
    EXPECT_EQ(summary.validation->loss, *expected) << micro_batch;
  }
}

}  // namespace
}  // namespace batchwise
