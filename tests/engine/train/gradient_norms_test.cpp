// The norms of a batch's per-sample gradients: against gradients taken sample by sample, and that
// measuring them changes nothing.
#include "engine/train/gradient_norms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/training.h"

namespace batchwise {
namespace {

using testing_support::data_of;
using testing_support::elements_of;
using testing_support::first_ids;
using testing_support::metrics_of_kind;
using testing_support::random_samples;
using testing_support::small_experiment;
using testing_support::train_in;

// Norms against explicit gradients, in double.

constexpr std::int64_t kSamples = 12;

const std::string kThreeLayers =
    R"({ type = "dense", units = 9, activation = "tanh" },
       { type = "dense", units = 7, activation = "relu", bias = false },
       { type = "dense", units = 3 })";
const std::string kFrozenLayers =
    R"({ type = "dense", units = 9 }, { type = "batchnorm", trainable = false },
       { type = "activation", activation = "gelu" },
       { type = "dense", units = 7, trainable = false }, { type = "dense", units = 3 })";
const std::string kBatchNorm =
    R"({ type = "dense", units = 9 }, { type = "batchnorm", group = 4 },
       { type = "activation", activation = "relu" }, { type = "dense", units = 4 })";

Dataset twelve_samples() {
  return {.train = random_samples(kSamples, {5}, 3, 1), .test = std::nullopt, .notes = {}};
}

/// Plain sgd on the twelve samples in double; weights are the initial ones before each update.
class Gradients {
 public:
  Gradients(const std::string& layers, std::int64_t batch, const std::string& training = "")
      : session_(testing_support::experiment_of(
                     "[model]\nlayers = [" + layers +
                         "]\n[optimizer]\nname = \"sgd\"\n[measure]\nnoise_scale_every_steps = "
                         "1\n[training]\nbatch_size = " +
                         std::to_string(batch) + "\n" + training,
                     Precision::fp64),
                 twelve_samples()),
        initial_(download_bytes(session_.weights())) {}

  GradientNorms norms(std::span<const std::int32_t> ids) {
    upload_bytes(session_.weights(), initial_);
    GradientNorms norms;
    (void)session_.update(ids, 3, 0.0, &norms);
    return norms;
  }

  /// The mean gradient of the dense layers that are trained.
  std::vector<double> mean(std::span<const std::int32_t> ids) {
    upload_bytes(session_.weights(), initial_);
    std::vector<double> gradient = dense_weights();
    (void)session_.update(ids, 3, 1.0);
    const std::vector<double> after = dense_weights();
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= after[i];
    return gradient;
  }

 private:
  [[nodiscard]] std::vector<double> dense_weights() const {
    std::vector<TensorData> tensors = download_tensors(session_.weights());
    std::erase_if(tensors,
                  [](const TensorData& tensor) { return !tensor.name.starts_with("dense"); });
    return elements_of(tensors);
  }

  Session session_;
  std::vector<std::byte> initial_;
};

double squared(std::span<const double> values) {
  const double norm = testing_support::norm_of(values);
  return norm * norm;
}

class NormsOfSamples : public testing::TestWithParam<std::string> {};

TEST_P(NormsOfSamples, AreThoseOfGradientsTakenOneByOne) {
  const std::vector<std::int32_t> ids = first_ids(kSamples);
  const GradientNorms norms = Gradients(GetParam(), kSamples).norms(ids);
  Gradients single(GetParam(), 1);
  double squares = 0.0;
  for (const std::int32_t& id : ids) squares += squared(single.mean({&id, 1}));
  EXPECT_EQ(norms.step, 3);
  EXPECT_EQ(norms.samples, kSamples);
  const double expected = squares / kSamples;
  EXPECT_NEAR(norms.mean_squared_norm, expected, 1e-10 * expected);
}

