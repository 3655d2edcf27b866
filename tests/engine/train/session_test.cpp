// A session: how data is split, what is refused before any memory is taken, and what an update is.
#include "engine/train/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/train/train_support.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::data_of;
using testing_support::first_ids;
using testing_support::message_of;
using testing_support::small_experiment;

std::string refusal(const Experiment& experiment, const Dataset& dataset) {
  return message_of([&] { const Session session(experiment, dataset); });
}

TEST(TrainingPart, IsTheFloorOfWhatIsLeft) {
  EXPECT_EQ(training_part(100, 0.0), 100);
  EXPECT_EQ(training_part(100, 0.2), 80);
  EXPECT_EQ(training_part(101, 0.5), 50);
  EXPECT_EQ(training_part(10, 0.99), 0);
  EXPECT_EQ(training_part(60000, 0.1), 54000);
}

TEST(Session, KeepsTheFirstSamplesForTraining) {
  const Experiment experiment = small_experiment({"data.validation_split=0.1"});
  const Session session(experiment, data_of(experiment));
  EXPECT_EQ(session.training_samples(), 270);
  EXPECT_EQ(session.validation_samples(), 30);
  EXPECT_EQ(session.test_samples(), 60);
  EXPECT_EQ(session.steps_per_epoch(), 9);  // 8 x 32 + 14
}

TEST(Session, ValidatesTheLastSamplesAlone) {
  // Swapping the labels of the validation part changes the validation and nothing else.
  const Experiment experiment = small_experiment({"data.validation_split=0.1"});
  Dataset dataset = data_of(experiment);
  Session before(experiment, dataset);
  for (std::size_t sample = 270; sample < 300; ++sample) {
    dataset.train.labels[sample] = (dataset.train.labels[sample] + 1) % 4;
  }
  Session after(experiment, dataset);
  EXPECT_NE(before.evaluate_validation()->loss, after.evaluate_validation()->loss);
  EXPECT_EQ(before.evaluate_test()->loss, after.evaluate_test()->loss);
  const std::vector<std::int32_t> ids = first_ids(32);
  (void)before.update(ids, 1, 0.01);
  (void)after.update(ids, 1, 0.01);
  EXPECT_EQ(before.weights_sha256(), after.weights_sha256());
}

TEST(Session, WithoutValidationOrTestHasNoneToGive) {
  const Experiment experiment = small_experiment({"data.test_samples=0"});
  Session session(experiment, data_of(experiment));
  EXPECT_FALSE(session.evaluate_validation());
  EXPECT_FALSE(session.evaluate_test());
}

TEST(Session, CountsStepsAndMicroBatches) {
  const auto steps = [](const std::vector<std::string>& settings) {
    const Experiment experiment = small_experiment(settings);
    return Session(experiment, data_of(experiment)).steps_per_epoch();
  };
  EXPECT_EQ(steps({}), 10);
  EXPECT_EQ(steps({"data.drop_last=true"}), 9);
  EXPECT_EQ(steps({"training.batch_size=300"}), 1);
  EXPECT_EQ(steps({"training.batch_size=1000"}), 1);
  const Experiment split = small_experiment({"training.micro_batch_size=10"});
  const Session session(split, data_of(split));
  EXPECT_EQ(session.micro_batches(32), 4);
  EXPECT_EQ(session.micro_batches(30), 3);
  EXPECT_EQ(session.micro_batches(1), 1);
}

TEST(Session, ResolvesTheAutomaticBatchToTheTrainingSet) {
  const Experiment experiment =
      small_experiment({"training.batch_size=auto", "data.validation_split=0.1"});
  const Session session(experiment, data_of(experiment));
  EXPECT_EQ(session.experiment().training.batch_size, 270);
  EXPECT_EQ(session.micro_batch_size(), 270);
}

TEST(Session, TheAutomaticBatchSuitsBatchNorm) {
  // Every size in between is tried on the way; many leave a last batch of one sample.
  const std::string layers =
      R"({ type = "batchnorm" }, { type = "dense", units = 4, activation = "relu" }, )"
      R"({ type = "dense", units = 4 })";
  const Experiment whole = small_experiment({"training.batch_size=auto"}, layers);
  EXPECT_EQ(Session(whole, data_of(whole)).experiment().training.batch_size, 300);
  const std::string ghost = R"({ type = "batchnorm", group = 299 }, { type = "dense", units = 4 })";
  const Experiment groups = small_experiment({"training.batch_size=auto"}, ghost);
  // 300 would leave a group of one; so would 299 with its last batch of one sample.
  EXPECT_EQ(Session(groups, data_of(groups)).experiment().training.batch_size, 298);
}

TEST(Session, PlansWithoutTakingMemory) {
  const Experiment experiment = small_experiment();
  const Session session(experiment, data_of(experiment), SessionUse::plan_only);
  EXPECT_GT(session.memory_plan().total_bytes(), 0);
  EXPECT_EQ(session.peak_bytes(), 0);
}

TEST(Session, RefusesAPlanLargerThanAnyMemory) {
  const std::string layers =
      R"({ type = "dense", units = 2147483647, bias = false },)"
      R"({ type = "dense", units = 2147483647, bias = false }, { type = "dense", units = 4 })";
  const Experiment experiment = small_experiment({}, layers);
  EXPECT_THAT(message_of([&] { Session(experiment, data_of(experiment)); }), HasSubstr("TiB"));
}

