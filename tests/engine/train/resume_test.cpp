// A run that is stopped and resumed ends with the bits of one that never stopped.
#include "engine/train/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::data_of;
using testing_support::Listener;
using testing_support::message_of;
using testing_support::small_experiment;
using testing_support::text_of;
using testing_support::timeless_metrics_of;
using testing_support::train_in;

namespace fs = std::filesystem;

const std::string kEverything =
    R"({ type = "dense", units = 16 }, { type = "batchnorm", group = 8 },
       { type = "activation", activation = "relu" }, { type = "dropout", rate = 0.2 },
       { type = "dense", units = 4 })";

/// summary.json without what is measured.
nlohmann::json timeless_summary_of(const fs::path& folder) {
  auto summary = nlohmann::json::parse(text_of(folder / "summary.json"));
  for (const char* key : {"seconds", "training_seconds", "samples_per_second"}) summary.erase(key);
  return summary;
}

/// Runs once through, and once interrupted after each of the given steps; both must agree.
void expect_same_when_interrupted(const Experiment& experiment,
                                  const std::vector<std::int64_t>& stops) {
  const TemporaryFolder folder;
  const TrainingSummary whole = train_in(folder / "whole", experiment);
  for (const std::int64_t stop : stops) {
    EXPECT_THROW((void)train_in(folder / "parts", experiment, stop), Interrupted) << stop;
  }
  const TrainingSummary parts = train_in(folder / "parts", experiment);
  EXPECT_EQ(parts.weights_sha256, whole.weights_sha256);
  EXPECT_EQ(parts.stopped_by, whole.stopped_by);
  EXPECT_EQ(timeless_metrics_of(folder / "parts"), timeless_metrics_of(folder / "whole"));
  EXPECT_EQ(timeless_summary_of(folder / "parts"), timeless_summary_of(folder / "whole"));
  EXPECT_EQ(text_of(folder / "parts/weights.safetensors"),
            text_of(folder / "whole/weights.safetensors"));
}

TEST(Resume, InMidEpochAndAtItsEnds) {
  expect_same_when_interrupted(
      small_experiment({"data.validation_split=0.1", "training.epochs=3"}, kEverything),
      {1, 5, 9, 10, 26});  // epochs end after 9, 18 and 27
}

TEST(Resume, WithEveryOptimizer) {
  for (const std::vector<std::string>& optimizer :
       {std::vector<std::string>{"optimizer.name=sgd"},
        {"optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"},
        {"optimizer.name=adam"},
        {"optimizer.name=adamw", "optimizer.weight_decay=0.1"},
        {"optimizer.name=rmsprop"},
        {"optimizer.name=rmsprop", "optimizer.momentum=0.9"}}) {
    SCOPED_TRACE(optimizer.front());
    expect_same_when_interrupted(small_experiment(optimizer, kEverything), {7, 13});
  }
}

TEST(Resume, WithAScheduleAndMicroBatches) {
  expect_same_when_interrupted(
      small_experiment({"schedule.kind=one_cycle", "training.micro_batch_size=8"}, kEverything),
      {3, 14});
}

/// Overfits and stops early, at a step that interruptions come before and after the best of.
Experiment overfitting(std::vector<std::string> settings = {}) {
  for (const char* setting :
       {"data.name=random", "data.samples=120", "data.validation_split=0.3", "data.test_samples=0",
        "optimizer.learning_rate=0.02", "training.batch_size=8", "training.epochs=40",
        "training.early_stopping={patience=3}"}) {
    settings.emplace_back(setting);
  }
  return small_experiment(settings);
}

TEST(Resume, WithEarlyStopping) {
  Listener listener;
  const TemporaryFolder folder;
  const TrainingSummary whole = train_in(folder / "probe", overfitting(), 0, &listener);
  const std::int64_t best = whole.progress.early_stopping.best_step;
  ASSERT_EQ(whole.stopped_by, "early_stopping");
  // Epochs are of 11 steps (84 samples): inside the best epoch, at its last step, after it.
  expect_same_when_interrupted(overfitting(), {best - 3, best, best + 2, whole.progress.step - 1});
}

TEST(Resume, WithEarlyStoppingInsideEpochs) {
  // Each epoch ends with a step that has been validated already: it must count once, also when the
  // run is resumed between the two, and there the more so where it was no improvement.
  const Experiment experiment = overfitting({"training.validate_every_steps=11"});
  const TrainingSummary whole = testing_support::train(experiment);
  ASSERT_EQ(whole.stopped_by, "early_stopping");
  EXPECT_EQ(whole.progress.step, testing_support::train(overfitting()).progress.step);
  expect_same_when_interrupted(experiment, {5, 11, whole.progress.step - 11});
}

