#include "engine/analysis/gradient_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/analysis/sample_draws.h"
#include "tests/engine/analysis/analysis_support.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using namespace testing_support;

/// Gradients of every sample alone, at the run's weights.
struct Exact {
  Exact(const MeasuredRun& run, const Samples& samples) {
    const auto session = measuring_session(run, samples, BatchNormForm::batch_statistics, 1);
    std::vector<Eigen::VectorXd> gradients;
    for (const std::int32_t id : first_ids(samples.count)) {
      (void)session->update(std::span(&id, 1), 1, 0.0);
      gradients.push_back(flat_vector(session->gradients()));
    }
    full = Eigen::VectorXd::Zero(gradients[0].size());
    const auto count = static_cast<double>(gradients.size());
    for (const Eigen::VectorXd& gradient : gradients) full += gradient / count;
    for (const Eigen::VectorXd& gradient : gradients) {
      trace += (gradient - full).squaredNorm() / count;
    }
  }

  Eigen::VectorXd full;
  double trace = 0.0;  ///< of the covariance of the samples' gradients
};

class Gradients : public testing::Test {
 protected:
  Experiment experiment_ = small_experiment({"training.epochs=1", "data.samples=256"});
  Dataset dataset_ = data_of(experiment_);
  MeasuredRun run_ = run_of(experiment_, dataset_);
};

TEST_F(Gradients, VarianceIsTheTraceOfTheCovarianceOverTheBatchSize) {
  const Exact exact(run_, dataset_.train);
  const double noise_scale = exact.trace / exact.full.squaredNorm();
  // Over many studies what is left of the draws' noise is small enough to see the correction for
  // drawing without replacement: half the samples have half the variance without it.
  std::vector<std::vector<double>> scaled(8);
  std::vector<double> noise_scales;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const GradientStudy study = study_gradients(run_, dataset_.train, seed);
    EXPECT_EQ(study.samples, 256);
    EXPECT_NEAR(study.full_norm, exact.full.norm(), 1e-5 * exact.full.norm());
    ASSERT_EQ(study.batches.size(), 8u);
    for (std::size_t size = 0; size < 8; ++size) {
      EXPECT_EQ(study.batches[size].batch_size, 1 << size);
      scaled[size].push_back(study.batches[size].variance.value * (1 << size) / exact.trace);
    }
    noise_scales.push_back(study.noise_scale.value / noise_scale);
  }
  for (const std::vector<double>& ratios : scaled) {
    EXPECT_TRUE(mean_estimate(ratios, 0.999).contains(1.0));
    EXPECT_LT(mean_estimate(ratios).high - mean_estimate(ratios).low, 0.4);
  }
  EXPECT_TRUE(mean_estimate(noise_scales, 0.999).contains(1.0));
}

TEST_F(Gradients, VarianceFallsAsOneOverTheBatchSize) {
  const GradientStudy study = study_gradients(run_, dataset_.train, 1);
  EXPECT_TRUE(study.variance_law.exponent.contains(-1.0)) << study.variance_law.exponent.value;
  EXPECT_LT(study.variance_law.exponent.high - study.variance_law.exponent.low, 0.4);
  const double of_one = study.batches[0].variance.value;
  for (const GradientStatistics& batch : study.batches) {
    const auto size = static_cast<double>(batch.batch_size);
    const double error = size * (batch.variance.high - batch.variance.low);
    EXPECT_NEAR(size * batch.variance.value, of_one, error + 0.3 * of_one) << size;
  }
}

TEST_F(Gradients, OfLargerBatchesTurnToTheFullGradientAndShorten) {
  const GradientStudy study = study_gradients(run_, dataset_.train);
  EXPECT_LT(study.batches.front().cosine.value, study.batches.back().cosine.value);
  EXPECT_GT(study.batches.back().cosine.value, 0.8);
  EXPECT_LE(study.batches.back().cosine.value, 1.0 + 1e-12);
  EXPECT_GT(study.batches.front().norm.value, study.batches.back().norm.value);
  EXPECT_NEAR(study.batches.back().norm.value, study.full_norm, 0.3 * study.full_norm);
  EXPECT_EQ(study.batches.front().norm.count, 128);
  EXPECT_EQ(study.batches.back().norm.count, 16);
}

TEST_F(Gradients, DependOnTheSeedAlone) {
  const GradientStudy one = study_gradients(run_, dataset_.train, 5);
  const GradientStudy same = study_gradients(run_, dataset_.train, 5);
  const GradientStudy other = study_gradients(run_, dataset_.train, 6);
  EXPECT_EQ(one.noise_scale.value, same.noise_scale.value);
  EXPECT_NE(one.noise_scale.value, other.noise_scale.value);
}

TEST(GradientsWithBatchNorm, BeginAtTwoSamples) {
  for (const std::string group : {"", ", group = 8"}) {
    const Experiment experiment =
        small_experiment({"training.epochs=1", "data.samples=64"},
                         R"({ type = "dense", units = 8 }, { type = "batchnorm")" + group +
                             R"( }, { type = "dense", units = 4 })");
    const Dataset dataset = data_of(experiment);
    const GradientStudy study = study_gradients(run_of(experiment, dataset), dataset.train);
    ASSERT_EQ(study.batches.size(), 5u) << group;
    EXPECT_EQ(study.batches.front().batch_size, 2);
    EXPECT_EQ(study.batches.back().batch_size, 32);
  }
}

TEST(GradientsOfFewSamples, HaveNoLaw) {
  const Experiment experiment = small_experiment({"training.epochs=0"});
  const Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  const GradientStudy of_one = study_gradients(run, slice(dataset.train, 0, 1));
  EXPECT_TRUE(of_one.batches.empty());
  EXPECT_TRUE(std::isnan(of_one.noise_scale.value));
  EXPECT_EQ(study_gradients(run, slice(dataset.train, 0, 3)).batches.size(), 1u);
}

TEST(GradientsOfADivergedRun, AreRefused) {
  const Experiment experiment = small_experiment({"training.epochs=0"});
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  set_element(run, "dense_2.bias", 0, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(message_of<RunError>([&] { (void)study_gradients(run, dataset.train); }),
              HasSubstr("not finite"));
}

TEST(SampleDraws, DrawWithoutReplacementAndUniformly) {
  SampleDraws draws(10, 3);
  std::vector<int> count(10, 0);
  for (int draw = 0; draw < 3000; ++draw) {
    const std::span<const std::int32_t> batch = draws.next(3);
    EXPECT_EQ(std::set<std::int32_t>(batch.begin(), batch.end()).size(), 3u);
    for (const std::int32_t id : batch) ++count[static_cast<std::size_t>(id)];
  }
  // 900 each, with a deviation of sqrt(3000 * 0.3 * 0.7) = 25.
  for (const int times : count) EXPECT_NEAR(times, 900, 125);
  const std::span<const std::int32_t> all = draws.next(10);
  EXPECT_EQ(std::set<std::int32_t>(all.begin(), all.end()).size(), 10u);
}

}  // namespace
}  // namespace batchwise
