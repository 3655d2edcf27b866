// A trained run on samples: which samples, what is refused, and that it agrees with training.
#include "engine/train/inference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/train/train_support.h"
#include "tests/support/bounds.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::data_of;
using testing_support::message_of;
using testing_support::same_bits;
using testing_support::small_experiment;

class InferenceTest : public ::testing::Test {
 protected:
  InferenceTest() {
    Session session(experiment_, dataset_);
    summary_ = Trainer(session, nullptr).run();
    weights_ = {.tensors = as_f32(download_tensors(session.weights())),
                .normalization = session.normalization(),
                .input_shape = {12}};
  }
  [[nodiscard]] std::string refusal(const Samples& samples, Phase phase = Phase::prediction) const {
    return message_of([&] { const Inference inference(experiment_, weights_, samples, 8, phase); });
  }

  Experiment experiment_ = small_experiment(
      {"data.validation_split=0.1", "training.epochs=3", "data.normalize=standardize"});
  Dataset dataset_ = data_of(experiment_);
  TrainingSummary summary_;
  RunFolder::StoredWeights weights_;
};

TEST_F(InferenceTest, EvaluatesEverySplitAsTrainingDid) {
  const Samples test = select_samples(experiment_, weights_, "test");
  Inference on_test(experiment_, weights_, test, 7, Phase::evaluation);
  const SplitResult result = on_test.evaluate();
  EXPECT_EQ(result.loss, summary_.test->loss);
  EXPECT_EQ(result.accuracy, summary_.test->accuracy);
  EXPECT_EQ(result.samples, 60);
  const Samples validation = select_samples(experiment_, weights_, "validation");
  Inference on_validation(experiment_, weights_, validation, 30, Phase::evaluation);
  EXPECT_EQ(on_validation.evaluate().loss, summary_.validation->loss);
}

TEST_F(InferenceTest, SelectsSplitsAsTrainingCutThem) {
  EXPECT_EQ(select_samples(experiment_, weights_, "train").count, 270);
  const Samples validation = select_samples(experiment_, weights_, "validation");
  EXPECT_EQ(validation.count, 30);
  EXPECT_EQ(validation.labels, std::vector<std::int32_t>(dataset_.train.labels.begin() + 270,
                                                         dataset_.train.labels.end()));
  EXPECT_EQ(select_samples(experiment_, weights_, "test").count, 60);
}

TEST_F(InferenceTest, NamesTheSplitsThatThereAre) {
  const Experiment bare = small_experiment({"data.test_samples=0"});
  EXPECT_THAT(message_of([&] { (void)select_samples(bare, weights_, "test"); }),
              AllOf(HasSubstr("no test samples"), HasSubstr("--data train")));
  EXPECT_THAT(message_of([&] { (void)select_samples(bare, weights_, "validation"); }),
              AllOf(HasSubstr("no validation samples"), HasSubstr("--data train")));
}

TEST_F(InferenceTest, RefusesSamplesOfAnotherSize) {
  const Experiment wider = small_experiment({"data.features=13"});
  EXPECT_THAT(message_of([&] { (void)select_samples(wider, weights_, "test"); }),
              AllOf(HasSubstr("[13]"), HasSubstr("[12]")));
}

TEST_F(InferenceTest, SlicesWholeSamples) {
  const Samples part = slice(dataset_.train, 100, 3);
  EXPECT_EQ(part.count, 3);
  EXPECT_THAT(part.labels, ElementsAre(dataset_.train.labels[100], dataset_.train.labels[101],
                                       dataset_.train.labels[102]));
  ASSERT_EQ(part.features.size(), 3u * 12u * 4u);
  EXPECT_TRUE(std::equal(part.features.begin(), part.features.end(),
                         dataset_.train.features.begin() + 100 * 12 * 4));
}

TEST_F(InferenceTest, PredictsDistributionsThatFollowFromTheLogits) {
  const Samples test = *dataset_.test;
  Inference probabilities(experiment_, weights_, test, 16, Phase::prediction);
  Inference logits(experiment_, weights_, test, 16, Phase::prediction, false);
  const std::vector<float> p = probabilities.predict();
  const std::vector<float> z = logits.predict();
  ASSERT_EQ(p.size(), 60u * 4u);
  ASSERT_EQ(z.size(), p.size());
  for (std::size_t row = 0; row < 60; ++row) {
    double total = 0.0;
    double sum = 0.0;
    for (std::size_t c = 0; c < 4; ++c) {
      total += static_cast<double>(p[row * 4 + c]);
      sum += std::exp(static_cast<double>(z[row * 4 + c]));
    }
    EXPECT_TRUE(std::abs(total - 1.0) <= 1e-6) << row;
    for (std::size_t c = 0; c < 4; ++c) {
      const double expected = std::exp(static_cast<double>(z[row * 4 + c])) / sum;
      EXPECT_TRUE(std::abs(static_cast<double>(p[row * 4 + c]) - expected) <= 1e-6) << row;
    }
  }
}

TEST_F(InferenceTest, PredictsTheClassOfTheHighestLogit) {
  Inference evaluation(experiment_, weights_, *dataset_.test, 16, Phase::evaluation);
  (void)evaluation.evaluate();
  const std::vector<std::int32_t> classes = evaluation.predicted_classes();
  Inference prediction(experiment_, weights_, *dataset_.test, 16, Phase::prediction, false);
  const std::vector<float> logits = prediction.predict();
  for (std::size_t row = 0; row < classes.size(); ++row) {
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row * 4);
    EXPECT_EQ(classes[row], std::max_element(begin, begin + 4) - begin);
  }
}

