// The training loop: limits, order, validation, accumulation, what is not finite, and what it
// writes.
#include "engine/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::data_of;
using testing_support::first_ids;
using testing_support::Listener;
using testing_support::message_of;
using testing_support::metrics_of;
using testing_support::metrics_of_kind;
using testing_support::small_experiment;
using testing_support::train;
using testing_support::train_in;

TEST(Trainer, RefusesToForgetTheCheckpointsOfARun) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment();
  (void)train_in(folder / "run", experiment);
  Session session(experiment, data_of(experiment));
  const RunFolder run = RunFolder::open(folder / "run");
  EXPECT_THROW((void)Trainer(session, &run).run(), std::logic_error);
  EXPECT_GT(CheckpointStore(run.checkpoints()).load_newest()->step, 0);
}

TEST(Trainer, TrainsToTheLastEpoch) {
  const TrainingSummary summary = train(small_experiment({"training.epochs=20"}));
  EXPECT_EQ(summary.stopped_by, "epochs");
  EXPECT_EQ(summary.progress.step, 200);
  EXPECT_EQ(summary.progress.epoch, 21);  // the next one
  EXPECT_EQ(summary.progress.trained_samples, 6000);
  EXPECT_GT(summary.test->accuracy, 0.95);
  EXPECT_EQ(summary.planned_bytes, summary.peak_bytes);
}

TEST(Trainer, StopsAtMaxSteps) {
  const TrainingSummary summary = train(small_experiment({"training.max_steps=7"}));
  EXPECT_EQ(summary.stopped_by, "max_steps");
  EXPECT_EQ(summary.progress.step, 7);
  EXPECT_EQ(summary.progress.samples_in_epoch, 7 * 32);
  EXPECT_TRUE(std::isfinite(summary.progress.train_loss));  // of the part of the epoch
}

TEST(Trainer, AnEpochThatEndsWithMaxStepsIsWhole) {
  const TemporaryFolder folder;
  const TrainingSummary summary =
      train_in(folder / "run", small_experiment({"training.max_steps=10", "training.epochs=5"}));
  EXPECT_EQ(summary.stopped_by, "max_steps");
  EXPECT_EQ(metrics_of_kind(folder / "run", "epoch").size(), 1u);
  EXPECT_EQ(train(small_experiment({"training.epochs=1"})).weights_sha256, summary.weights_sha256);
}

TEST(Trainer, StopsAtMaxSeconds) {
  const TrainingSummary summary = train(small_experiment({"training.max_seconds=1e-9"}));
  EXPECT_EQ(summary.stopped_by, "max_seconds");
  EXPECT_EQ(summary.progress.step, 0);
}

TEST(Trainer, EndsAnEpochWithASmallerBatchOrDropsIt) {
  const auto samples = [](const std::vector<std::string>& settings) {
    const TemporaryFolder folder;
    (void)train_in(folder / "run", small_experiment(settings));
    std::vector<int> counts;
    for (const auto& line : metrics_of_kind(folder / "run", "step")) {
      counts.push_back(line.at("samples").get<int>());
    }
    return counts;
  };
  EXPECT_THAT(samples({"training.batch_size=128", "training.epochs=1"}), ElementsAre(128, 128, 44));
  EXPECT_THAT(samples({"training.batch_size=128", "training.epochs=2", "data.drop_last=true"}),
              ElementsAre(128, 128, 128, 128));
  EXPECT_THAT(samples({"training.batch_size=1000", "training.epochs=2"}), ElementsAre(300, 300));
}

TEST(Trainer, WithoutShufflingTakesTheSamplesInOrder) {
  const Experiment experiment = small_experiment({"data.shuffle=false"});
  const Dataset dataset = data_of(experiment);
  Listener listener;
  (void)train(experiment, dataset, &listener);

  Session session(experiment, dataset);
  std::vector<double> losses;
  std::int64_t step = 0;
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (std::int32_t first = 0; first < 300; first += 32) {
      std::vector<std::int32_t> ids = first_ids(std::min(32, 300 - first));
      for (std::int32_t& id : ids) id += first;
      const UpdateStatus status = session.update(ids, ++step, experiment.optimizer.learning_rate);
      losses.push_back(status.loss_sum / static_cast<double>(ids.size()));
    }
  }
  EXPECT_EQ(listener.losses, losses);

  Listener shuffled;
  (void)train(small_experiment(), dataset, &shuffled);
  EXPECT_NE(shuffled.losses.front(), losses.front());
}

