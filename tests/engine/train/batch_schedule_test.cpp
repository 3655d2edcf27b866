// The batch that grows in mid-run: to which sizes and when, with which learning rate, and that a
// run which does so is two runs glued together, and resumes to the same bits.
#include "engine/train/batch_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/data/shuffle.h"
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
using testing_support::metrics_of_kind;
using testing_support::small_experiment;
using testing_support::text_of;
using testing_support::timeless_metrics_of;
using testing_support::train;
using testing_support::train_in;

using Settings = std::vector<std::string>;
using Sizes = std::vector<std::int64_t>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Settings with(Settings settings, const Settings& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

/// Steps after these epochs, of 300 samples in batches of 32 at first.
Settings growing(const std::string& at, const Settings& more = {}) {
  return with({"batch_schedule.kind=step", "batch_schedule.at=" + at}, more);
}

Sizes sizes_of(const Settings& settings, std::int64_t training_samples = 1000) {
  return planned_batch_sizes(small_experiment(settings), training_samples);
}

TEST(PlannedBatchSizes, StayWhereTheyAreWithoutASchedule) {
  EXPECT_THAT(sizes_of({}), ElementsAre(32));
  EXPECT_THAT(sizes_of({"training.batch_size=5000", "training.epochs=9"}), ElementsAre(5000));
}

TEST(PlannedBatchSizes, GrowByTheFactorAtEachStep) {
  EXPECT_THAT(sizes_of(growing("[1,3,4]", {"training.epochs=9"})), ElementsAre(32, 64, 128, 256));
  EXPECT_THAT(sizes_of(growing("[1,3]", {"training.epochs=9", "batch_schedule.factor=5"})),
              ElementsAre(32, 160, 800));
}

TEST(PlannedBatchSizes, StopAtTheLargest) {
  const Settings often = growing("[1,2,3,4]", {"training.epochs=9", "batch_schedule.factor=3"});
  EXPECT_THAT(sizes_of(with(often, {"batch_schedule.max_batch_size=100"})),
              ElementsAre(32, 96, 100));
  EXPECT_THAT(sizes_of(with(often, {"batch_schedule.max_batch_size=96"})), ElementsAre(32, 96));
  EXPECT_THAT(sizes_of(with(often, {"batch_schedule.max_batch_size=32"})), ElementsAre(32));
  EXPECT_THAT(sizes_of(often, 300), ElementsAre(32, 96, 288, 300));
  EXPECT_THAT(sizes_of(with(often, {"batch_schedule.max_batch_size=400"}), 300),
              ElementsAre(32, 96, 288, 300));
  EXPECT_THAT(sizes_of(often, 32), ElementsAre(32));
  EXPECT_THAT(sizes_of(often, 20), ElementsAre(32));  // larger than the training set already
  EXPECT_THAT(sizes_of(growing("[1]", {"batch_schedule.factor=2147483647"}), 300),
              ElementsAre(32, 300));
}

TEST(PlannedBatchSizes, LeaveOutWhatTheEpochsDoNotReach) {
  const auto with_epochs = [](const std::string& epochs) {
    return sizes_of(growing("[1,3]", {"training.epochs=" + epochs}));
  };
  EXPECT_THAT(with_epochs("0"), ElementsAre(32));
  EXPECT_THAT(with_epochs("1"), ElementsAre(32));
  EXPECT_THAT(with_epochs("2"), ElementsAre(32, 64));
  EXPECT_THAT(with_epochs("3"), ElementsAre(32, 64));
  EXPECT_THAT(with_epochs("4"), ElementsAre(32, 64, 128));
}

/// Grows after two epochs without improvement.
Settings plateau(const Settings& more = {}) {
  return with({"batch_schedule.kind=plateau", "data.validation_split=0.2"}, more);
}

TEST(PlannedBatchSizes, OnAPlateauGrowOnceInPatienceEpochs) {
  const auto with_epochs = [](const std::string& epochs) {
    return sizes_of(plateau({"training.epochs=" + epochs}), 100000);
  };
  EXPECT_THAT(with_epochs("2"), ElementsAre(32));
  EXPECT_THAT(with_epochs("3"), ElementsAre(32, 64));
  EXPECT_THAT(with_epochs("4"), ElementsAre(32, 64));
  EXPECT_THAT(with_epochs("7"), ElementsAre(32, 64, 128, 256));
  EXPECT_THAT(sizes_of(plateau({"training.epochs=100"}), 100), ElementsAre(32, 64, 100));
}

TEST(PlannedBatchSizes, RefuseALargestBelowTheFirst) {
  EXPECT_THAT(
      message_of([] { (void)sizes_of(growing("[1]", {"batch_schedule.max_batch_size=31"})); }),
      AllOf(HasSubstr("max_batch_size = 31"), HasSubstr("training.batch_size = 32")));
}

TEST(ScheduledBatchSize, FollowsTheSteps) {
  const BatchScheduleConfig schedule = small_experiment(growing("[1,3,6]")).batch_schedule;
  const Sizes sizes{32, 64, 100};  // the third step comes to nothing
  Sizes found;
  std::int64_t present = 32;
  for (int epochs_done = 0; epochs_done < 8; ++epochs_done) {
    present = scheduled_batch_size(schedule, sizes, present, epochs_done, {});
    found.push_back(present);
    EXPECT_EQ(scheduled_batch_size(schedule, sizes, present, epochs_done, {}), present);
  }
  EXPECT_THAT(found, ElementsAre(32, 64, 64, 100, 100, 100, 100, 100));
}

TEST(ScheduledBatchSize, GrowsOnAPlateauUntilTheLargest) {
  const BatchScheduleConfig schedule = small_experiment(plateau()).batch_schedule;
  const auto after = [&](std::int64_t present, std::int64_t epochs) {
    return scheduled_batch_size(schedule, Sizes{32, 64, 100}, present, 9,
                                {.best_loss = 1.0, .epochs_since_best = epochs});
  };
  EXPECT_EQ(after(32, 0), 32);
  EXPECT_EQ(after(32, 1), 32);
  EXPECT_EQ(after(32, 2), 64);
  EXPECT_EQ(after(64, 2), 100);
  EXPECT_EQ(after(100, 2), 100);
  EXPECT_EQ(after(100, 20), 100);
}

TEST(Plateau, CountsEpochsThatDoNotImproveByEnough) {
  Plateau plateau;
  const auto count_after = [&](double loss) {
    plateau.note(loss, 0.125);
    return plateau.epochs_since_best;
  };
  EXPECT_EQ(count_after(kNan), 1);  // before any loss, too
  EXPECT_EQ(count_after(2.0), 0);
  EXPECT_EQ(count_after(2.0), 1);
  EXPECT_EQ(count_after(1.875), 2);  // by min_delta exactly: not enough
  EXPECT_EQ(count_after(1.9), 3);
  EXPECT_EQ(count_after(1.75), 0);
  EXPECT_EQ(plateau.best_loss, 1.75);
  EXPECT_EQ(count_after(kNan), 1);
  EXPECT_EQ(plateau.best_loss, 1.75);
}

/// Ten steps an epoch up to the second, then five.
LearningRate rate_after_two_epochs(Settings settings) {
  settings.emplace_back("optimizer.learning_rate=0.1");
  settings.emplace_back("training.batch_size=64");
  return {small_experiment(settings), 5, {.steps = 20, .epochs = 2}};
}

void expect_near(double found, double expected) {
  EXPECT_TRUE(std::abs(found - expected) <= 1e-12) << found << " instead of " << expected;
}

TEST(LearningRateAcrossAChange, ScalesThePeakToTheNewBatch) {
  EXPECT_EQ(rate_after_two_epochs({}).peak(), 0.1);  // none: growing takes the place of lowering
  EXPECT_EQ(rate_after_two_epochs({}).at(21), 0.1);
  expect_near(rate_after_two_epochs({"optimizer.learning_rate_scaling=linear"}).peak(), 0.2);
  expect_near(rate_after_two_epochs({"optimizer.learning_rate_scaling=sqrt"}).at(21),
              0.1 * std::sqrt(2.0));
}

TEST(LearningRateAcrossAChange, TheScheduleGoesOnInEpochs) {
  const LearningRate steps = rate_after_two_epochs(
      {"schedule.kind=step", "schedule.at=[2.4, 4.0]", "schedule.factor=0.5"});
  EXPECT_EQ(steps.at(21), 0.1);   // 2 epochs done
  EXPECT_EQ(steps.at(22), 0.1);   // 2.2
  EXPECT_EQ(steps.at(23), 0.05);  // 2.4
  EXPECT_EQ(steps.at(30), 0.05);  // 3.8
  EXPECT_EQ(steps.at(31), 0.025);
  const LearningRate cosine = rate_after_two_epochs({"schedule.kind=cosine", "training.epochs=4"});
  expect_near(cosine.at(21), 0.05);  // half way
  // 3 of 4 epochs: (1 + cos 135 degrees) / 2.
  expect_near(cosine.at(26), 0.1 * (0.5 - std::sqrt(0.125)));
  expect_near(cosine.at(31), 0.0);
}

TEST(LearningRateAcrossAChange, WarmUpIsContinuousInEpochs) {
  const Settings warmup{"schedule.warmup_epochs=4.0", "optimizer.learning_rate=0.1"};
  const LearningRate before(small_experiment(warmup), 10);
  const LearningRate after = rate_after_two_epochs({"schedule.warmup_epochs=4.0"});
  expect_near(before.at(20), 0.05);  // 2 of 4 epochs with this update
  expect_near(after.at(21), 0.055);  // 2.2
  expect_near(after.at(26), 0.08);   // 3.2
  expect_near(after.at(30), 0.1);
  EXPECT_EQ(after.at(31), 0.1);
}

TEST(LearningRateAcrossAChange, WithTheSameStepsChangesNoBit) {
  for (const std::string kind : {"constant", "cosine", "one_cycle"}) {
    const Experiment experiment = small_experiment(
        {"schedule.kind=" + kind, "schedule.warmup_epochs=3.0", "training.epochs=7"});
    const LearningRate whole(experiment, 8);
    const LearningRate later(experiment, 8, {.steps = 16, .epochs = 2});
    for (std::int64_t step = 17; step <= 56; ++step) EXPECT_EQ(later.at(step), whole.at(step));
  }
}

/// With BatchNorm, dropout and state of the optimizer: all that a change must carry over.
const std::string kEverything =
    R"({ type = "dense", units = 16 }, { type = "batchnorm", group = 4 },
       { type = "activation", activation = "relu" }, { type = "dropout", rate = 0.2 },
       { type = "dense", units = 4 })";