TEST(Resume, AfterAnUpdateThatWasSkipped) {
  const Experiment experiment = small_experiment(
      {"optimizer.learning_rate=1e30", "optimizer.name=sgd", "training.on_nonfinite=skip"});
  const TemporaryFolder folder;
  const TrainingSummary whole = train_in(folder / "whole", experiment);
  ASSERT_GT(whole.progress.skipped_updates, 0);
  expect_same_when_interrupted(experiment, {12});
}

TEST(Resume, AfterAStepLimitThatIsRaised) {
  const TemporaryFolder folder;
  Experiment limited = small_experiment({"data.validation_split=0.1"}, kEverything);
  Experiment unlimited = limited;
  limited.training.max_steps = 5;
  EXPECT_EQ(train_in(folder / "parts", limited).stopped_by, "max_steps");
  EXPECT_TRUE(fs::exists(folder / "parts/summary.json"));
  limited.training.max_steps = 14;
  EXPECT_EQ(train_in(folder / "parts", limited).progress.step, 14);
  const TrainingSummary parts = train_in(folder / "parts", unlimited);
  const TrainingSummary whole = train_in(folder / "whole", unlimited);
  EXPECT_EQ(parts.weights_sha256, whole.weights_sha256);
  EXPECT_EQ(timeless_metrics_of(folder / "parts"), timeless_metrics_of(folder / "whole"));
}

TEST(Resume, WithMoreEpochs) {
  const TemporaryFolder folder;
  EXPECT_EQ(train_in(folder / "parts", small_experiment({"training.epochs=1"})).progress.step, 10);
  const Experiment longer = small_experiment({"training.epochs=3"});
  const TrainingSummary parts = train_in(folder / "parts", longer);
  EXPECT_EQ(parts.weights_sha256, train_in(folder / "whole", longer).weights_sha256);
  EXPECT_EQ(timeless_metrics_of(folder / "parts"), timeless_metrics_of(folder / "whole"));
}

TEST(Resume, OfAFinishedRunChangesNothing) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment({"data.validation_split=0.1"});
  (void)train_in(folder / "run", experiment);
  const auto summary = timeless_summary_of(folder / "run");
  const std::string metrics = text_of(folder / "run/metrics.jsonl");
  const std::string weights = text_of(folder / "run/weights.safetensors");
  (void)train_in(folder / "run", experiment);
  EXPECT_EQ(timeless_summary_of(folder / "run"), summary);
  EXPECT_EQ(text_of(folder / "run/metrics.jsonl"), metrics);
  EXPECT_EQ(text_of(folder / "run/weights.safetensors"), weights);
}

TEST(Resume, StartsFromTheBeginningWithoutACheckpoint) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment();
  const Session session(experiment, data_of(experiment));
  (void)RunFolder::create(folder / "run", session.experiment(), {}, false);
  EXPECT_EQ(train_in(folder / "run", experiment).weights_sha256,
            train_in(folder / "whole", experiment).weights_sha256);
}

std::vector<fs::path> checkpoints_in(const fs::path& run) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Resume, UsesTheCheckpointBeforeADamagedOne) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment({"training.checkpoint_seconds=1e-9"}, kEverything);
  EXPECT_THROW((void)train_in(folder / "run", experiment, 15), Interrupted);
  const std::vector<fs::path> files = checkpoints_in(folder / "run");
  ASSERT_EQ(files.size(), 2u);
  std::string bytes = text_of(files[1]);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  std::ofstream(files[1], std::ios::binary) << bytes;

  Listener listener;
  const TrainingSummary parts = train_in(folder / "run", experiment, 0, &listener);
  ASSERT_EQ(listener.notes.size(), 1u);
  EXPECT_THAT(listener.notes[0], AllOf(HasSubstr(files[1].string()), HasSubstr("damaged")));
  EXPECT_EQ(listener.losses.size(), 20u - 14u);
  EXPECT_EQ(parts.weights_sha256, train_in(folder / "whole", experiment).weights_sha256);
  EXPECT_EQ(timeless_metrics_of(folder / "run"), timeless_metrics_of(folder / "whole"));
}

TEST(Resume, RefusesWhenEveryCheckpointIsDamaged) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment({"training.checkpoint_seconds=1e-9"});
  EXPECT_THROW((void)train_in(folder / "run", experiment, 15), Interrupted);
  for (const fs::path& file : checkpoints_in(folder / "run")) fs::resize_file(file, 100);
  EXPECT_THAT(message_of([&] { (void)train_in(folder / "run", experiment); }),
              HasSubstr("no checkpoint"));
}

