// The gradients of whole networks (docs/numerics.md, "Truth"): what the engine in double computes
// agrees with central differences of its own loss.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "engine/train/session.h"
#include "tests/support/training.h"

namespace batchwise {
namespace {

using testing_support::distance;
using testing_support::doubles_of;
using testing_support::norm_of;

constexpr std::int64_t kSamples = 11;
constexpr std::int32_t kClasses = 3;

struct Network {
  std::string name;
  std::vector<std::int64_t> sample_shape;
  std::string layers;                 ///< TOML, between brackets
  std::int64_t micro_batch_size = 0;  ///< 0: all samples in one pass
};

std::vector<Network> networks() {
  const auto mlp = [](const std::string& function) {
    return R"({ type = "activation", activation = ")" + function +
           R"(" }, { type = "dense", units = 7, activation = ")" + function +
           R"(" }, { type = "dense", units = 5 }, { type = "activation", activation = ")" +
           function + R"(" }, { type = "dense", units = 3 })";
  };
  const std::string dropout = R"({ type = "dropout", rate = 0.2 },
      { type = "dense", units = 8, activation = "gelu" }, { type = "dropout", rate = 0.5 },
      { type = "dense", units = 3 })";
  const auto batchnorm = [](const std::string& option) {
    return R"({ type = "dense", units = 6 }, { type = "batchnorm")" + option +
           R"( }, { type = "activation", activation = "tanh" },
      { type = "dense", units = 5, activation = "sigmoid" }, { type = "batchnorm")" +
           option + R"( }, { type = "dense", units = 3 })";
  };
  const auto image = [](const std::string& option) {
    return R"({ type = "batchnorm")" + option +
           R"( }, { type = "activation", activation = "gelu" }, { type = "batchnorm")" + option +
           R"( }, { type = "flatten" }, { type = "dense", units = 6, activation = "leaky_relu" },
      { type = "dense", units = 3 })";
  };
  const std::string frozen = R"({ type = "dense", units = 6 },
      { type = "batchnorm", trainable = false },
      { type = "dense", units = 5, activation = "tanh", trainable = false },
      { type = "batchnorm" }, { type = "dense", units = 3 })";
  return {
      {"relu", {4}, mlp("relu")},
      {"leaky_relu", {4}, mlp("leaky_relu")},
      {"gelu", {4}, mlp("gelu")},
      {"tanh", {4}, mlp("tanh")},
      {"sigmoid", {4}, mlp("sigmoid")},
      {"relu_in_micro_batches", {4}, mlp("relu"), 4},
      {"dropout", {6}, dropout},
      {"dropout_in_micro_batches", {6}, dropout, 3},
      {"batchnorm", {4}, batchnorm("")},
      {"batchnorm_in_groups", {4}, batchnorm(", group = 4")},
      {"batchnorm_in_groups_and_micro_batches", {4}, batchnorm(", group = 4"), 8},
      {"batchnorm_of_images", {3, 2, 2}, image("")},
      {"batchnorm_of_images_in_groups", {3, 2, 2}, image(", group = 2"), 4},
      {"frozen_layers", {4}, frozen},
  };
}

/// A session in double whose updates give a gradient away: plain SGD at learning rate 1 subtracts
/// it from the weights, at 0 it only reports the loss.
Experiment experiment_for(const Network& network) {
  return testing_support::experiment_of(
      "seed = 5\n[model]\nlayers = [" + network.layers + "]\n[optimizer]\nname = \"sgd\"\n" +
          "[training]\nbatch_size = " + std::to_string(kSamples) +
          "\nmicro_batch_size = " + std::to_string(network.micro_batch_size) + "\n",
      Precision::fp64);
}

class GradientCheck : public testing::TestWithParam<Network> {
 protected:
  GradientCheck()
      : session_(experiment_for(GetParam()), {.train = testing_support::random_samples(
                                                  kSamples, GetParam().sample_shape, kClasses, 31),
                                              .test = {},
                                              .notes = {}}),
        ids_(kSamples) {
    std::iota(ids_.begin(), ids_.end(), 0);
    move_off_the_initial_values();
    initial_ = download_bytes(session_.weights());
  }

  /// Biases of 0 and scales of 1 would hide errors.
  void move_off_the_initial_values() {
    std::vector<TensorData> tensors = download_tensors(session_.weights());
    std::uint32_t seed = 100;
    for (TensorData& tensor : tensors) {
      std::vector<double> values = doubles_of(tensor);
      const auto noise = testing_support::random_values(std::ssize(values), ++seed, 0.1f);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += std::abs(noise[i]);
      tensor = testing_support::tensor_of(tensor.name, tensor.shape, values);
    }
    upload_tensors(session_.weights(), tensors, "the test");
  }

  /// The mean loss at the initial weights but for element `index` of the arena, `shift` away.
  double loss_with(std::int64_t index, double shift) {
    std::vector<std::byte> weights = initial_;
    double value = 0.0;
    std::byte* element = weights.data() + index * static_cast<std::int64_t>(sizeof(value));
    std::memcpy(&value, element, sizeof(value));
    value += shift;
    std::memcpy(element, &value, sizeof(value));
    upload_bytes(session_.weights(), weights);
    return session_.update(ids_, 1, 0.0).loss_sum / static_cast<double>(kSamples);
  }

  [[nodiscard]] double central_difference(std::int64_t index) {
    constexpr double kStep = 1e-5;
    return (loss_with(index, kStep) - loss_with(index, -kStep)) / (2.0 * kStep);
  }

  /// Weights before minus weights after an update at rate 1, by element of the arena.
  [[nodiscard]] std::vector<double> gradient() {
    upload_bytes(session_.weights(), initial_);
    session_.update(ids_, 1, 1.0);
    const std::vector<std::byte> updated = download_bytes(session_.weights());
    std::vector<double> before(initial_.size() / sizeof(double)), after(before.size());
    std::memcpy(before.data(), initial_.data(), initial_.size());
    std::memcpy(after.data(), updated.data(), updated.size());
    for (std::size_t i = 0; i < before.size(); ++i) before[i] -= after[i];
    return before;
  }

  Session session_;
  std::vector<std::int32_t> ids_;
  std::vector<std::byte> initial_;
};

// The differences' own error is of the order of step^2 = 1e-10 and of u * loss / step = 1e-11: the
// contract's 1e-6 is easily kept, and 1e-8 can be asked for. The seeds are such that no element
// crosses a kink of relu within the step: one that did would show as an error of the order of 1.
TEST_P(GradientCheck, AgreesWithCentralDifferencesOfTheLoss) {
  const std::vector<double> gradient_of_arena = gradient();
  std::vector<double> gradients, differences;
  for (const ParameterPlace& place : session_.training_plan().parameters.places) {
    if (place.spec.role != ParameterRole::trainable) continue;
    for (std::int64_t element = 0; element < place.spec.shape.elements(); ++element) {
      const std::int64_t index = place.offset_of(element);
      const double engine = gradient_of_arena[static_cast<std::size_t>(index)];
      if (place.spec.frozen) {
        EXPECT_EQ(engine, 0.0) << place.spec.name;
        continue;
      }
      gradients.push_back(engine);
      differences.push_back(central_difference(index));
    }
  }
  ASSERT_GT(norm_of(differences), 1e-3);
  EXPECT_LE(distance(gradients, differences), 1e-8 * norm_of(differences));
}

INSTANTIATE_TEST_SUITE_P(Networks, GradientCheck, testing::ValuesIn(networks()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace batchwise