std::vector<std::int64_t> samples_of_steps(const std::filesystem::path& folder) {
  std::vector<std::int64_t> samples;
  for (const auto& line : metrics_of_kind(folder, "step")) {
    samples.push_back(line.at("samples").get<std::int64_t>());
  }
  return samples;
}

TEST(BatchSchedule, ChangesBetweenEpochsAndSaysSo) {
  const TemporaryFolder folder;
  Listener listener;
  const TrainingSummary summary =
      train_in(folder / "run",
               small_experiment(growing("[1,2]", {"training.batch_size=100", "training.epochs=4",
                                                  "optimizer.learning_rate_scaling=linear",
                                                  "optimizer.reference_batch_size=100",
                                                  "optimizer.learning_rate=0.01"})),
               0, &listener);
  EXPECT_THAT(samples_of_steps(folder / "run"), ElementsAre(100, 100, 100, 200, 100, 300, 300));
  const auto changes = metrics_of_kind(folder / "run", "batch_size");
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].at("epoch"), 2);
  EXPECT_EQ(changes[0].at("step"), 3);
  EXPECT_EQ(changes[0].at("batch_size"), 200);
  EXPECT_EQ(changes[0].at("micro_batch_size"), 200);
  EXPECT_EQ(changes[0].at("learning_rate"), 0.02);
  EXPECT_GT(changes[0].at("planned_bytes"), 0);
  EXPECT_EQ(changes[1].at("epoch"), 3);
  EXPECT_EQ(changes[1].at("step"), 5);
  EXPECT_EQ(changes[1].at("batch_size"), 300);
  const auto steps = metrics_of_kind(folder / "run", "step");
  EXPECT_EQ(steps[2].at("learning_rate"), 0.01);
  EXPECT_EQ(steps[3].at("learning_rate"), 0.02);
  EXPECT_EQ(steps[6].at("learning_rate"), 0.03);
  ASSERT_EQ(listener.notes.size(), 2u);
  EXPECT_THAT(listener.notes[0], HasSubstr("epoch 2: batch 100 -> 200 in passes of 200, learning "
                                           "rate 0.02, planned "));
  EXPECT_EQ(summary.progress.batch_size, 300);
}

