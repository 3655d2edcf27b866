#include "engine/analysis/measurements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/engine/analysis/analysis_support.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace testing_support;
namespace fs = std::filesystem;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class MeasuredRunFolder : public testing::Test {
 protected:
  /// Trains with these settings and layers and opens what it left.
  RunFolder trained(const std::vector<std::string>& settings,
                    const std::string& layers = kSmallLayers) {
    const Experiment experiment = small_experiment(settings, layers);
    dataset_ = data_of(experiment);
    (void)train_in(path_, experiment);
    return RunFolder::open(path_);
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "run";
  Dataset dataset_;
};

const std::vector<std::string> kEverything{"measure.gradients=true", "measure.sharpness=true",
                                           "measure.hessian=true", "measure.batchnorm=true",
                                           "measure.noise_scale_every_steps=1"};

TEST_F(MeasuredRunFolder, HasEverythingThatIsAskedFor) {
  const RunFolder folder = trained(kEverything, kBatchNormLayers);
  std::vector<std::string> notes;
  const Measurements found =
      measure_run(folder, dataset_, [&](const std::string& note) { notes.push_back(note); });
  EXPECT_EQ(found.samples, 300);
  ASSERT_TRUE(found.gradients);
  EXPECT_EQ(found.gradients->samples, 300);
  EXPECT_THAT(found.gradients->batches, SizeIs(7));
  EXPECT_THAT(found.sharpness, SizeIs(4));
  ASSERT_TRUE(found.hessian);
  EXPECT_GT(found.hessian->largest_eigenvalue, 0.0);
  EXPECT_THAT(found.batchnorm, SizeIs(7));
  EXPECT_THAT(found.batchnorm_accuracy, SizeIs(5));
  EXPECT_EQ(found.batchnorm_accuracy_split, "test");
  EXPECT_FALSE(found.noise_scale);  // BatchNorm couples the samples
  EXPECT_THAT(notes, SizeIs(5));
  EXPECT_THAT(notes, Contains("measuring sharpness"));
  // The weights are the folder's, not those a session starts from.
  EXPECT_LT(found.sharpness.front().loss, 1.0);
  EXPECT_EQ(to_json(measure_run(folder, dataset_)), to_json(found));
}

TEST_F(MeasuredRunFolder, WithoutBeingAskedMeasuresNothing) {
  const RunFolder folder = trained({"measure.noise_scale_every_steps=0"});
  const Measurements found = measure_run(folder, dataset_);
  EXPECT_EQ(to_json(found), to_json(Measurements{}));
}

TEST_F(MeasuredRunFolder, HonoursTheNumberOfSamplesAndTheValidationPart) {
  const RunFolder folder = trained({"measure.batchnorm=true", "measure.samples=64",
                                    "data.validation_split=0.2", "data.test_samples=0"},
                                   kBatchNormLayers);
  const Measurements found = measure_run(folder, dataset_);
  EXPECT_EQ(found.samples, 64);
  EXPECT_EQ(found.batchnorm.back().batch_size, 32);
  EXPECT_EQ(found.batchnorm_accuracy_split, "validation");
  EXPECT_EQ(found.batchnorm_accuracy.back().batch_size, 32);
  EXPECT_FALSE(found.gradients);
  EXPECT_FALSE(found.hessian);
}

TEST_F(MeasuredRunFolder, NeverUsesValidationSamplesAsTrainingSamples) {
  const RunFolder folder =
      trained({"measure.sharpness=true", "measure.samples=1000", "data.validation_split=0.2"});
  EXPECT_EQ(measure_run(folder, dataset_).samples, 240);
}

TEST_F(MeasuredRunFolder, WithoutOtherSplitsAccuracyIsOfTheTrainingSamples) {
  const RunFolder folder =
      trained({"measure.batchnorm=true", "data.test_samples=0"}, kBatchNormLayers);
  const Measurements found = measure_run(folder, dataset_);
  EXPECT_EQ(found.batchnorm_accuracy_split, "train");
  EXPECT_EQ(found.batchnorm_accuracy.back().batch_size, 256);
}

TEST_F(MeasuredRunFolder, WithoutBatchNormItsListsAreEmpty) {
  const RunFolder folder = trained({"measure.batchnorm=true"});
  const Measurements found = measure_run(folder, dataset_);
  EXPECT_THAT(found.batchnorm, IsEmpty());
  EXPECT_THAT(found.batchnorm_accuracy, IsEmpty());
  EXPECT_EQ(found.batchnorm_accuracy_split, "");
}

TEST_F(MeasuredRunFolder, OfInitialWeightsIsMeasuredToo) {
  std::vector<std::string> settings = kEverything;
  settings.push_back("training.epochs=0");
  const RunFolder folder = trained(settings, kBatchNormLayers);
  const Measurements found = measure_run(folder, dataset_);
  EXPECT_FALSE(found.noise_scale);
  EXPECT_THAT(found.sharpness, SizeIs(4));
  EXPECT_TRUE(found.hessian);
}

TEST_F(MeasuredRunFolder, IsInterruptedBetweenEvaluations) {
  const RunFolder folder = trained(kEverything, kBatchNormLayers);
  int asked = 0;
  (void)measure_run(folder, dataset_, {}, [&] { return ++asked, 0; });
  const int whole = asked;
  EXPECT_GT(whole, 500);
  for (const int stop : {1, whole / 3, whole / 2, whole - 1}) {
    asked = 0;
    EXPECT_THROW(
        (void)measure_run(folder, dataset_, {}, [&] { return ++asked == stop ? SIGINT : 0; }),
        Interrupted);
    EXPECT_EQ(asked, stop);
  }
}

TEST_F(MeasuredRunFolder, WithoutWeightsIsRefused) {
  const RunFolder folder = trained({"measure.hessian=true"});
  fs::remove(folder.weights_file());
  EXPECT_THAT(message_of([&] { (void)measure_run(folder, dataset_); }),
              HasSubstr("weights.safetensors does not exist"));
}

TEST_F(MeasuredRunFolder, WithWeightsThatAreNotFiniteIsRefused) {
  for (const char* key : {"measure.gradients", "measure.sharpness", "measure.hessian"}) {
    fs::remove_all(path_);
    const RunFolder folder = trained({std::string(key) + "=true"});
    RunFolder::StoredWeights weights = folder.read_weights();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(weights.tensors.front().bytes.data(), &nan, sizeof(nan));
    folder.write_weights(weights);
    EXPECT_THAT(message_of<RunError>([&] { (void)measure_run(folder, dataset_); }),
                HasSubstr("not finite"))
        << key;
  }
}

Measurements strange_numbers() {
  Measurements measurements;
  measurements.noise_scale =
      Estimate{.value = 0.1, .low = 1.0 / 3.0, .high = kInfinity, .count = 7};
  measurements.noise_over_training = {
      {.first_step = 1,
       .last_step = 1LL << 52,
       .scale = {.value = kNaN, .low = -kInfinity, .high = kInfinity, .count = 1}}};
  measurements.gradients = GradientStudy{
      .samples = 12,
      .full_norm = 5e-324,
      .batches = {{.batch_size = 4,
                   .variance = {.value = 1e300, .low = 2.0, .high = 3.0, .count = 4},
                   .norm = {},
                   .cosine = {.value = -0.5, .low = -1.0, .high = 0.0, .count = 2}}},
      .variance_law = {.exponent = {.value = -1.0, .low = -1.25, .high = -0.75, .count = 9},
                       .factor = 0.7},
      .noise_scale = {}};
  measurements.sharpness = {{.epsilon = 1e-3,
                             .dimensions = 100,
                             .sharpness = kInfinity,
                             .loss = 0.2,
                             .worst_loss = kInfinity,
                             .evaluations = 3}};
  measurements.hessian =
      HessianResult{.largest_eigenvalue = 17.5, .residual = kNaN, .products = 21};
  measurements.batchnorm = {{.batch_size = 2,
                             .layer = "batchnorm \"1\"",
                             .mean_deviation = {.value = 0.5, .low = 0.4, .high = 0.6, .count = 8},
                             .variance_ratio = {}}};
  measurements.batchnorm_accuracy = {
      {.batch_size = 8, .batch_statistics = {}, .running_statistics = 0.97}};
  measurements.batchnorm_accuracy_split = "test";
  measurements.samples = 123;
  return measurements;
}

TEST(MeasurementsJson, ComesBackExactly) {
  const Measurements written = strange_numbers();
  const std::string text = to_json(written);
  const Measurements read = measurements_from_json(text);
  EXPECT_EQ(to_json(read), text);
  EXPECT_EQ(read.noise_scale->low, 1.0 / 3.0);
  EXPECT_EQ(read.noise_scale->high, kInfinity);
  EXPECT_TRUE(std::isnan(read.noise_over_training[0].scale.value));
  EXPECT_EQ(read.noise_over_training[0].scale.low, -kInfinity);
  EXPECT_EQ(read.noise_over_training[0].last_step, 1LL << 52);
  EXPECT_EQ(read.gradients->full_norm, 5e-324);
  EXPECT_EQ(read.gradients->batches[0].cosine.low, -1.0);
  EXPECT_EQ(read.gradients->variance_law.exponent.value, -1.0);
  EXPECT_EQ(read.gradients->variance_law.factor, 0.7);
  EXPECT_EQ(read.sharpness[0].sharpness, kInfinity);
  EXPECT_EQ(read.sharpness[0].dimensions, 100);
  EXPECT_EQ(read.hessian->largest_eigenvalue, 17.5);
  EXPECT_EQ(read.batchnorm[0].layer, "batchnorm \"1\"");
  EXPECT_EQ(read.batchnorm[0].mean_deviation.count, 8);
  EXPECT_EQ(read.batchnorm_accuracy[0].running_statistics, 0.97);
  EXPECT_EQ(read.batchnorm_accuracy_split, "test");
  EXPECT_EQ(read.samples, 123);
}

TEST(MeasurementsJson, LeavesOutWhatWasNotMeasured) {
  const nlohmann::json json = nlohmann::json::parse(to_json(Measurements{}));
  EXPECT_FALSE(json.contains("gradients"));
  EXPECT_FALSE(json.contains("hessian"));
  EXPECT_FALSE(json.contains("noise_scale"));
  EXPECT_EQ(json.at("sharpness"), nlohmann::json::array());
  EXPECT_EQ(to_json(measurements_from_json(to_json(Measurements{}))), to_json(Measurements{}));
}

TEST(MeasurementsJson, RefusesWhatIsNone) {
  const std::string whole = to_json(strange_numbers());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), std::string("null"),
        whole.substr(0, whole.size() / 2), with("17.5", "\"much\""), with("17.5", "true"),
        with("\"samples\": 123", "\"samples\": 1.5"), with("\"samples\": 123", "\"samples\": null"),
        with("\"test\"", "4"), with("\"epsilon\"", "\"epsilom\""),
        with("\"noise_over_training\": [", "\"noise_over_training\": 3, \"x\": [")}) {
    EXPECT_THAT(message_of([&] { (void)measurements_from_json(text); }),
                HasSubstr("not the JSON of measurements"))
        << text;
  }
}

}  // namespace
}  // namespace batchwise
