// The model graph: what the layers compute and which parameters they have, before any batch size,
// type or memory layout is known. First stage of the plan.
#pragma once

#include <string>
#include <vector>

#include "engine/model/experiment.h"
#include "kernels/ops/tensor_view.h"

namespace batchwise {

enum class ParameterRole {
  trainable,  ///< has a gradient and is updated by the optimizer
  running,    ///< BatchNorm's running statistics: stored and hashed with the weights
};

enum class ParameterInit { zeros, ones, glorot_uniform, kaiming_uniform };

/// One stored tensor of a layer.
struct ParameterSpec {
  std::string name;  ///< <layer>.weight, .bias, .running_mean, .running_var
  Dimensions shape;  ///< logical, PyTorch's order
  ParameterRole role = ParameterRole::trainable;
  ParameterInit init = ParameterInit::zeros;
  std::int64_t fan_in = 0;
  std::int64_t fan_out = 0;
  bool frozen = false;
};

/// A node applies one operation of the registry to the value of an earlier node.
struct GraphNode {
  std::string name;       ///< the layer's name
  std::string operation;  ///< in the registry of engine/operations
  LayerConfig config;
  int input = 0;   ///< index of a value; value 0 is the model's input
  int output = 0;  ///< index of a value
  std::vector<ParameterSpec> parameters;
};

struct Graph {
  std::vector<Dimensions> values;  ///< the shape of one sample of each value
  std::vector<GraphNode> nodes;    ///< in order of execution

  [[nodiscard]] const Dimensions& input_shape() const { return values.front(); }
  [[nodiscard]] const Dimensions& output_shape() const { return values.back(); }
  /// Units of the last layer.
  [[nodiscard]] std::int64_t classes() const { return output_shape().elements(); }
  /// All stored tensors in order of the layers.
  [[nodiscard]] std::vector<ParameterSpec> parameters() const;
};

/// The graph of a model on samples of the given shape ([features] or [channels, height, width]).
/// Throws InputError naming the layer whose input does not fit.
[[nodiscard]] Graph build_graph(const ModelConfig& model, const Dimensions& sample_shape);

/// One line a node: name, operation, shapes, parameters.
[[nodiscard]] std::string to_text(const Graph& graph);

/// "[784, 128]".
[[nodiscard]] std::string to_text(const Dimensions& dimensions);

}  // namespace batchwise
