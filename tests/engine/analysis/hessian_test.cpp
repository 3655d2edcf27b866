#include "engine/analysis/hessian.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>

#include "tests/engine/analysis/analysis_support.h"

namespace batchwise {
namespace {

using namespace testing_support;

/// The whole Hessian by central differences along each weight, of a surface in f64.
Eigen::MatrixXd dense_hessian(LossSurface& surface) {
  constexpr double kStep = 1e-5;
  const Eigen::Index size = surface.dimensions();
  Eigen::MatrixXd hessian(size, size);
  for (Eigen::Index column = 0; column < size; ++column) {
    const Eigen::VectorXd step = kStep * Eigen::VectorXd::Unit(size, column);
    Eigen::VectorXd ahead, behind;
    (void)surface.evaluate(surface.stored_weights() + step, ahead);
    (void)surface.evaluate(surface.stored_weights() - step, behind);
    hessian.col(column) = (ahead - behind) / (2.0 * kStep);
  }
  return (hessian + hessian.transpose()) / 2.0;
}

double largest_of(const Eigen::MatrixXd& hessian) {
  return Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(hessian).eigenvalues().maxCoeff();
}

/// The same weights, seen in double and by the fast kernels.
class Hessian : public testing::Test {
 protected:
  Hessian() {
    run_ = run_of(experiment_, dataset_);
    in_double_ = run_;
    in_double_.experiment.precision = Precision::fp64;
  }

  Experiment experiment_ = small_experiment({"training.epochs=1"}, kSmoothLayers);
  Dataset dataset_ = data_of(experiment_);
  MeasuredRun run_, in_double_;
};

TEST_F(Hessian, LargestEigenvalueIsThatOfTheDenseHessian) {
  LossSurface judge(in_double_, dataset_.train);
  const double expected = largest_of(dense_hessian(judge));
  ASSERT_GT(expected, 0.1);

  LossSurface precise(in_double_, dataset_.train);
  const HessianResult in_f64 = largest_eigenvalue(precise);
  EXPECT_NEAR(in_f64.largest_eigenvalue, expected, 1e-6 * expected);
  EXPECT_LT(in_f64.residual, 1e-6);
  EXPECT_GT(in_f64.products, 10);

  LossSurface fast(run_, dataset_.train);
  const HessianResult in_f32 = largest_eigenvalue(fast);
  EXPECT_NEAR(in_f32.largest_eigenvalue, expected, 1e-3 * expected);
  EXPECT_LT(in_f32.residual, 1e-2);
}

TEST_F(Hessian, StepsSuitSharpAndFlatSurfaces) {
  // Inputs a hundred times as large make the first layer's curvature about 10^4 times as large.
  for (const double factor : {0.01, 100.0}) {
    Dataset scaled = dataset_;
    const std::int64_t elements = scaled.train.count * scaled.train.elements_per_sample();
    for (std::int64_t element = 0; element < elements; ++element) {
      float value = 0.0f;
      std::memcpy(&value, scaled.train.features.data() + element * 4, 4);
      set_feature(scaled.train, 0, element, static_cast<float>(value * factor));
    }
    MeasuredRun run = run_;
    for (TensorData& tensor : run.stored.tensors) {
      if (tensor.name != "dense_1.weight") continue;
      for (std::size_t element = 0; element < tensor.bytes.size() / 4; ++element) {
        float value = 0.0f;
        std::memcpy(&value, tensor.bytes.data() + element * 4, 4);
        value = static_cast<float>(value / factor);
        std::memcpy(tensor.bytes.data() + element * 4, &value, 4);
      }
    }
    MeasuredRun precise = run;
    precise.experiment.precision = Precision::fp64;
    LossSurface judge(precise, scaled.train);
    LossSurface fast(run, scaled.train);
    const double expected = largest_eigenvalue(judge).largest_eigenvalue;
    EXPECT_NEAR(largest_eigenvalue(fast).largest_eigenvalue, expected, 1e-3 * expected) << factor;
  }
}

// A bias that all classes share changes no probability, only the rounding of the logits. Lanczos
// iterations converge all the same.
TEST(HessianInF32, OfProductsThatAreMostlyRoundingIsNotFound) {
  const Experiment experiment = small_experiment(
      {"training.epochs=1"},
      R"({ type = "dense", units = 500, activation = "tanh" }, { type = "dense", units = 4 })");
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  LossSurface exact(run, dataset.train);
  const HessianResult found = largest_eigenvalue(exact);
  EXPECT_LT(found.residual, 0.01);
  EXPECT_GT(found.largest_eigenvalue, 0.0);
  for (std::int64_t unit = 0; unit < 4; ++unit) set_element(run, "dense_2.bias", unit, 3e6f);
  LossSurface rounded(run, dataset.train);
  int not_found = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const HessianResult result = largest_eigenvalue(rounded, seed);
    EXPECT_EQ(std::isnan(result.largest_eigenvalue), !(result.residual <= 0.1)) << result.residual;
    if (result.residual > 0.1) ++not_found;
  }
  EXPECT_GT(not_found, 0);
}

TEST_F(Hessian, ProductsAreLinearInTheVector) {
  LossSurface surface(in_double_, dataset_.train);
  HessianProduct product(surface);
  const Eigen::VectorXd v = surface.stored_weights();
  const Eigen::VectorXd once = product(v);
  EXPECT_LT((product(1000.0 * v) - 1000.0 * once).norm(), 1e-9 * 1000.0 * once.norm());
  EXPECT_TRUE(product(Eigen::VectorXd::Zero(v.size())).isZero(0.0));
}

TEST(HessianOfAFlatLoss, IsZero) {
  // Without bias and with features of 0 the weights do not matter.
  const Experiment experiment =
      small_experiment({"training.epochs=0"}, R"({ type = "dense", units = 4, bias = false })");
  Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  LossSurface surface(run, blank_samples(20, {12}, ElementType::f32, 4));
  const HessianResult result = largest_eigenvalue(surface);
  EXPECT_EQ(result.largest_eigenvalue, 0.0);
  EXPECT_EQ(result.residual, 0.0);
}

TEST(HessianOfADivergedRun, IsRefused) {
  const Experiment experiment = small_experiment({"training.epochs=0"});
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  set_element(run, "dense_1.weight", 0, std::numeric_limits<float>::quiet_NaN());
  LossSurface surface(run, dataset.train);
  EXPECT_THAT(message_of<RunError>([&] { (void)largest_eigenvalue(surface); }),
              testing::HasSubstr("not finite"));
}

}  // namespace
}  // namespace batchwise