TEST(BatchSchedule, TheLearningRateFollowsTheEpochsOfARun) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run", small_experiment(growing(
                                     "[2]", {"training.batch_size=100", "training.epochs=4",
                                             "optimizer.learning_rate=0.01", "schedule.kind=step",
                                             "schedule.at=[1,3]", "schedule.factor=0.5"})));
  std::vector<double> rates;
  for (const auto& line : metrics_of_kind(folder / "run", "step")) {
    rates.push_back(line.at("learning_rate").get<double>());
  }
  EXPECT_THAT(rates, ElementsAre(0.01, 0.01, 0.01, 0.005, 0.005, 0.005,  // three steps an epoch
                                 0.005, 0.005, 0.0025, 0.0025));         // two
}

TEST(BatchSchedule, TheSummaryHasTheFirstBatchAndTheLast) {
  const TemporaryFolder folder;
  const auto summary_with = [&](const std::string& name, const Settings& settings) {
    (void)train_in(folder / name, small_experiment(settings));
    return nlohmann::json::parse(text_of(folder / name / "summary.json"));
  };
  const auto grown = summary_with(
      "grown", growing("[1]", {"training.epochs=2", "optimizer.learning_rate_scaling=linear",
                               "optimizer.learning_rate=0.01"}));
  EXPECT_EQ(grown.at("batch_size"), 32);
  EXPECT_EQ(grown.at("micro_batch_size"), 32);
  EXPECT_EQ(grown.at("final_batch_size"), 64);
  EXPECT_EQ(grown.at("learning_rate"), 0.01);
  EXPECT_EQ(grown.at("steps"), 10 + 5);
  EXPECT_EQ(summary_with("constant", {}).at("final_batch_size"), 32);
}

