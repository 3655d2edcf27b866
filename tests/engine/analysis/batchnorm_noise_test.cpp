#include "engine/analysis/batchnorm_noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/analysis/sample_draws.h"
#include "tests/engine/analysis/analysis_support.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;

const std::string kNormalisedInput =
    R"({ type = "batchnorm", name = "input", group = 32, epsilon = 0.25 },
       { type = "dense", units = 8 }, { type = "batchnorm", name = "hidden" },
       { type = "dense", units = 4 })";

Eigen::MatrixXd features_of(const Samples& samples) {
  Eigen::MatrixXf features(samples.elements_per_sample(), samples.count);
  std::memcpy(features.data(), samples.features.data(), samples.features.size());
  return features.cast<double>();
}

struct Moments {
  explicit Moments(const Eigen::MatrixXd& columns)
      : mean(columns.rowwise().mean()),
        variance((columns.colwise() - columns.rowwise().mean()).rowwise().squaredNorm().array() /
                 static_cast<double>(columns.cols())) {}
  Eigen::ArrayXd mean, variance;
};

double rms(const Eigen::ArrayXd& values) { return std::sqrt(values.square().mean()); }

class BatchNormNoiseOfARun : public testing::Test {
 protected:
  Experiment experiment_ = small_experiment(
      {"data.samples=128", "data.test_samples=64", "training.batch_size=64", "training.epochs=30"},
      kNormalisedInput);
  Dataset dataset_ = data_of(experiment_);
  MeasuredRun run_ = run_of(experiment_, dataset_);
};

TEST_F(BatchNormNoiseOfARun, OfTheFirstLayerIsThatOfTheData) {
  const std::vector<BatchNormNoise> found = batchnorm_noise(run_, dataset_.train, 9);
  ASSERT_EQ(found.size(), 2u * 6u);
  const Eigen::MatrixXd features = features_of(dataset_.train);
  const Moments all(features);
  SampleDraws draws(128, 9);
  for (std::size_t index = 0; index < found.size(); index += 2) {
    const std::int64_t size = std::int64_t{2} << (index / 2);
    EXPECT_EQ(found[index].batch_size, size);
    EXPECT_EQ(found[index].layer, "input");
    EXPECT_EQ(found[index + 1].layer, "hidden");
    std::vector<double> mean, variance;
    for (std::int64_t draw = 0; draw < std::clamp<std::int64_t>(128 / size, 8, 64); ++draw) {
      Eigen::MatrixXd columns(features.rows(), size);
      Eigen::Index column = 0;
      for (const std::int32_t id : draws.next(size)) columns.col(column++) = features.col(id);
      const Moments batch(columns);
      mean.push_back(rms((batch.mean - all.mean) / (all.variance + 0.25).sqrt()));
      variance.push_back(rms((batch.variance + 0.25) / (all.variance + 0.25) - 1.0));
    }
    const double factor = std::sqrt(127.0 / static_cast<double>(128 - size));
    EXPECT_NEAR(found[index].mean_deviation.value, factor * mean_estimate(mean).value, 1e-5)
        << size;
    EXPECT_NEAR(found[index].variance_ratio.value, mean_estimate(variance).value, 1e-5) << size;
    EXPECT_EQ(found[index].mean_deviation.count, static_cast<std::int64_t>(mean.size()));
  }
}

TEST_F(BatchNormNoiseOfARun, FallsAsTheRootOfTheBatchSize) {
  const std::vector<BatchNormNoise> found = batchnorm_noise(run_, dataset_.train);
  // From 2 to 64 of the 128 samples, over eight orders.
  double of_two = 0.0;
  double of_half = 0.0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const std::vector<BatchNormNoise> drawn = batchnorm_noise(run_, dataset_.train, seed);
    of_two += drawn[0].mean_deviation.value;
    of_half += drawn[10].mean_deviation.value;
  }
  const double expected = std::sqrt(2.0 / 64.0);
  EXPECT_NEAR(of_half / of_two, expected, 0.15 * expected);
  // The hidden layer's mean is that of normalised inputs: each batch's own is 0.
  EXPECT_LT(found[1].mean_deviation.value, 1e-5);
  for (const std::size_t layer : {0u, 1u}) {
    EXPECT_LT(found[layer + 6].variance_ratio.value, found[layer].variance_ratio.value);
  }
}

TEST_F(BatchNormNoiseOfARun, AccuracyWithEitherStatistics) {
  Session session(run_.experiment, dataset_);
  upload_tensors(session.weights(), run_.stored.tensors, "the run");
  const double as_evaluated = session.evaluate_test()->accuracy;
  const std::vector<BatchNormAccuracy> found = batchnorm_accuracy(run_, *dataset_.test);
  ASSERT_EQ(found.size(), 6u);
  for (const BatchNormAccuracy& at : found) {
    EXPECT_EQ(at.running_statistics, as_evaluated);
    EXPECT_EQ(at.batch_statistics.count, 64 / at.batch_size);
  }
  EXPECT_EQ(found.back().batch_size, 64);
  EXPECT_GT(found.back().batch_statistics.value, found.front().batch_statistics.value);
}

TEST_F(BatchNormNoiseOfARun, WrongRunningStatisticsShowInTheAccuracyAlone) {
  for (TensorData& tensor : run_.stored.tensors) {
    if (tensor.name != "hidden.running_mean") continue;
    for (std::int64_t channel = 0; channel < 8; ++channel) {
      set_element(run_, tensor.name, channel, channel % 2 == 0 ? 1e4f : -1e4f);
    }
  }
  const BatchNormAccuracy found = batchnorm_accuracy(run_, *dataset_.test).back();
  EXPECT_LT(found.running_statistics, 0.6);
  EXPECT_GT(found.batch_statistics.value, 0.8);
}

TEST(BatchNormNoise, IsEmptyWithoutLayersThatTakeStatistics) {
  for (const std::string& layers :
       {kSmallLayers, std::string(R"({ type = "batchnorm", trainable = false },
                                    { type = "dense", units = 4 })")}) {
    const Experiment experiment = small_experiment({"training.epochs=0"}, layers);
    const Dataset dataset = data_of(experiment);
    const MeasuredRun run = run_of(experiment, dataset);
    EXPECT_FALSE(has_batch_statistics(run.experiment));
    EXPECT_THAT(batchnorm_noise(run, dataset.train), IsEmpty());
    EXPECT_THAT(batchnorm_accuracy(run, dataset.train), IsEmpty());
  }
}

TEST(BatchNormNoise, OfTooFewSamplesIsEmpty) {
  const Experiment experiment = small_experiment({"training.epochs=0"}, kBatchNormLayers);
  const Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  EXPECT_THAT(batchnorm_noise(run, slice(dataset.train, 0, 3)), IsEmpty());
  EXPECT_THAT(batchnorm_accuracy(run, slice(dataset.train, 0, 1)), IsEmpty());
}

TEST(BatchNormNoise, OfADivergedRunIsRefused) {
  const Experiment experiment = small_experiment({"training.epochs=0"}, kBatchNormLayers);
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  set_element(run, "dense_1.weight", 0, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(message_of<RunError>([&] { (void)batchnorm_noise(run, dataset.train); }),
              HasSubstr("not finite"));
  EXPECT_THAT(message_of<RunError>([&] { (void)batchnorm_accuracy(run, dataset.train); }),
              HasSubstr("not finite"));
}

}  // namespace
}  // namespace batchwise