TEST(Trainer, ZeroEpochsWriteTheInitialWeights) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment({"training.epochs=0"});
  const TrainingSummary summary = train_in(folder / "run", experiment);
  EXPECT_EQ(summary.progress.step, 0);
  EXPECT_EQ(summary.stopped_by, "epochs");
  const Session session(experiment, data_of(experiment));
  EXPECT_EQ(summary.weights_sha256, session.weights_sha256());
  EXPECT_EQ(weights_sha256(RunFolder::open(folder / "run").read_weights().tensors),
            session.weights_sha256());
  EXPECT_TRUE(metrics_of(folder / "run").empty());
}

TEST(Trainer, ValidatesEverySoManySteps) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run", small_experiment({"training.validate_every_steps=4",
                                                   "data.validation_split=0.1"}));
  std::vector<int> steps;
  for (const auto& line : metrics_of_kind(folder / "run", "validation")) {
    steps.push_back(line.at("step").get<int>());
    EXPECT_TRUE(line.at("validation_loss").is_number());
    EXPECT_TRUE(line.at("validation_accuracy").is_number());
  }
  EXPECT_THAT(steps, ElementsAre(4, 8, 12, 16));  // of 18
  for (const auto& line : metrics_of_kind(folder / "run", "epoch")) {
    EXPECT_TRUE(line.at("validation_loss").is_number());
  }
}

TEST(Trainer, AnEpochThatIsCutShortIsValidatedAsItStands) {
  const TemporaryFolder folder;
  const TrainingSummary summary = train_in(
      folder / "run", small_experiment({"training.max_steps=13", "data.validation_split=0.1"}));
  const auto epochs = metrics_of_kind(folder / "run", "epoch");
  ASSERT_EQ(epochs.size(), 2u);
  EXPECT_EQ(epochs[1].at("validation_loss"), summary.validation->loss);
  EXPECT_NE(epochs[0].at("validation_loss"), epochs[1].at("validation_loss"));
}

// A sum over micro-batches of means is the mean's gradient times their number: with plain SGD, the
// learning rate times a power of two, which changes no rounding.
TEST(Trainer, SumAccumulationIsALearningRateTimesTheMicroBatches) {
  const std::vector<std::string> common = {"data.samples=320", "optimizer.name=sgd",
                                           "training.micro_batch_size=8"};
  const auto sha = [&](const std::string& accumulation, const std::string& rate) {
    std::vector<std::string> settings = common;
    settings.push_back("training.accumulation=" + accumulation);
    settings.push_back("optimizer.learning_rate=" + rate);
    return train(small_experiment(settings)).weights_sha256;
  };
  EXPECT_EQ(sha("sum", "0.0078125"), sha("mean", "0.03125"));
  EXPECT_NE(sha("sum", "0.0078125"), sha("mean", "0.0078125"));
}

/// Sample 37 is not finite: with samples in order that is the second step of every epoch.
Dataset with_sample_37(const Experiment& experiment, float value) {
  Dataset dataset = data_of(experiment);
  testing_support::set_feature(dataset.train, 37, 5, value);
  return dataset;
}

/// Trains in a folder; the message of the RunError that stops it.
std::string stopped_message(const std::filesystem::path& folder, const Experiment& experiment,
                            const Dataset& dataset) {
  Session session(experiment, dataset);
  const RunFolder run = RunFolder::create(folder, session.experiment(), {}, false);
  return message_of<RunError>([&] { (void)Trainer(session, &run).run(); });
}

TEST(Trainer, StopsBeforeWhatIsNotFiniteReachesTheWeights) {
  const Experiment experiment = small_experiment({"data.shuffle=false"});
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const TemporaryFolder folder;
    EXPECT_THAT(
        stopped_message(folder / "run", experiment, with_sample_37(experiment, value)),
        AllOf(HasSubstr("step 2, epoch 1"), HasSubstr("dense_1.weight"), HasSubstr("sample 37"),
              HasSubstr("weights are those of step 1"), HasSubstr("skip")));
    const auto checkpoint = CheckpointStore(folder / "run/checkpoints").load_newest();
    ASSERT_TRUE(checkpoint);
    EXPECT_EQ(checkpoint->step, 1);
    std::vector<TensorData> weights;
    for (const TensorData& tensor : checkpoint->checkpoint.tensors) {
      if (tensor.name.find('/') == std::string::npos) weights.push_back(tensor);
    }
    Experiment first_step = experiment;
    first_step.training.max_steps = 1;
    EXPECT_EQ(weights_sha256(weights), train(first_step).weights_sha256);
    EXPECT_EQ(metrics_of(folder / "run").size(), 1u);
  }
}

