#include "engine/analysis/sharpness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/QR>
#include <cmath>

#include "tests/engine/analysis/analysis_support.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using namespace testing_support;

/// Logistic regression: its loss is convex, so the maximum over a box is at one of its corners.
class ConvexSharpness : public testing::Test {
 protected:
  ConvexSharpness()
      : experiment_(small_experiment({"data.features=2", "data.classes=2"},
                                     R"({ type = "dense", units = 2, bias = false })")),
        dataset_(data_of(experiment_)),
        run_(run_of(experiment_, dataset_)) {}

  /// The largest loss over the corners of the box about the weights.
  static double worst_corner(LossSurface& surface, double epsilon) {
    const Eigen::VectorXd& x = surface.stored_weights();
    Eigen::VectorXd ignored;
    double worst = 0.0;
    for (unsigned corner = 0; corner < 1u << x.size(); ++corner) {
      Eigen::VectorXd at = x;
      for (Eigen::Index weight = 0; weight < x.size(); ++weight) {
        const double sign = (corner >> weight & 1u) != 0 ? 1.0 : -1.0;
        at[weight] += sign * epsilon * (std::abs(x[weight]) + 1.0);
      }
      worst = std::max(worst, surface.evaluate(at, ignored));
    }
    return worst;
  }

  Experiment experiment_;
  Dataset dataset_;
  MeasuredRun run_;
};

TEST_F(ConvexSharpness, FindsTheWorstCornerOfTheBox) {
  LossSurface surface(run_, dataset_.train);
  Eigen::VectorXd ignored;
  const double loss = surface.evaluate(surface.stored_weights(), ignored);
  for (const double epsilon : {1e-3, 0.1, 1.0}) {
    const std::vector<SharpnessResult> results =
        measure_sharpness(surface, {.epsilons = {epsilon}, .dimensions = {0}});
    ASSERT_EQ(results.size(), 1u);
    const double worst = worst_corner(surface, epsilon);
    EXPECT_EQ(results[0].loss, loss);
    EXPECT_NEAR(results[0].worst_loss, worst, 1e-3 * (worst - loss) + 1e-6 * loss) << epsilon;
    EXPECT_DOUBLE_EQ(results[0].sharpness, (results[0].worst_loss - loss) / (1.0 + loss) * 100.0);
    EXPECT_GT(results[0].evaluations, 0);
  }
}

TEST_F(ConvexSharpness, ASubspaceThatIsTheWholeSpaceGivesAboutTheSame) {
  // Four directions span the four weights, but its box is another: at most a few times as wide.
  LossSurface surface(run_, dataset_.train);
  const std::vector<SharpnessResult> results =
      measure_sharpness(surface, {.epsilons = {1e-2}, .dimensions = {0, 100}});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].dimensions, 0);
  EXPECT_EQ(results[1].dimensions, 4);
  EXPECT_GT(results[1].sharpness, results[0].sharpness / 4.0);
  EXPECT_LT(results[1].sharpness, results[0].sharpness * 4.0);
}

TEST(Sharpness, HasTheFourResultsOfThePaperAndIsTheSameAgain) {
  const Experiment experiment = small_experiment();
  const Dataset dataset = data_of(experiment);
  LossSurface surface(run_of(experiment, dataset), dataset.train);
  const std::vector<SharpnessResult> results = measure_sharpness(surface, {.seed = 3});
  const std::vector<SharpnessResult> again = measure_sharpness(surface, {.seed = 3});
  ASSERT_EQ(results.size(), 4u);
  for (std::size_t index = 0; index < 4; ++index) {
    EXPECT_EQ(results[index].dimensions, index < 2 ? 0 : 100);
    EXPECT_EQ(results[index].epsilon, index % 2 == 0 ? 1e-3 : 5e-4);
    EXPECT_EQ(results[index].worst_loss, again[index].worst_loss);
    EXPECT_GT(results[index].sharpness, 0.0);
    EXPECT_LT(results[index].evaluations, 60);
  }
  EXPECT_GT(results[0].sharpness, results[1].sharpness);
  EXPECT_GT(results[2].sharpness, results[3].sharpness);
}