TEST_P(NormsOfSamples, AndTheirMeansIsThatOfTheBatchsGradient) {
  const std::vector<std::int32_t> ids = first_ids(kSamples);
  for (const char* settings :
       {"", "micro_batch_size = 8", "micro_batch_size = 8\naccumulation = \"sum\""}) {
    Gradients whole(GetParam(), kSamples), split(GetParam(), kSamples, settings);
    const double expected = squared(whole.mean(ids));
    EXPECT_NEAR(split.norms(ids).squared_norm_of_mean, expected, 1e-10 * expected) << settings;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, NormsOfSamples, testing::Values(kThreeLayers, kFrozenLayers));

TEST(GradientNorms, NeedAPlanThatMeasuresThem) {
  const auto session_of = [](const std::string& layers, const std::string& every) {
    const Experiment experiment =
        small_experiment({"measure.noise_scale_every_steps=" + every}, layers);
    return std::make_unique<Session>(experiment, data_of(experiment));
  };
  const std::string frozen = R"({ type = "batchnorm", group = 4 },
                                { type = "dense", units = 4, trainable = false })";
  EXPECT_TRUE(session_of(testing_support::kSmallLayers, "10")->measures_gradients());
  // Normalised by the batch, a sample has no gradient of its own.
  for (const auto& session : {session_of(testing_support::kSmallLayers, "0"),
                              session_of(frozen, "10"), session_of(kBatchNorm, "10")}) {
    EXPECT_FALSE(session->measures_gradients());
    GradientNorms norms;
    EXPECT_THROW((void)session->update(first_ids(32), 1, 0.1, &norms), std::logic_error);
  }
}

// What measuring leaves as it was.

TEST(MeasuringNoise, ChangesNoWeight) {
  std::vector<std::string> sums;
  for (const char* every : {"0", "1", "10"}) {
    sums.push_back(testing_support::train(
                       small_experiment({std::string("measure.noise_scale_every_steps=") + every}))
                       .weights_sha256);
  }
  EXPECT_EQ(sums[1], sums[0]);
  EXPECT_EQ(sums[2], sums[0]);
}

/// The noise lines of a run, as text.
std::vector<std::string> noise_lines(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  for (const nlohmann::json& line : metrics_of_kind(folder, "noise")) lines.push_back(line.dump());
  return lines;
}

TEST(MeasuringNoise, GivesTheSameBitsHoweverABatchGoesThroughMemory) {
  const TemporaryFolder folder;
  std::vector<std::string> whole;
  int number = 0;
  for (const std::vector<std::string>& settings :
       {std::vector<std::string>{},
        {"training.micro_batch_size=7"},
        {"training.micro_batch_size=1"},
        {"training.checkpoint=[\"dense_1\",\"dense_2\"]"},
        {"training.offload_activations=true"}}) {
    std::vector<std::string> all = settings;
    all.emplace_back("measure.noise_scale_every_steps=3");
    const auto run = folder / std::to_string(number++);
    (void)train_in(run, small_experiment(all, kThreeLayers + R"(, { type = "dense", units = 4 })"));
    const std::vector<std::string> lines = noise_lines(run);
    if (whole.empty()) whole = lines;
    EXPECT_EQ(lines.size(), 6U);  // of 20 steps
    EXPECT_EQ(lines, whole) << testing::PrintToString(settings);
  }
}

TEST(MeasuringNoise, GoesOnWhereARunIsResumed) {
  const TemporaryFolder folder;
  const Experiment experiment = small_experiment({"measure.noise_scale_every_steps=3"});
  (void)train_in(folder / "whole", experiment);
  for (const std::int64_t stop : {2, 9, 13}) {
    EXPECT_THROW((void)train_in(folder / "parts", experiment, stop), Interrupted);
  }
  (void)train_in(folder / "parts", experiment);
  EXPECT_EQ(noise_lines(folder / "parts"), noise_lines(folder / "whole"));
}

/// Tells what a trainer tells of gradients.
class NormsListener final : public TrainingObserver {
 public:
  void on_gradient_norms(const GradientNorms& norms) override { steps.push_back(norms.step); }
  std::vector<std::int64_t> steps;
};

TEST(MeasuringNoise, LeavesBatchesOfOneOut) {
  // Every fourth batch of an epoch is of one sample.
  const Experiment experiment =
      small_experiment({"data.samples=97", "measure.noise_scale_every_steps=2"});
  Session session(experiment, data_of(experiment));
  NormsListener listener;
  (void)Trainer(session, nullptr, {.observer = &listener, .interrupted = {}}).run();
  EXPECT_THAT(listener.steps, testing::ElementsAre(2, 6));
}

}  // namespace
}  // namespace batchwise