TEST_F(InferenceTest, PredictsUnlabelledSamplesButDoesNotEvaluateThem) {
  Samples unlabelled = *dataset_.test;
  unlabelled.labels.clear();
  EXPECT_EQ(refusal(unlabelled), "accepted");
  EXPECT_THAT(refusal(unlabelled, Phase::evaluation),
              AllOf(HasSubstr("no labels"), HasSubstr("predict")));
  Inference with(experiment_, weights_, *dataset_.test, 16, Phase::prediction);
  Inference without(experiment_, weights_, unlabelled, 16, Phase::prediction);
  EXPECT_TRUE(same_bits<float>(without.predict(), with.predict()));
}

TEST_F(InferenceTest, RefusesLabelsBeyondTheClasses) {
  Samples samples = *dataset_.test;
  samples.labels[3] = 4;
  EXPECT_THAT(refusal(samples, Phase::evaluation), HasSubstr("4"));
}

TEST_F(InferenceTest, RefusesFloatsWhereTheRunHadBytes) {
  weights_.normalization.kind = Normalize::unit;
  EXPECT_THAT(refusal(*dataset_.test), AllOf(HasSubstr("floats"), HasSubstr("bytes")));
}

TEST_F(InferenceTest, RefusesWeightsOfAnotherModel) {
  weights_.tensors.pop_back();
  EXPECT_THAT(refusal(*dataset_.test), HasSubstr("does not fit the model"));
}

TEST_F(InferenceTest, TakesABatchLargerThanTheSamples) {
  const Inference inference(experiment_, weights_, *dataset_.test, 1000, Phase::prediction);
  EXPECT_EQ(inference.batch_size(), 60);
  EXPECT_EQ(inference.classes(), 4);
}

TEST_F(InferenceTest, ComparesBatchSizesWithOneByOne) {
  const std::int64_t batches[] = {1, 13, 60};
  const std::vector<BatchSizeComparison> rows =
      compare_batch_sizes(experiment_, weights_, *dataset_.test, batches, true);
  ASSERT_EQ(rows.size(), 3u);
  for (std::size_t index = 0; index < rows.size(); ++index) {
    EXPECT_EQ(rows[index].batch_size, batches[index]);
    EXPECT_EQ(rows[index].differences, std::vector<double>(60, 0.0));
    EXPECT_EQ(rows[index].differing_samples, 0);
    EXPECT_EQ(rows[index].largest_difference, 0.0);
    EXPECT_GT(rows[index].samples_per_second, 0.0);
  }
}

TEST(ComparePredictions, KeepsNaNWhateverFollowsIt) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> expected = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
  const std::vector<float> found = {nan, 2.5f, 3.0f, 4.5f, 5.0f, 6.0f};
  const BatchSizeComparison result = compare_predictions(found, expected, 2);
  ASSERT_EQ(result.differences.size(), 3u);
  EXPECT_TRUE(std::isnan(result.differences[0]));
  EXPECT_EQ(result.differences[1], 0.5);
  EXPECT_EQ(result.differences[2], 0.0);
  EXPECT_EQ(result.differing_samples, 2);
  EXPECT_TRUE(std::isnan(result.largest_difference));
}

TEST(ComparePredictions, NaNAndInfinityEqualThemselves) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {1.0f, nan, infinity, -infinity};
  const BatchSizeComparison result = compare_predictions(values, values, 2);
  EXPECT_THAT(result.differences, ElementsAre(0.0, 0.0));
  EXPECT_EQ(result.differing_samples, 0);
  EXPECT_EQ(result.largest_difference, 0.0);
}

TEST(ComparePredictions, ASampleOfOtherBitsDiffers) {
  const BatchSizeComparison result =
      compare_predictions(std::vector<float>{-0.0f, 1.0f}, std::vector<float>{0.0f, 1.0f}, 1);
  EXPECT_THAT(result.differences, ElementsAre(0.0, 0.0));
  EXPECT_EQ(result.differing_samples, 1);
}

TEST(Classify, CountsByLabelAndPrediction) {
  const std::vector<std::int32_t> labels = {0, 0, 0, 1, 1, 2};
  const std::vector<std::int32_t> predicted = {0, 0, 1, 1, 0, 0};
  const Classification result = classify(labels, predicted, 4);
  EXPECT_THAT(result.confusion, ElementsAre(ElementsAre(2, 1, 0, 0), ElementsAre(1, 1, 0, 0),
                                            ElementsAre(1, 0, 0, 0), ElementsAre(0, 0, 0, 0)));
  EXPECT_EQ(result.classes[0].precision, 0.5);
  EXPECT_EQ(result.classes[0].recall, 2.0 / 3.0);
  EXPECT_EQ(result.classes[0].f1, 4.0 / 7.0);
  EXPECT_EQ(result.classes[0].samples, 3);
  EXPECT_TRUE(std::isnan(result.classes[2].precision));  // never predicted
  EXPECT_EQ(result.classes[2].recall, 0.0);
  EXPECT_EQ(result.classes[2].f1, 0.0);
  EXPECT_TRUE(std::isnan(result.classes[3].recall));  // no sample
  EXPECT_TRUE(std::isnan(result.classes[3].f1));
}

}  // namespace
}  // namespace batchwise
