// Whole runs of the fp32 backend against the reference in double (docs/numerics.md, "Truth"):
// freely where a network forgets small errors, and elsewhere step by step from the same state.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "engine/data/shuffle.h"
#include "engine/train/session.h"
#include "tests/support/training.h"

namespace batchwise {
namespace {

using testing_support::distance;
using testing_support::doubles_of;
using testing_support::elements_of;
using testing_support::norm_of;
using testing_support::tensor_of;

constexpr double kRoundoff = 0x1p-24;
constexpr std::int64_t kSamples = 70;
constexpr std::int64_t kBatch = 16;

struct Configuration {
  std::string name;
  std::string layers;     ///< TOML, between brackets
  std::string optimizer;  ///< TOML, of the section
  std::int64_t micro_batch_size = 0;
};

const std::string kMlp = R"({ type = "dense", units = 12, activation = "relu" },
    { type = "dense", units = 10, activation = "tanh" }, { type = "dense", units = 3 })";
const std::string kSmooth = R"({ type = "dense", units = 12, activation = "gelu" },
    { type = "dense", units = 10, activation = "sigmoid" },
    { type = "dense", units = 8, activation = "leaky_relu" }, { type = "dense", units = 3 })";
const std::string kDropout = R"({ type = "dense", units = 16, activation = "relu" },
    { type = "dropout", rate = 0.3 }, { type = "dense", units = 3 })";
const std::string kBatchNorm = R"({ type = "dense", units = 12 }, { type = "batchnorm" },
    { type = "activation", activation = "relu" }, { type = "dense", units = 3 })";
const std::string kGhostBatchNorm = R"({ type = "batchnorm", group = 4 },
    { type = "dense", units = 12, activation = "tanh" }, { type = "batchnorm", group = 8 },
    { type = "dense", units = 3 })";

Session make_session(const Configuration& configuration, Precision precision) {
  return Session(
      testing_support::experiment_of(
          "seed = 3\n[model]\nlayers = [" + configuration.layers + "]\n[optimizer]\n" +
              configuration.optimizer + "\n[training]\nbatch_size = " + std::to_string(kBatch) +
              "\nmicro_batch_size = " + std::to_string(configuration.micro_batch_size) + "\n",
          precision),
      {.train = testing_support::random_samples(kSamples, {9}, 3, 71), .test = {}, .notes = {}});
}

/// The batches of so many updates, ragged last ones included.
std::vector<std::vector<std::int32_t>> batches(std::size_t updates) {
  std::vector<std::vector<std::int32_t>> result;
  std::vector<std::int32_t> order(kSamples);
  for (std::int64_t epoch = 1; result.size() < updates; ++epoch) {
    epoch_order(3, epoch, order);
    for (std::int64_t first = 0; first < kSamples && result.size() < updates; first += kBatch) {
      result.emplace_back(order.begin() + first,
                          order.begin() + std::min(first + kBatch, kSamples));
    }
  }
  return result;
}

std::string name_of_configuration(const testing::TestParamInfo<Configuration>& parameter) {
  return parameter.param.name;
}

class FreeRunning : public testing::TestWithParam<Configuration> {};

// The spread of these configurations themselves, the distance between two runs in double that begin
// one unit roundoff of fp32 apart, is asserted too: where it is larger, a correct engine may drift.
TEST_P(FreeRunning, FloatStaysWithin1e5OfDoubleFor200Steps) {
  Session in_float = make_session(GetParam(), Precision::fp32);
  Session in_double = make_session(GetParam(), Precision::fp64);
  Session beside = make_session(GetParam(), Precision::fp64);
  ASSERT_EQ(in_float.backend().real(), ElementType::f32);
  ASSERT_EQ(in_double.backend().real(), ElementType::f64);
  std::vector<TensorData> shifted = download_tensors(beside.weights());
  for (TensorData& tensor : shifted) {
    std::vector<double> values = doubles_of(tensor);
    for (double& value : values) value *= 1.0 + kRoundoff;
    tensor = tensor_of(tensor.name, tensor.shape, values);
  }
  upload_tensors(beside.weights(), shifted, "the test");
  const double rate = in_float.experiment().optimizer.learning_rate;
  std::int64_t step = 0;
  for (const std::vector<std::int32_t>& batch : batches(200)) {
    ++step;
    for (Session* session : {&in_float, &in_double, &beside}) session->update(batch, step, rate);
  }
  const std::vector<double> expected = elements_of(download_tensors(in_double.weights()));
  const double spread = distance(elements_of(download_tensors(beside.weights())), expected);
  EXPECT_LE(spread, 1e-6 * norm_of(expected));
  const double error = distance(elements_of(download_tensors(in_float.weights())), expected);
  EXPECT_LE(error, 1e-5 * norm_of(expected));
}

INSTANTIATE_TEST_SUITE_P(
    Configurations, FreeRunning,
    testing::Values(Configuration{"sgd", kMlp, "name = \"sgd\""},
                    Configuration{"sgd_momentum", kSmooth, "name = \"sgd\"\nmomentum = 0.9"},
                    Configuration{"sgd_dropout", kDropout, "name = \"sgd\"\nlearning_rate = 0.05"},
                    Configuration{"sgd_micro_batches", kMlp,
                                  "name = \"sgd\"\nweight_decay = 0.01\nclip_global_norm = 0.5",
                                  5}),
    name_of_configuration);

/// The weights with the running statistics, and each slot of the optimizer.
using State = std::vector<std::vector<TensorData>>;