TEST(BatchSchedule, MicroBatchesThatAreGivenStay) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run",
                 small_experiment(growing("[1]", {"training.micro_batch_size=16"})));
  EXPECT_EQ(metrics_of_kind(folder / "run", "batch_size").at(0).at("micro_batch_size"), 16);
}

TEST(BatchSchedule, IsTheSameHoweverTheBatchIsSplit) {
  const auto sha = [](const std::string& micro_batch) {
    return train(
               small_experiment(growing("[1,2]", {"training.epochs=3", micro_batch}), kEverything))
        .weights_sha256;
  };
  EXPECT_EQ(sha("training.micro_batch_size=8"), sha("training.micro_batch_size=0"));
}

TEST(BatchSchedule, WithDropLastEveryEpochHasAStep) {
  const TemporaryFolder folder;
  (void)train_in(folder / "run",
                 small_experiment(growing(
                     "[1,2]", {"training.batch_size=200", "training.epochs=3",
                               "batch_schedule.max_batch_size=1000", "data.drop_last=true"})));
  EXPECT_THAT(samples_of_steps(folder / "run"), ElementsAre(200, 300, 300));
}

/// Trains epochs [first, last] by hand, with whole batches of `batch`; returns the steps done.
std::int64_t train_epochs(Session& session, std::int64_t first, std::int64_t last,
                          std::int64_t batch, std::int64_t step) {
  std::vector<std::int32_t> order(300);
  for (std::int64_t epoch = first; epoch <= last; ++epoch) {
    epoch_order(session.experiment().seed, epoch, order);
    for (std::int64_t done = 0; done < 300; done += batch) {
      const auto ids = std::span<const std::int32_t>(order).subspan(
          static_cast<std::size_t>(done), static_cast<std::size_t>(std::min(batch, 300 - done)));
      (void)session.update(ids, ++step, session.experiment().optimizer.learning_rate);
    }
  }
  return step;
}

