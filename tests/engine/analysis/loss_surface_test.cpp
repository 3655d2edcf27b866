#include "engine/analysis/loss_surface.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/analysis/analysis_support.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using namespace testing_support;

/// What evaluation says of the training samples: a session that has them as its test part.
SplitResult evaluated(const MeasuredRun& run, Dataset dataset) {
  dataset.test = dataset.train;
  Session session(run.experiment, dataset);
  upload_tensors(session.weights(), run.stored.tensors, "the run");
  return session.evaluate_test().value();
}

TEST(LossSurface, IsTheLossOfEvaluationAtTheRunsWeights) {
  const std::string with_everything =
      R"({ type = "batchnorm" }, { type = "dense", units = 16, activation = "gelu" },
         { type = "dropout", rate = 0.5 }, { type = "batchnorm", group = 16 },
         { type = "dense", units = 4 })";
  const Experiment experiment = small_experiment(
      {"data.normalize=standardize", "optimizer.weight_decay=0.1", "optimizer.clip_global_norm=0.1",
       "data.samples=1500", "training.checkpoint=[\"batchnorm_2\"]"},
      with_everything);
  const Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  LossSurface surface(run, dataset.train);
  Eigen::VectorXd gradient;
  const SplitResult expected = evaluated(run, dataset);
  EXPECT_NEAR(surface.evaluate(surface.stored_weights(), gradient), expected.loss,
              1e-6 * expected.loss);
  EXPECT_EQ(surface.accuracy(), expected.accuracy);
  EXPECT_EQ(surface.dimensions(), 12 * 16 + 16 + 16 * 4 + 4);
}

TEST(LossSurface, NormalisesAPartOfTheSamplesAsTheRunDid) {
  const Experiment experiment = small_experiment({"data.normalize=standardize"});
  const Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  Eigen::VectorXd gradient;
  const auto loss_of = [&](std::int64_t first, std::int64_t count) {
    LossSurface surface(run, slice(dataset.train, first, count));
    return surface.evaluate(surface.stored_weights(), gradient) * static_cast<double>(count);
  };
  EXPECT_NEAR(loss_of(0, 7) + loss_of(7, 293), loss_of(0, 300), 1e-5 * loss_of(0, 300));
}

TEST(LossSurface, GradientIsThatOfTheLoss) {
  const Experiment experiment =
      in_double(small_experiment({"training.epochs=1", "data.samples=40"}, kBatchNormLayers));
  const Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  for (const BatchNormForm form :
       {BatchNormForm::running_statistics, BatchNormForm::pass_statistics}) {
    LossSurface surface(run, dataset.train, form);
    Eigen::VectorXd gradient, ignored;
    const Eigen::VectorXd at = surface.stored_weights();
    (void)surface.evaluate(at, gradient);
    for (Eigen::Index weight = 0; weight < at.size(); weight += 7) {
      const Eigen::VectorXd step = 1e-5 * Eigen::VectorXd::Unit(at.size(), weight);
      const double difference =
          surface.evaluate(at + step, ignored) - surface.evaluate(at - step, ignored);
      EXPECT_NEAR(difference / 2e-5, gradient[weight], 1e-7) << weight;
    }
  }
}

TEST(LossSurface, WithBatchStatisticsGammaAndBetaAreWeights) {
  const Experiment experiment = small_experiment({"training.epochs=0"}, kBatchNormLayers);
  const Dataset dataset = data_of(experiment);
  const MeasuredRun run = run_of(experiment, dataset);
  const LossSurface evaluated_form(run, dataset.train);
  const LossSurface batch_form(run, dataset.train, BatchNormForm::pass_statistics);
  EXPECT_EQ(evaluated_form.dimensions(), 12 * 16 + 16 * 4 + 4);
  EXPECT_EQ(batch_form.dimensions(), evaluated_form.dimensions() + 2 * 16);
}

TEST(LossSurface, TheSamePointGivesTheSameNumbersAgain) {
  const Experiment experiment = small_experiment();
  const Dataset dataset = data_of(experiment);
  LossSurface surface(run_of(experiment, dataset), dataset.train);
  const Eigen::VectorXd& at = surface.stored_weights();
  Eigen::VectorXd first, elsewhere, again;
  const double loss = surface.evaluate(at, first);
  EXPECT_NE(surface.evaluate(2.0 * at, elsewhere), loss);
  EXPECT_EQ(surface.evaluate(at, again), loss);
  EXPECT_EQ(first, again);
  EXPECT_EQ(surface.evaluations(), 3);
}

TEST(LossSurface, RefusesAModelWithoutTrainedWeights) {
  const Experiment experiment = small_experiment({"training.epochs=0"}, kBatchNormLayers);
  const Dataset dataset = data_of(experiment);
  MeasuredRun run = run_of(experiment, dataset);
  for (LayerConfig& layer : run.experiment.model.layers) {
    if (layer.type == LayerType::dense) layer.trainable = false;
  }
  EXPECT_THAT(message_of([&] { LossSurface(run, dataset.train); }), HasSubstr("trainable"));
}

TEST(LossSurface, RefusesSamplesOfAnotherShape) {
  const Experiment experiment = small_experiment({"training.epochs=0"});
  const MeasuredRun run = run_of(experiment, data_of(experiment));
  const Samples others = blank_samples(8, {5}, ElementType::f32, 4);
  EXPECT_THAT(message_of([&] { LossSurface(run, others); }), HasSubstr("does not fit the model"));
}

}  // namespace
}  // namespace batchwise