TEST(Trainer, NamesAGradientThatOverflowsThoughTheLossIsFinite) {
  // Features of 1e38 against weights of 0 give finite logits; their gradients overflow.
  const std::string layers = R"({ type = "dense", units = 4, name = "only" })";
  const Experiment experiment =
      small_experiment({"data.shuffle=false", "training.batch_size=300"}, layers);
  Dataset dataset = data_of(experiment);
  for (std::int64_t sample = 0; sample < 300; ++sample) {
    testing_support::set_feature(dataset.train, sample, 0, 3e38f);
    dataset.train.labels[static_cast<std::size_t>(sample)] = 1;
  }
  Session session(experiment, dataset);
  std::vector<TensorData> zero = download_tensors(session.weights());
  for (TensorData& tensor : zero) std::fill(tensor.bytes.begin(), tensor.bytes.end(), std::byte{});
  upload_tensors(session.weights(), zero, "zeros");
  const std::string message = message_of<RunError>([&] { (void)Trainer(session, nullptr).run(); });
  EXPECT_THAT(message, AllOf(HasSubstr("step 1"), HasSubstr("gradient of only.weight"),
                             HasSubstr("batch of samples 0, 1")));
}

TEST(Trainer, SkipsWhatIsNotFiniteWhenAsked) {
  const Experiment experiment =
      small_experiment({"data.shuffle=false", "training.on_nonfinite=skip"});
  const Dataset dataset = with_sample_37(experiment, std::numeric_limits<float>::quiet_NaN());
  Listener listener;
  const TrainingSummary summary = train(experiment, dataset, &listener);
  EXPECT_EQ(summary.progress.skipped_updates, 2);  // one an epoch
  EXPECT_EQ(summary.stopped_by, "epochs");
  EXPECT_TRUE(std::isfinite(summary.test->loss));
  ASSERT_EQ(listener.notes.size(), 2u);
  EXPECT_THAT(listener.notes[0], AllOf(HasSubstr("step 2 skipped"), HasSubstr("37")));

  // The update that is left out leaves everything as it was, momentum too.
  Session session(experiment, dataset);
  std::int64_t step = 0;
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (std::int32_t first = 0; first < 300; first += 32) {
      ++step;
      if (first == 32) continue;
      std::vector<std::int32_t> ids = first_ids(std::min(32, 300 - first));
      for (std::int32_t& id : ids) id += first;
      (void)session.update(ids, step, experiment.optimizer.learning_rate);
    }
  }
  EXPECT_EQ(session.weights_sha256(), summary.weights_sha256);
}

TEST(Trainer, WritesMetricsThatReadBackExactly) {
  const TemporaryFolder folder;
  Listener listener;
  const TrainingSummary summary = train_in(
      folder / "run", small_experiment({"data.validation_split=0.1", "schedule.kind=cosine"}), 0,
      &listener);
  const auto steps = metrics_of_kind(folder / "run", "step");
  ASSERT_EQ(steps.size(), 18u);
  const Experiment experiment = RunFolder::open(folder / "run").experiment();
  const LearningRate rate(experiment, 9);
  for (std::size_t index = 0; index < steps.size(); ++index) {
    EXPECT_EQ(steps[index].at("step"), index + 1);
    EXPECT_EQ(steps[index].at("epoch"), index / 9 + 1);
    EXPECT_EQ(steps[index].at("samples"), index % 9 == 8 ? 14 : 32);
    EXPECT_EQ(steps[index].at("loss").get<double>(), listener.losses[index]);
    EXPECT_EQ(steps[index].at("learning_rate").get<double>(),
              rate.at(static_cast<std::int64_t>(index) + 1));
  }
  const auto epochs = metrics_of_kind(folder / "run", "epoch");
  ASSERT_EQ(epochs.size(), 2u);
  for (std::size_t index = 0; index < epochs.size(); ++index) {
    EXPECT_EQ(epochs[index].at("epoch"), index + 1);
    EXPECT_EQ(epochs[index].at("step"), 9 * (index + 1));
    EXPECT_EQ(epochs[index].at("train_loss").get<double>(), listener.train_losses[index]);
    EXPECT_EQ(epochs[index].at("validation_loss").get<double>(), listener.validations[index]->loss);
    EXPECT_GT(epochs[index].at("seconds").get<double>(), 0.0);
    EXPECT_GT(epochs[index].at("samples_per_second").get<double>(), 0.0);
  }
  EXPECT_EQ(summary.progress.train_loss, listener.train_losses.back());
}