TEST(Session, RefusesSampleIdsThatDoNotExist) {
  const Experiment experiment = small_experiment();
  Session session(experiment, data_of(experiment));
  const std::vector<std::int32_t> too_many(33, 0);
  for (const std::vector<std::int32_t>& ids :
       {std::vector<std::int32_t>{}, {-1}, {300}, too_many}) {
    EXPECT_THROW((void)session.update(ids, 1, 0.1), std::invalid_argument);
  }
}

TEST(Session, RefusesAnEmptyTrainingSet) {
  const Experiment experiment = small_experiment({"data.validation_split=0.999"});
  EXPECT_THAT(refusal(experiment, data_of(experiment)),
              AllOf(HasSubstr("validation_split"), HasSubstr("300")));
}

TEST(Session, RefusesLabelsOutsideTheClasses) {
  const Experiment experiment = small_experiment({"data.validation_split=0.1"});
  for (const std::size_t sample : {std::size_t{5}, std::size_t{299}}) {
    for (const std::int32_t label : {4, -1}) {
      Dataset dataset = data_of(experiment);
      dataset.train.labels[sample] = label;
      EXPECT_THAT(refusal(experiment, dataset), HasSubstr(std::to_string(label))) << sample;
    }
  }
  Dataset dataset = data_of(experiment);
  dataset.test->labels[7] = 4;
  EXPECT_THAT(refusal(experiment, dataset), HasSubstr("4"));
}

TEST(Session, RefusesSplitsThatDoNotAgree) {
  const Experiment experiment = small_experiment();
  Dataset dataset = data_of(experiment);
  dataset.test = testing_support::blank_samples(10, {13}, ElementType::f32, 4);
  EXPECT_THAT(refusal(experiment, dataset), AllOf(HasSubstr("[13]"), HasSubstr("[12]")));
  dataset = data_of(experiment);
  dataset.train.labels.clear();
  EXPECT_THAT(refusal(experiment, dataset), HasSubstr("no labels"));
}

TEST(Session, RefusesEarlyStoppingWithoutValidationSamples) {
  Experiment experiment = small_experiment();
  experiment.training.early_stopping.patience = 2;
  EXPECT_THAT(refusal(experiment, data_of(experiment)),
              AllOf(HasSubstr("early_stopping"), HasSubstr("validation_split")));
}

TEST(Session, RefusesToDropEveryBatch) {
  const Experiment experiment =
      small_experiment({"data.drop_last=true", "training.batch_size=301"});
  EXPECT_THAT(refusal(experiment, data_of(experiment)),
              AllOf(HasSubstr("drop_last"), HasSubstr("300"), HasSubstr("301")));
}

TEST(Session, RefusesAMicroBatchAboveTheBatch) {
  Experiment experiment = small_experiment();
  experiment.training.micro_batch_size = 33;
  EXPECT_THAT(refusal(experiment, data_of(experiment)),
              AllOf(HasSubstr("micro_batch_size = 33"), HasSubstr("batch_size = 32")));
}

TEST(Session, RefusesALastBatchThatBatchNormCannotNormalise) {
  const std::string layers = R"({ type = "dense", units = 8 }, { type = "batchnorm" },
                                { type = "dense", units = 4 })";
  // 300 = 23 x 13 + 1.
  Experiment experiment = small_experiment({"training.batch_size=13"}, layers);
  EXPECT_THAT(refusal(experiment, data_of(experiment)),
              AllOf(HasSubstr("the last batch"), HasSubstr("drop_last")));
  experiment.data.drop_last = true;
  EXPECT_EQ(refusal(experiment, data_of(experiment)), "accepted");
}

TEST(Session, DevicesThatAreNotThereAreRefused) {
  Experiment experiment = small_experiment();
  experiment.device = "cuda:999";
  EXPECT_THAT(refusal(experiment, data_of(experiment)), HasSubstr("cuda:999"));
}

TEST(Session, AnUpdateReportsTheLossBeforeIt) {
  const Experiment experiment = small_experiment({"data.test_samples=0"});
  Dataset dataset = data_of(experiment);
  dataset.test = dataset.train;  // so that an evaluation measures the same samples
  Session session(experiment, dataset);
  const SplitResult before = *session.evaluate_test();
  Experiment whole = experiment;
  whole.training.batch_size = 300;
  Session updated(whole, dataset);
  const UpdateStatus status = updated.update(first_ids(300), 1, 0.01);
  EXPECT_EQ(status.loss_sum / 300.0, before.loss);
  EXPECT_EQ(status.correct / 300.0, before.accuracy);
  EXPECT_LT(updated.evaluate_test()->loss, before.loss);
}

TEST(Session, NamesTheSamplesAndLayersThatAreNotFinite) {
  const Experiment experiment = small_experiment();
  Dataset dataset = data_of(experiment);
  testing_support::set_feature(dataset.train, 11, 3, std::numeric_limits<float>::quiet_NaN());
  Session session(experiment, dataset);
  const std::string before = session.weights_sha256();
  const std::vector<std::int32_t> ids = first_ids(32);
  const UpdateStatus status = session.update(ids, 1, 0.01);
  EXPECT_EQ(status.finite, 0.0);
  EXPECT_EQ(session.weights_sha256(), before);
  EXPECT_THAT(session.describe_nonfinite(ids),
              AllOf(HasSubstr("dense_1.weight"), HasSubstr("sample 11")));
}

}  // namespace
}  // namespace batchwise
