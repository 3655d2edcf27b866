// Models, plan requests and plans for the tests of the plan's stages, small or random.
#pragma once

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/model/experiment_file.h"
#include "engine/plan/plan.h"

namespace batchwise::testing_support {

/// A model of these layers, one TOML table after another.
[[nodiscard]] inline ModelConfig model_of(const std::string& layers) {
  return parse_experiment(
             "[data]\nkind = \"builtin\"\nname = \"blobs\"\n[model]\nlayers = [" + layers + "]\n",
             "experiment", "/", {})
      .model;
}

[[nodiscard]] inline Graph graph_of(const std::string& layers, const Dimensions& sample_shape) {
  return build_graph(model_of(layers), sample_shape);
}

[[nodiscard]] inline OptimizerConfig adam() {
  OptimizerConfig optimizer;
  optimizer.name = OptimizerName::adam;
  optimizer.learning_rate = 0.001;
  return optimizer;
}

/// Training in passes of micro_batch rows (0: the whole batch) on 1000 resident samples of bytes.
[[nodiscard]] inline PlanRequest training_request(std::int64_t batch,
                                                  std::int64_t micro_batch = 0) {
  return {.phase = Phase::training,
          .batch_size = batch,
          .micro_batch_size = micro_batch == 0 ? batch : micro_batch,
          .last_batch_size = 0,
          .real = ElementType::f32,
          .optimizer = adam(),
          .probabilities = false,
          .data_type = ElementType::u8,
          .data_samples = 1000,
          .normalization_channels = 1};
}

/// Evaluation or prediction of `samples` in passes of `rows`.
[[nodiscard]] inline PlanRequest inference_request(Phase phase, std::int64_t samples,
                                                   std::int64_t rows) {
  PlanRequest request = training_request(samples, rows);
  request.phase = phase;
  request.probabilities = true;
  request.data_samples = samples;
  return request;
}

/// The message of the InputError that `action` throws; "accepted" when it throws none.
template <class Action>
[[nodiscard]] std::string refusal_of(Action&& action) {
  try {
    action();
    return "accepted";
  } catch (const InputError& error) {
    return error.what();
  }
}

/// The operations of the steps in order.
[[nodiscard]] inline std::vector<std::string> operations_of(const Program& program) {
  std::vector<std::string> operations;
  for (const Step& step : program.steps) operations.push_back(step.operation);
  return operations;
}

[[nodiscard]] inline bool has_step(const Program& program, const std::string& operation,
                                   const std::string& layer) {
  return std::any_of(program.steps.begin(), program.steps.end(), [&](const Step& step) {
    return step.operation == operation && step.layer == layer;
  });
}

/// Layers drawn at random: any order of any types, some frozen, that end with a dense layer.
[[nodiscard]] inline std::string random_layers(std::mt19937& generator) {
  const auto below = [&](int limit) { return static_cast<int>(generator() % limit); };
  const char* const activations[] = {"none", "relu", "leaky_relu", "gelu", "tanh", "sigmoid"};
  std::string layers = "{ type = \"flatten\" }";
  for (int count = 1 + below(7); count > 0; --count) {
    const std::string frozen = below(4) == 0 ? ", trainable = false" : "";
    switch (below(5)) {
      case 0:
      case 1:
        layers += ", { type = \"dense\", units = " + std::to_string(1 + below(200)) +
                  ", activation = \"" + activations[below(6)] + "\"" + frozen + " }";
        break;
      case 2:
        layers +=
            ", { type = \"batchnorm\", group = " + std::to_string(4 << below(3)) + frozen + " }";
        break;
      case 3: layers += ", { type = \"dropout\", rate = 0.5 }"; break;
      case 4:
        layers += std::string(", { type = \"activation\", activation = \"") +
                  activations[1 + below(5)] + "\" }";
        break;
    }
  }
  return layers + ", { type = \"dense\", units = " + std::to_string(2 + below(20)) + " }";
}

/// A plan of random layers for a random phase, batch and micro-batch.
[[nodiscard]] inline Plan random_plan(std::mt19937& generator) {
  const std::int64_t features = 1 + static_cast<std::int64_t>(generator() % 300);
  const Graph graph = graph_of(random_layers(generator), {1, 1, features});
  // Multiples of every group above.
  const std::int64_t micro_batch = 16 * (1 + static_cast<std::int64_t>(generator() % 40));
  const std::int64_t batch = micro_batch * (1 + static_cast<std::int64_t>(generator() % 4));
  switch (generator() % 4) {
    case 0: return make_plan(graph, inference_request(Phase::evaluation, batch + 5, micro_batch));
    case 1: return make_plan(graph, inference_request(Phase::prediction, batch, micro_batch));
    default: return make_plan(graph, training_request(batch, micro_batch));
  }
}

/// A recipe or starter of apps/recipes with the shape of a sample of its data.
struct Recipe {
  Experiment experiment;
  Dimensions sample_shape;
};

[[nodiscard]] inline Dimensions sample_shape_of(const Experiment& experiment) {
  const bool flattens = experiment.model.layers.front().type == LayerType::flatten;
  if (flattens) return {1, 28, 28};
  return {experiment.data.features > 0 ? experiment.data.features : 64};
}

[[nodiscard]] inline std::vector<Recipe> all_recipes() {
  std::vector<Recipe> recipes;
  const std::filesystem::path folder = std::filesystem::path(BATCHWISE_SOURCE_DIR) / "apps/recipes";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".toml") continue;
    Experiment experiment = load_experiment(entry.path(), {});
    const Dimensions shape = sample_shape_of(experiment);
    recipes.push_back({std::move(experiment), shape});
  }
  return recipes;
}

}  // namespace batchwise::testing_support