// Two sessions of one batch size each, the second with the weights and optimizer state of the
// first: what a change in mid-run has to equal, whatever it does with memory.
TEST(BatchSchedule, EqualsTwoRunsGluedByHand) {
  for (const char* optimizer : {"sgd", "adam"}) {
    const Settings settings = {"training.epochs=4", "optimizer.name=" + std::string(optimizer)};
    Experiment experiment = small_experiment(settings, kEverything);
    Session before(experiment, data_of(experiment));
    const std::int64_t step = train_epochs(before, 1, 2, 32, 0);
    experiment.training.batch_size = 64;
    Session after(experiment, data_of(experiment));
    upload_tensors(after.weights(), download_tensors(before.weights()), "before");
    for (int slot = 0; slot < before.optimizer_slots(); ++slot) {
      upload_tensors(after.optimizer_slot(slot), download_tensors(before.optimizer_slot(slot)),
                     "before");
    }
    (void)train_epochs(after, 3, 4, 64, step);

    const Experiment scheduled = small_experiment(growing("[2]", settings), kEverything);
    EXPECT_EQ(train(scheduled).weights_sha256, after.weights_sha256()) << optimizer;
  }
}

TEST(BatchSchedule, OnAPlateauGrowsAfterItsPatience) {
  // At a rate of 0 no epoch improves on the first.
  const TemporaryFolder folder;
  (void)train_in(folder / "run",
                 small_experiment(plateau({"optimizer.learning_rate=0.0", "training.epochs=9",
                                           "batch_schedule.max_batch_size=128"})));
  std::vector<std::pair<int, int>> changes;
  for (const auto& line : metrics_of_kind(folder / "run", "batch_size")) {
    changes.emplace_back(line.at("epoch").get<int>(), line.at("batch_size").get<int>());
  }
  // Epoch 1 is the best; 2 and 3 are not, then 4 and 5 with the larger batch.
  EXPECT_THAT(changes, ElementsAre(std::pair(4, 64), std::pair(6, 128)));
}

TEST(BatchSchedule, APlateauCountsEpochsNotValidations) {
  const auto weights = [](const Settings& more) {
    return train(small_experiment(
                     plateau(with(more, {"training.epochs=8", "optimizer.learning_rate=0.05"}))))
        .weights_sha256;
  };
  EXPECT_EQ(weights({"training.validate_every_steps=1"}), weights({}));
}

TEST(BatchSchedule, APlateauNeedsValidationSamples) {
  EXPECT_THAT(message_of([] { (void)small_experiment({"batch_schedule.kind=plateau"}); }),
              AllOf(HasSubstr("batch_schedule"), HasSubstr("data.validation_split")));
  // So small a share that it rounds to none.
  const Experiment experiment =
      small_experiment({"batch_schedule.kind=plateau", "data.validation_split=1e-17"});
  Session session(experiment, data_of(experiment));
  EXPECT_THAT(message_of([&] { Trainer(session, nullptr); }), HasSubstr("no validation samples"));
}

TEST(BatchSchedule, ARunThatEndsBeforeAChangeHasNotChanged) {
  const TrainingSummary summary =
      train(small_experiment(growing("[1]", {"training.epochs=2", "training.max_steps=10"})));
  EXPECT_EQ(summary.stopped_by, "max_steps");
  EXPECT_EQ(summary.progress.batch_size, 0);
}

/// summary.json without what is measured.
nlohmann::json timeless_summary_of(const std::filesystem::path& folder) {
  auto summary = nlohmann::json::parse(text_of(folder / "summary.json"));
  for (const char* key : {"seconds", "training_seconds", "samples_per_second"}) summary.erase(key);
  return summary;
}

/// Runs once through, and once for each list of steps, interrupted after these; all must agree.
void expect_same_when_interrupted(const Experiment& experiment, const std::vector<Sizes>& runs) {
  const TemporaryFolder folder;
  (void)train_in(folder / "whole", experiment);
  ASSERT_EQ(metrics_of_kind(folder / "whole", "batch_size").size(), 2u);
  for (const Sizes& stops : runs) {
    SCOPED_TRACE(stops.front());
    const std::filesystem::path parts = folder / std::to_string(stops.front());
    for (const std::int64_t stop : stops) {
      EXPECT_THROW((void)train_in(parts, experiment, stop), Interrupted) << stop;
    }
    (void)train_in(parts, experiment);
    EXPECT_EQ(timeless_metrics_of(parts), timeless_metrics_of(folder / "whole"));
    EXPECT_EQ(timeless_summary_of(parts), timeless_summary_of(folder / "whole"));
  }
}

