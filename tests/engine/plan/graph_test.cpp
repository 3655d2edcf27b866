// From layers to a graph: shapes, parameters, and errors that name the layer.
#include "engine/model/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/plan/plan_support.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::graph_of;
using testing_support::refusal_of;

std::vector<std::string> names_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const GraphNode& node : graph.nodes) names.push_back(node.name + ":" + node.operation);
  return names;
}

TEST(Graph, GivesEachLayerItsShape) {
  const Graph graph = graph_of(
      R"({ type = "flatten" }, { type = "dense", units = 128, activation = "relu" },
         { type = "batchnorm" }, { type = "dropout", rate = 0.2 }, { type = "dense", units = 10 })",
      {1, 28, 28});
  EXPECT_EQ(graph.input_shape(), (Dimensions{1, 28, 28}));
  EXPECT_EQ(graph.output_shape(), (Dimensions{10}));
  EXPECT_EQ(graph.classes(), 10);
  EXPECT_THAT(names_of(graph),
              ElementsAre("flatten_1:flatten", "dense_1:dense", "dense_1:activation",
                          "batchnorm_1:batchnorm", "dropout_1:dropout", "dense_2:dense"));
  EXPECT_THAT(graph.values,
              ElementsAre(Dimensions{1, 28, 28}, Dimensions{784}, Dimensions{128}, Dimensions{128},
                          Dimensions{128}, Dimensions{128}, Dimensions{10}));
  for (std::size_t index = 0; index < graph.nodes.size(); ++index) {
    EXPECT_EQ(graph.nodes[index].input, static_cast<int>(index));
    EXPECT_EQ(graph.nodes[index].output, static_cast<int>(index) + 1);
  }
}

TEST(Graph, ListsStoredTensorsInOrderOfTheLayers) {
  const Graph graph = graph_of(
      R"({ type = "dense", units = 5, name = "first", trainable = false },
         { type = "batchnorm", name = "norm" }, { type = "dense", units = 3, name = "last" })",
      {7});
  std::vector<std::string> lines;
  for (const ParameterSpec& spec : graph.parameters()) {
    lines.push_back(spec.name + " " + to_text(spec.shape) + (spec.frozen ? " frozen" : "") +
                    (spec.role == ParameterRole::running ? " running" : ""));
  }
  // A dense layer that feeds BatchNorm has no bias.
  EXPECT_THAT(lines, ElementsAre("first.weight [5, 7] frozen", "norm.weight [5]", "norm.bias [5]",
                                 "norm.running_mean [5] running", "norm.running_var [5] running",
                                 "last.weight [3, 5]", "last.bias [3]"));
}

TEST(Graph, TakesTheInitialisationOfTheLayerBeforeTheModels) {
  ModelConfig model = testing_support::model_of(
      R"({ type = "dense", units = 5, init = "kaiming_uniform" }, { type = "dense", units = 3 })");
  const std::vector<ParameterSpec> parameters = build_graph(model, {7}).parameters();
  EXPECT_EQ(parameters[0].init, ParameterInit::kaiming_uniform);
  EXPECT_EQ(parameters[1].init, ParameterInit::kaiming_uniform);  // PyTorch draws the bias too
  EXPECT_EQ(parameters[1].fan_in, 7);
  EXPECT_EQ(parameters[2].init, ParameterInit::glorot_uniform);
  EXPECT_EQ(parameters[2].fan_in, 5);
  EXPECT_EQ(parameters[2].fan_out, 3);
  EXPECT_EQ(parameters[3].init, ParameterInit::zeros);
}

TEST(Graph, NamesADenseLayerOnImagesAndTheRemedy) {
  EXPECT_THAT(refusal_of([] {
                (void)graph_of(R"({ type = "dense", units = 3, name = "top" })", {1, 8, 8});
              }),
              AllOf(HasSubstr("\"top\""), HasSubstr("[1, 8, 8]"), HasSubstr("flatten")));
}

TEST(Graph, NamesALastLayerThatGivesNoClasses) {
  ModelConfig model = testing_support::model_of(R"({ type = "dense", units = 1, name = "head" })");
  EXPECT_THAT(refusal_of([&] { (void)build_graph(model, {4}); }),
              AllOf(HasSubstr("\"head\""), HasSubstr("[1]"), HasSubstr("at least 2 classes")));
  ModelConfig image;
  image.layers.resize(1);
  image.layers[0].type = LayerType::dropout;
  image.layers[0].name = "drop";
  EXPECT_THAT(refusal_of([&] {
                (void)build_graph(image, {1, 4, 4});
              }),
              AllOf(HasSubstr("\"drop\""), HasSubstr("[1, 4, 4]"), HasSubstr("dense layer")));
}

TEST(Graph, RefusesAModelWithoutLayers) {
  EXPECT_THAT(refusal_of([] { (void)build_graph({}, {4}); }), HasSubstr("no layers"));
}

TEST(Graph, IsPrintedALineANode) {
  const std::string text =
      to_text(graph_of(R"({ type = "dense", units = 3, activation = "relu", trainable = false },
                  { type = "dense", units = 2 })",
                       {4}));
  EXPECT_THAT(text, AllOf(HasSubstr("input [4]"), HasSubstr("dense_1.weight [3, 4] frozen"),
                          HasSubstr("[3] -> [2]"), HasSubstr("dense_2.bias [2]")));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
}

}  // namespace
}  // namespace batchwise