TEST(Resume, RefusesMetricsShorterThanTheCheckpointSays) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment();
  EXPECT_THROW((void)train_in(folder / "run", experiment, 15), Interrupted);
  fs::resize_file(folder / "run/metrics.jsonl", 10);
  EXPECT_THAT(message_of([&] { (void)train_in(folder / "run", experiment); }),
              HasSubstr("metrics.jsonl"));
}

TEST(CheckResumeChanges, AllowsWhatAltersNoNumber) {
  const Experiment recorded = small_experiment({"training.max_steps=10"});
  Experiment asked = recorded;
  asked.training.epochs += 5;
  asked.training.max_steps = 0;
  asked.training.checkpoint_seconds = 1.0;
  asked.device = "cpu";
  EXPECT_NO_THROW(check_resume_changes(recorded, asked));
  asked.training.max_steps = 11;
  EXPECT_NO_THROW(check_resume_changes(recorded, asked));
}

TEST(CheckResumeChanges, RefusesALowerLimit) {
  const Experiment recorded =
      small_experiment({"training.max_steps=10", "training.max_seconds=60.0"});
  const auto refusal = [&](auto&& change) {
    Experiment asked = recorded;
    change(asked.training);
    return message_of([&] { check_resume_changes(recorded, asked); });
  };
  EXPECT_THAT(refusal([](TrainingConfig& t) { t.epochs = 1; }),
              AllOf(HasSubstr("epochs = 1"), HasSubstr("2"), HasSubstr("only be raised")));
  EXPECT_THAT(refusal([](TrainingConfig& t) { t.max_steps = 9; }), HasSubstr("max_steps = 9"));
  EXPECT_THAT(refusal([](TrainingConfig& t) { t.max_seconds = 1; }), HasSubstr("max_seconds"));
  const Experiment unlimited = small_experiment();
  Experiment limited = unlimited;
  limited.training.max_steps = 1000000;
  EXPECT_THAT(message_of([&] { check_resume_changes(unlimited, limited); }),
              HasSubstr("unlimited"));
}

TEST(CheckResumeChanges, RefusesWhatWouldAlterTheNumbers) {
  const Experiment recorded = small_experiment();
  struct Change {
    const char* names;
    std::vector<std::string> settings;
  };
  for (const Change& change :
       {Change{"seed", {"seed=1"}}, Change{"batch_size", {"training.batch_size=16"}},
        Change{"learning_rate", {"optimizer.learning_rate=0.5"}},
        Change{"name", {"optimizer.name=sgd"}}, Change{"shuffle", {"data.shuffle=false"}},
        Change{"samples", {"data.samples=301"}}, Change{"kind", {"schedule.kind=cosine"}},
        Change{"kind", {"batch_schedule.kind=step", "batch_schedule.at=[1]"}},
        Change{"accumulation", {"training.accumulation=sum"}},
        Change{"validate_every_steps", {"training.validate_every_steps=3"}},
        Change{"units", {"model.layers.0.units=17"}}}) {
    const Experiment asked = small_experiment(change.settings);
    EXPECT_THAT(message_of([&] { check_resume_changes(recorded, asked); }),
                AllOf(HasSubstr("--resume"), HasSubstr(change.names), HasSubstr("asked was")))
        << change.settings.front();
  }
  const Experiment deeper = small_experiment({}, kEverything);
  EXPECT_THAT(message_of([&] { check_resume_changes(recorded, deeper); }), HasSubstr("--resume"));
}

TEST(ResumeChanges, OfMemoryAloneAreFreeWhereTheyChangeNoBits) {
  const TemporaryFolder folder;
  const Experiment recorded = small_experiment({});
  Experiment asked = recorded;
  asked.training.micro_batch_size = 8;
  asked.training.checkpoint.names = {"dense_1"};
  asked.training.offload_activations = true;
  asked.training.memory_budget = {1 << 20};
  check_resume_changes(recorded, asked);
  EXPECT_THROW((void)train_in(folder / "run", recorded, 5), Interrupted);
  EXPECT_EQ(train_in(folder / "run", asked).weights_sha256,
            train_in(folder / "whole", recorded).weights_sha256);

  Experiment summed = recorded;
  summed.training.accumulation = Accumulation::sum;
  Experiment cut = summed;
  cut.training.micro_batch_size = 8;
  EXPECT_THAT(message_of([&] { check_resume_changes(summed, cut); }),
              HasSubstr("micro_batch_size = 8"));
}

}  // namespace
}  // namespace batchwise