TEST(Trainer, AveragesTheEpochOverItsSamples) {
  Listener listener;
  const Experiment experiment = small_experiment({"training.batch_size=128", "training.epochs=1"});
  (void)train(experiment, data_of(experiment), &listener);
  ASSERT_EQ(listener.losses.size(), 3u);
  const double mean =
      (128 * listener.losses[0] + 128 * listener.losses[1] + 44 * listener.losses[2]) / 300.0;
  EXPECT_TRUE(std::abs(listener.train_losses[0] - mean) <= 1e-12 * mean);
}

TEST(Trainer, WritesASummary) {
  const TemporaryFolder folder;
  const TrainingSummary summary =
      train_in(folder / "run", small_experiment({"data.validation_split=0.1"}));
  const auto json = nlohmann::json::parse(testing_support::text_of(folder / "run/summary.json"));
  EXPECT_EQ(json.at("test_loss").get<double>(), summary.test->loss);
  EXPECT_EQ(json.at("test_accuracy").get<double>(), summary.test->accuracy);
  EXPECT_EQ(json.at("validation_loss").get<double>(), summary.validation->loss);
  EXPECT_EQ(json.at("train_loss").get<double>(), summary.progress.train_loss);
  EXPECT_EQ(json.at("steps"), 18);
  EXPECT_EQ(json.at("epochs"), 2);
  EXPECT_EQ(json.at("weights_sha256"), summary.weights_sha256);
  EXPECT_EQ(json.at("planned_bytes"), json.at("peak_bytes"));
  EXPECT_EQ(json.at("device"), "cpu");
  EXPECT_EQ(json.at("precision"), "fp32");
  EXPECT_EQ(json.at("numerics"), "invariant");
  EXPECT_TRUE(json.at("best_epoch").is_null());
  EXPECT_GE(json.at("seconds").get<double>(), json.at("training_seconds").get<double>());
  EXPECT_FALSE(json.at("version").get<std::string>().empty());
}

TEST(Trainer, NullsWhatThereIsNot) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run", small_experiment({"data.test_samples=0", "training.epochs=0"}));
  const auto json = nlohmann::json::parse(testing_support::text_of(folder / "run/summary.json"));
  for (const char* key : {"test_loss", "test_accuracy", "validation_loss", "validation_accuracy",
                          "train_loss", "train_accuracy", "best_epoch"}) {
    EXPECT_TRUE(json.at(key).is_null()) << key;
  }
}

TEST(Trainer, ChecksPointsAsOftenAsAsked) {
  const TemporaryFolder folder;
  const Experiment experiment =
      small_experiment({"training.checkpoint_seconds=1e-9", "training.epochs=1"});
  EXPECT_THROW((void)train_in(folder / "run", experiment, 5), Interrupted);
  EXPECT_EQ(CheckpointStore(folder / "run/checkpoints").load_newest()->step, 5);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "run/checkpoints")) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  EXPECT_THAT(names, ElementsAre(HasSubstr("step-000000000004"), HasSubstr("step-000000000005")));
}

TEST(Trainer, WithoutCheckpointSecondsStillWritesAtTheEndOfAnEpoch) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run", small_experiment({"training.checkpoint_seconds=0"}));
  EXPECT_EQ(CheckpointStore(folder / "run/checkpoints").load_newest()->step, 20);
}

TEST(Trainer, AnInterruptionCarriesItsSignalAndLeavesACheckpoint) {
  const TemporaryFolder folder;
  try {
    (void)train_in(folder / "run", small_experiment(), 13);
    FAIL() << "not interrupted";
  } catch (const Interrupted& interrupted) {
    EXPECT_EQ(interrupted.signal, SIGINT);
    EXPECT_THAT(interrupted.what(), AllOf(HasSubstr("step 13"), HasSubstr("--resume")));
  }
  EXPECT_EQ(CheckpointStore(folder / "run/checkpoints").load_newest()->step, 13);
  EXPECT_FALSE(std::filesystem::exists(folder / "run/summary.json"));
}

TEST(NumericsLevels, AreThoseThatHold) {
  Experiment experiment = small_experiment();
  EXPECT_THAT(numerics_levels(experiment), ElementsAre(1, 2, 3, 4, 6));
  experiment.training.accumulation = Accumulation::sum;
  EXPECT_THAT(numerics_levels(experiment), ElementsAre(1, 2, 3, 6));
  experiment.numerics = Numerics::fast;
  EXPECT_THAT(numerics_levels(experiment), ElementsAre(1));
}

}  // namespace
}  // namespace batchwise