TEST(BatchSchedule, ResumesBeforeAtAndAfterAChange) {
  // Epochs end after 10 and 20 steps of 32, after 25 and 30 of 64, after 33 of 128.
  const Experiment experiment = small_experiment(
      growing("[2,4]", {"training.epochs=5", "optimizer.learning_rate_scaling=sqrt",
                        "schedule.kind=cosine", "schedule.warmup_epochs=2.5"}),
      kEverything);
  expect_same_when_interrupted(experiment, {{19, 20, 21, 25, 30, 31}, {3}, {20}, {27}, {30}, {33}});
}

TEST(BatchSchedule, ResumesOnAPlateau) {
  // 240 samples; at a rate of 0 no epoch improves on the first. Epochs of 8 steps up to 24, of 4 up
  // to 32, of 2 then.
  const Experiment experiment =
      small_experiment(plateau({"optimizer.learning_rate=0.0", "training.epochs=7"}), kEverything);
  expect_same_when_interrupted(experiment, {{12}, {16, 24, 25}, {23}, {28}, {32}, {34}});
}

TEST(BatchSchedule, ContinuesWhereALimitStoppedItJustBeforeAChange) {
  const TemporaryFolder folder;
  const Settings settings = growing("[1,2]", {"training.epochs=3"});
  const Experiment unlimited = small_experiment(settings);
  const TrainingSummary whole = train_in(folder / "whole", unlimited);
  for (const char* limit :
       {"training.max_steps=10", "training.max_steps=13", "training.max_steps=15"}) {
    (void)train_in(folder / "parts", small_experiment(with(settings, {limit})));
  }
  EXPECT_EQ(train_in(folder / "parts", unlimited).weights_sha256, whole.weights_sha256);
  EXPECT_EQ(timeless_metrics_of(folder / "parts"), timeless_metrics_of(folder / "whole"));
}

TEST(BatchSchedule, MoreEpochsReachALaterChange) {
  const TemporaryFolder folder;
  const auto experiment = [](const std::string& epochs) {
    return small_experiment(growing("[1,2]", {"training.epochs=" + epochs}));
  };
  (void)train_in(folder / "parts", experiment("2"));
  EXPECT_EQ(train_in(folder / "parts", experiment("4")).weights_sha256,
            train_in(folder / "whole", experiment("4")).weights_sha256);
  EXPECT_EQ(metrics_of_kind(folder / "parts", "batch_size").size(), 2u);
}

TEST(BatchSchedule, AfterAnUpdateThatIsNotFiniteItHasChangedOnce) {
  // The first update with the larger batch is refused; its checkpoint is of the same step as the
  // one at the epoch's end, and says that the batch has grown.
  const TemporaryFolder folder;
  const Experiment experiment =
      small_experiment(growing("[1]", {"training.epochs=2", "data.shuffle=false"}));
  Dataset dataset = data_of(experiment);
  testing_support::set_feature(dataset.train, 0, 0, std::numeric_limits<float>::infinity());
  Session healthy(experiment, data_of(experiment));
  const RunFolder run = RunFolder::create(folder / "run", healthy.experiment(), {}, false);
  Listener listener;
  Trainer first(healthy, &run, {.observer = &listener, .interrupted = [&] {
                                  return listener.step == 10 ? SIGINT : 0;
                                }});
  EXPECT_THROW((void)first.run(), Interrupted);
  for (int attempt = 0; attempt < 2; ++attempt) {
    Session damaged(experiment, dataset);
    Trainer second(damaged, &run);
    second.restore();
    EXPECT_THAT(message_of<RunError>([&] { (void)second.run(); }), HasSubstr("step 11, epoch 2"));
    EXPECT_EQ(metrics_of_kind(folder / "run", "batch_size").size(), 1u);
  }
  EXPECT_EQ(train_in(folder / "run", experiment).weights_sha256, train(experiment).weights_sha256);
}

}  // namespace
}  // namespace batchwise