std::vector<ParameterArena> arenas_of(const Session& session) {
  std::vector<ParameterArena> arenas{session.weights()};
  for (int slot = 0; slot < session.optimizer_slots(); ++slot) {
    arenas.push_back(session.optimizer_slot(slot));
  }
  return arenas;
}

State state_of(const Session& session) {
  State state;
  for (const ParameterArena& arena : arenas_of(session)) state.push_back(download_tensors(arena));
  return state;
}

void set_state(const Session& session, const State& state) {
  const std::vector<ParameterArena> arenas = arenas_of(session);
  for (std::size_t i = 0; i < arenas.size(); ++i) upload_tensors(arenas[i], state[i], "the test");
}

State rounded_to_float(State state) {
  for (std::vector<TensorData>& tensors : state) tensors = as_f32(std::move(tensors));
  return state;
}

/// Every element times 1 + e, e uniform in [-largest, largest].
State perturbed(State state, double largest, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> relative(-largest, largest);
  for (std::vector<TensorData>& tensors : state) {
    for (TensorData& tensor : tensors) {
      std::vector<double> values = doubles_of(tensor);
      for (double& value : values) value *= 1.0 + relative(generator);
      tensor = tensor_of(tensor.name, tensor.shape, values);
    }
  }
  return state;
}

/// What an update adds to each arena.
std::vector<std::vector<double>> change(const State& before, const State& after) {
  std::vector<std::vector<double>> changes;
  for (std::size_t arena = 0; arena < before.size(); ++arena) {
    std::vector<double> difference = elements_of(after[arena]);
    const std::vector<double> from = elements_of(before[arena]);
    for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= from[i];
    changes.push_back(std::move(difference));
  }
  return changes;
}

/// Roundings that a number of one update passes through at most: the lengths of the layers' sums,
/// forward and backward, and the batch's.
std::int64_t roundings_of(const Session& session) {
  std::int64_t roundings = kBatch;
  for (const GraphNode& node : session.graph().nodes) {
    if (node.operation != "dense") continue;
    roundings += 2 * (session.graph().values[node.input].elements() + node.config.units);
  }
  return roundings;
}

class StepByStep : public testing::TestWithParam<Configuration> {
 protected:
  static constexpr std::int64_t kSteps = 25;

  State update_from(Session& session, const State& start, const std::vector<std::int32_t>& batch,
                    std::int64_t step) {
    set_state(session, start);
    session.update(batch, step, session.experiment().optimizer.learning_rate);
    return state_of(session);
  }

  /// How far each arena's change moves when the state it starts from is off by as much as fp32's
  /// roundings amount to: a product that is summed in fp32 is the exact product for weights that
  /// are off by n u each (Higham, Accuracy and Stability, 2002, section 3.1).
  std::vector<double> sensitivity(Session& session, const State& start,
                                  const std::vector<std::vector<double>>& expected,
                                  const std::vector<std::int32_t>& batch, std::int64_t step) {
    const double relative = static_cast<double>(roundings_of(session)) * kRoundoff;
    std::vector<double> largest(expected.size(), 0.0);
    for (std::uint32_t trial = 1; trial <= 4; ++trial) {
      const State moved = perturbed(start, relative, trial);
      const auto changes = change(moved, update_from(session, moved, batch, step));
      for (std::size_t arena = 0; arena < largest.size(); ++arena) {
        largest[arena] = std::max(largest[arena], distance(changes[arena], expected[arena]));
      }
    }
    return largest;
  }
};

TEST_P(StepByStep, EachFloatStepFromTheDoubleStateIsWithinItsSensitivityToRounding) {
  Session in_float = make_session(GetParam(), Precision::fp32);
  Session in_double = make_session(GetParam(), Precision::fp64);
  State start = rounded_to_float(state_of(in_double));
  std::int64_t step = 0;
  for (const std::vector<std::int32_t>& batch : batches(kSteps)) {
    ++step;
    const State expected = update_from(in_double, start, batch, step);
    const State result = update_from(in_float, start, batch, step);
    const auto moves = sensitivity(in_double, start, change(start, expected), batch, step);
    for (std::size_t arena = 0; arena < expected.size(); ++arena) {
      const std::vector<double> values = elements_of(expected[arena]);
      // The new value itself is rounded in at most two operations.
      const double bound = moves[arena] + 2.0 * kRoundoff * norm_of(values);
      EXPECT_LE(distance(elements_of(result[arena]), values), bound)
          << "step " << step << ", arena " << arena;
    }
    start = rounded_to_float(expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Configurations, StepByStep,
    testing::Values(
        Configuration{"adam", kMlp, "name = \"adam\""},
        Configuration{"adamw", kSmooth, "name = \"adamw\"\nweight_decay = 0.1"},
        Configuration{"adam_batchnorm", kBatchNorm, "name = \"adam\"\nlearning_rate = 0.01"},
        Configuration{"rmsprop", kMlp, "name = \"rmsprop\""},
        Configuration{"rmsprop_momentum", kDropout, "name = \"rmsprop\"\nmomentum = 0.9"},
        Configuration{"sgd_high_rate", kMlp, "name = \"sgd\"\nlearning_rate = 1.0"},
        Configuration{"sgd_batchnorm", kBatchNorm, "name = \"sgd\"\nlearning_rate = 0.1"},
        Configuration{"sgd_ghost_batchnorm", kGhostBatchNorm,
                      "name = \"sgd\"\nlearning_rate = 0.1\nmomentum = 0.9\nnesterov = true", 8}),
    name_of_configuration);

}  // namespace
}  // namespace batchwise