TEST(Sharpness, LeavesAPointWithoutSlope) {
  // All weights 0: the gradient of either layer is 0, yet moving both changes the loss.
  const Experiment experiment = small_experiment(
      {"training.epochs=0"}, R"({ type = "dense", units = 8, activation = "tanh", bias = false },
                                { type = "dense", units = 4, bias = false })");
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  for (TensorData& tensor : run.stored.tensors) {
    std::fill(tensor.bytes.begin(), tensor.bytes.end(), std::byte{0});
  }
  LossSurface surface(run, dataset.train);
  const SharpnessResult result =
      measure_sharpness(surface, {.epsilons = {0.5}, .dimensions = {0}}).front();
  EXPECT_NEAR(result.loss, std::log(4.0), 1e-6);
  EXPECT_GT(result.worst_loss, 1.1 * result.loss);
}

TEST(Sharpness, OfAFlatLossIsZero) {
  const Experiment experiment =
      small_experiment({"training.epochs=0"}, R"({ type = "dense", units = 4, bias = false })");
  const MeasuredRun run = run_of(experiment, data_of(experiment));
  LossSurface surface(run, blank_samples(20, {12}, ElementType::f32, 4));
  for (const SharpnessResult& result : measure_sharpness(surface)) {
    EXPECT_EQ(result.sharpness, 0.0);
  }
}

TEST(Sharpness, ALossThatIsNotFiniteNearbyIsInfinite) {
  const Experiment experiment =
      small_experiment({"training.epochs=0", "data.features=1", "data.classes=2"},
                       R"({ type = "dense", units = 2, bias = false })");
  MeasuredRun run = run_of(experiment, data_of(experiment));
  set_element(run, "dense_1.weight", 0, std::numeric_limits<float>::max());
  set_element(run, "dense_1.weight", 1, std::numeric_limits<float>::max());
  Samples samples = blank_samples(4, {1}, ElementType::f32, 1);  // all of class 0
  for (std::int64_t sample = 0; sample < 4; ++sample) set_feature(samples, sample, 0, 1.0f);
  LossSurface surface(run, samples);
  const SharpnessResult result =
      measure_sharpness(surface, {.epsilons = {0.5}, .dimensions = {0}}).front();
  EXPECT_NEAR(result.loss, std::log(2.0), 1e-6);
  EXPECT_EQ(result.sharpness, std::numeric_limits<double>::infinity());
}

TEST(Sharpness, OfADivergedRunIsRefused) {
  const Experiment experiment = small_experiment({"training.epochs=0"});
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  set_element(run, "dense_1.weight", 5, std::numeric_limits<float>::quiet_NaN());
  LossSurface surface(run, dataset.train);
  EXPECT_THAT(message_of<RunError>([&] { (void)measure_sharpness(surface); }),
              HasSubstr("not finite"));
}

TEST(RandomSubspace, CoordinatesAreThoseOfThePseudoInverse) {
  for (const Eigen::Index weights : {30, 9000}) {
    const RandomSubspace subspace(weights, 40, 7);
    const Eigen::MatrixXd basis = subspace.basis().cast<double>();
    const Eigen::VectorXd x = RandomSubspace(weights, 1, 8).into(Eigen::VectorXd::Ones(1));
    const Eigen::VectorXd expected = basis.completeOrthogonalDecomposition().solve(x);
    EXPECT_LT((subspace.coordinates(x) - expected).norm(), 1e-3 * expected.norm()) << weights;
    // Against lengths of the terms: products and sums are in f32.
    const double moved = basis.norm() * expected.norm();
    EXPECT_LT((subspace.into(expected) - basis * expected).norm(), 1e-5 * moved);
    EXPECT_LT((subspace.onto(x) - basis.transpose() * x).norm(), 1e-5 * basis.norm() * x.norm());
  }
}

TEST(RandomSubspace, HasStandardNormalEntries) {
  const RandomSubspace subspace(10001, 5, 1);
  const Eigen::MatrixXd basis = subspace.basis().cast<double>();
  const Eigen::MatrixXd covariance = basis.transpose() * basis / 10001.0;
  EXPECT_LT((covariance - Eigen::MatrixXd::Identity(5, 5)).cwiseAbs().maxCoeff(), 0.05);
  EXPECT_LT(basis.colwise().mean().cwiseAbs().maxCoeff(), 0.05);
  EXPECT_NEAR(basis.col(0).array().pow(4).mean(), 3.0, 0.3);
  EXPECT_NE(RandomSubspace(10001, 5, 2).basis(), subspace.basis());
}

}  // namespace
}  // namespace batchwise
