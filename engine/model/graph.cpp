#include "engine/model/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "engine/error.h"
#include "engine/operations/operation.h"

namespace batchwise {
namespace {

std::string_view operation_of(LayerType type) {
  switch (type) {
    case LayerType::flatten: return "flatten";
    case LayerType::dense: return "dense";
    case LayerType::activation: return "activation";
    case LayerType::batchnorm: return "batchnorm";
    case LayerType::dropout: return "dropout";
  }
  return "?";
}

/// Appends a node that reads the value added last.
void append(Graph& graph, const LayerConfig& layer, std::string_view operation_name) {
  const Operation& operation = find_operation(operation_name);
  const Dimensions input = graph.values.back();
  GraphNode node{.name = layer.name,
                 .operation = operation.name,
                 .config = layer,
                 .input = static_cast<int>(graph.values.size()) - 1,
                 .output = static_cast<int>(graph.values.size()),
                 .parameters = {}};
  graph.values.push_back(operation.output_shape(layer, input));
  node.parameters = operation.parameters(layer, input);
  graph.nodes.push_back(std::move(node));
}

}  // namespace

std::vector<ParameterSpec> Graph::parameters() const {
  std::vector<ParameterSpec> all;
  for (const GraphNode& node : nodes) {
    all.insert(all.end(), node.parameters.begin(), node.parameters.end());
  }
  return all;
}

Graph build_graph(const ModelConfig& model, const Dimensions& sample_shape) {
  Graph graph;
  graph.values.push_back(sample_shape);
  std::set<std::string> names;
  for (LayerConfig layer : model.layers) {
    if (layer.name.empty() || !names.insert(layer.name).second) {
      throw InputError(
          fmt::format("each layer needs a name of its own; \"{}\" is empty or taken", layer.name));
    }
    if (!layer.init) layer.init = model.init;
    append(graph, layer, operation_of(layer.type));
    if (layer.type == LayerType::dense && layer.activation != Activation::none) {
      append(graph, layer, "activation");
    }
  }
  if (graph.nodes.empty()) throw InputError("the model has no layers");
  if (graph.output_shape().rank() != 1 || graph.classes() < 2) {
    throw InputError(fmt::format(
        "layer \"{}\" is the model's last and gives {}; a classifier ends with one logit a class, "
        "in at least 2 classes: end with a dense layer of as many units as there are classes",
        graph.nodes.back().name, to_text(graph.output_shape())));
  }
  return graph;
}

std::string to_text(const Dimensions& dimensions) {
  return fmt::format("[{}]", fmt::join(dimensions.begin(), dimensions.end(), ", "));
}

std::string to_text(const Graph& graph) {
  std::string text = fmt::format("input {}\n", to_text(graph.input_shape()));
  for (const GraphNode& node : graph.nodes) {
    text += fmt::format("{:<16} {:<12} {} -> {}", node.name, node.operation,
                        to_text(graph.values[node.input]), to_text(graph.values[node.output]));
    for (const ParameterSpec& parameter : node.parameters) {
      text += fmt::format("  {} {}{}", parameter.name, to_text(parameter.shape),
                          parameter.frozen ? " frozen" : "");
    }
    text += '\n';
  }
  return text;
}

}  // namespace batchwise
