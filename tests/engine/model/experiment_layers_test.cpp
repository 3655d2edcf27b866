// The rules for layers in an experiment file: names, order, bias, softmax, BatchNorm's conventions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/model/experiment_support.h"

namespace batchwise {
namespace {

using testing::ElementsAre;

const std::string kLast = "{ type = \"dense\", units = 3 }";

std::vector<std::string> names(const Experiment& experiment) {
  std::vector<std::string> result;
  for (const LayerConfig& layer : experiment.model.layers) result.push_back(layer.name);
  return result;
}

TEST(ExperimentLayers, ASoftmaxLayerAtTheEndIsFoldedIntoTheLoss) {
  const Experiment experiment = parsed(with_layers(
      "{ type = \"dense\", units = 3 },\n{ type = \"activation\", activation = \"softmax\" }"));
  ASSERT_EQ(experiment.model.layers.size(), 1u);
  EXPECT_EQ(experiment.model.layers[0].type, LayerType::dense);
  EXPECT_EQ(experiment.model.layers[0].activation, Activation::none);
}

TEST(ExperimentLayers, AreNamedByTypeAndNumber) {
  const Experiment experiment = parsed(with_layers(
      "{ type = \"flatten\" },\n{ type = \"dense\", units = 4 },\n"
      "{ type = \"dense\", units = 4, name = \"my-Layer_2\" },\n{ type = \"batchnorm\" },\n"
      "{ type = \"activation\", activation = \"relu\" },\n{ type = \"dropout\", rate = 0 },\n" +
      kLast));
  EXPECT_THAT(names(experiment), ElementsAre("flatten_1", "dense_1", "my-Layer_2", "batchnorm_1",
                                             "activation_1", "dropout_1", "dense_3"));
  EXPECT_EQ(experiment.model.layers[0].line, 6);
  EXPECT_EQ(experiment.model.layers[6].line, 12);
}

TEST(ExperimentLayers, MayBeTablesOfTheirOwn) {
  const Experiment experiment =
      parsed(kData +
             "[[model.layers]]\ntype = \"dense\"\nunits = 4\nactivation = \"tanh\"\n"
             "[[model.layers]]\ntype = \"dense\"\nunits = 3\n");
  ASSERT_EQ(experiment.model.layers.size(), 2u);
  EXPECT_EQ(experiment.model.layers[0].activation, Activation::tanh);
  EXPECT_EQ(experiment.model.layers[1].line, 8);
}

TEST(ExperimentLayers, DenseBeforeBatchNormHasNoBiasUnlessItSaysSo) {
  const auto bias = [](const std::string& keys) {
    return parsed(with_layers("{ type = \"dense\", units = 4" + keys +
                              " },\n{ type = \"batchnorm\" },\n" + kLast))
        .model.layers[0]
        .bias;
  };
  EXPECT_EQ(bias(""), false);
  EXPECT_EQ(bias(", bias = true"), true);
  EXPECT_EQ(bias(", activation = \"relu\""), true);
  EXPECT_EQ(bias(", activation = \"relu\", bias = false"), false);
  const Experiment apart = parsed(with_layers(
      "{ type = \"dense\", units = 4 },\n{ type = \"activation\", activation = \"relu\" },\n"
      "{ type = \"batchnorm\" },\n" +
      kLast));
  EXPECT_EQ(apart.model.layers[0].bias, true);
}

TEST(ExperimentLayers, TakeTheModelsInitUnlessTheyHaveTheirOwn) {
  const Experiment experiment =
      parsed(kData +
             "[model]\ninit = \"kaiming_uniform\"\nlayers = [{ type = \"dense\", units = 4, init = "
             "\"glorot_uniform\" }, " +
             kLast + "]\n");
  EXPECT_EQ(experiment.model.layers[0].init, Init::glorot_uniform);
  EXPECT_EQ(experiment.model.layers[1].init, Init::kaiming_uniform);
}

TEST(ExperimentLayers, SoftmaxOnTheLastLayerIsFoldedIntoTheLoss) {
  const Experiment experiment =
      parsed(with_layers("{ type = \"dense\", units = 3, activation = \"softmax\" }"));
  EXPECT_EQ(experiment.model.layers[0].activation, Activation::none);
}

TEST(ExperimentLayers, BatchNormReadsItsKeys) {
  const Experiment experiment = parsed(with_layers(
      "{ type = \"batchnorm\", momentum = 0.5, epsilon = 1e-3, group = 32, trainable = false },\n"
      "{ type = \"batchnorm\", group = \"batch\" },\n" +
      kLast));
  const LayerConfig& layer = experiment.model.layers[0];
  EXPECT_EQ(layer.momentum, 0.5);
  EXPECT_EQ(layer.epsilon, 1e-3);
  EXPECT_EQ(layer.group, 32);
  EXPECT_FALSE(layer.trainable);
  EXPECT_EQ(experiment.model.layers[1].group, 0);
  EXPECT_EQ(experiment.model.layers[1].momentum, 0.1);
  EXPECT_EQ(experiment.model.layers[1].epsilon, 1e-5);
}

struct Refused {
  std::string layers;
  std::string message;
};

const Refused kRefused[] = {
    {"", "experiment:5: model.layers is empty; expected at least a dense layer"},
    {"{ type = \"dense\" }",
     "experiment:6: model.layers.0.units is missing; expected an integer of at least 1"},
    {"{ type = \"dense\", units = 0 }",
     "experiment:6: model.layers.0.units is the integer 0; expected an integer of at least 1"},
    {"{ units = 4 }",
     "experiment:6: model.layers.0.type is missing; expected one of \"flatten\", \"dense\", "
     "\"activation\", \"batchnorm\", \"dropout\""},
    {"3", "experiment:6: model.layers.0 is the integer 3; expected a table"},
    {"{ type = \"linear\", units = 4 }",
     "experiment:6: model.layers.0.type is the string \"linear\"; expected one of \"flatten\", "
     "\"dense\", \"activation\", \"batchnorm\", \"dropout\"; did you mean \"dense\"?"},
    {"{ type = \"relu\" },\n" + kLast,
     "experiment:6: model.layers.0.type is the string \"relu\"; expected one of \"flatten\", "
     "\"dense\", \"activation\", \"batchnorm\", \"dropout\"; write { type = \"activation\", "
     "activation = \"relu\" }"},
    {"{ type = \"conv2d\" },\n" + kLast,
     "experiment:6: model.layers.0.type is the string \"conv2d\"; expected one of \"flatten\", "
     "\"dense\", \"activation\", \"batchnorm\", \"dropout\"; this version does not have it"},
    {"{ type = \"dense\", out_features = 4 }",
     "experiment:6: unknown key model.layers.0.out_features; did you mean model.layers.0.units?"},
    {"{ type = \"dense\", units = 4, in_features = 4 }",
     "experiment:6: unknown key model.layers.0.in_features; the number of inputs is known from "
     "the layer before; remove the key"},
    {"{ type = \"flatten\" },\n{ type = \"dropout\", p = 0.5 },\n" + kLast,
     "experiment:7: unknown key model.layers.1.p; did you mean model.layers.1.rate?"},
    {"{ type = \"dropout\" },\n" + kLast,
     "experiment:6: model.layers.0.rate is missing; expected a number in [0, 1)"},
    {"{ type = \"dropout\", rate = 1.0 },\n" + kLast,
     "experiment:6: model.layers.0.rate is the number 1.0; expected a number in [0, 1)"},
    {"{ type = \"dense\", units = 4, rate = 0.1 }",
     "experiment:6: model.layers.0.rate belongs to dropout, not to dense; remove it"},
    {"{ type = \"activation\" },\n" + kLast,
     "experiment:6: model.layers.0.activation is missing; expected one of \"none\", \"relu\", "
     "\"leaky_relu\", \"gelu\", \"tanh\", \"sigmoid\", \"softmax\""},
    {"{ type = \"activation\", activation = \"none\" },\n" + kLast,
     "experiment:6: model.layers.0.activation is \"none\"; remove the layer instead"},
    {"{ type = \"dense\", units = 4, activation = \"softmax\" },\n" + kLast,
     "experiment:6: model.layers.0.activation is \"softmax\"; only the last layer may have it, "
     "where it is part of the loss; choose another activation here"},
    {kLast + ",\n{ type = \"batchnorm\" }",
     "experiment:7: model.layers.1 is the last layer and has type \"batchnorm\"; expected "
     "\"dense\", whose outputs are the logits"},
    {"{ type = \"batchnorm\", momentum = 0.99 },\n" + kLast,
     "experiment:6: model.layers.0.momentum is the number 0.99; expected a number in [0, 0.5]; "
     "this is PyTorch's convention, the share of the new batch; Keras's momentum, the share that "
     "is kept, is the opposite: write 1 - momentum (0.99 becomes 0.01)"},
    {"{ type = \"batchnorm\", group = 1 },\n" + kLast,
     "experiment:6: model.layers.0.group is the integer 1; expected an integer of at least 2, or "
     "\"batch\"; a group of one value has no variance, so training could not normalise it"},
    {"{ type = \"batchnorm\", group = \"all\" },\n" + kLast,
     "experiment:6: model.layers.0.group is the string \"all\"; expected an integer of at least "
     "2, or \"batch\""},
    {"{ type = \"batchnorm\", epsilon = 0.0 },\n" + kLast,
     "experiment:6: model.layers.0.epsilon is the number 0.0; expected a number above 0"},
    {"{ type = \"dense\", units = 4, name = \"dense_2\" },\n" + kLast,
     "experiment:7: model.layers.1 is called \"dense_2\", and so is model.layers.0; give one of "
     "them another name"},
    {"{ type = \"dense\", units = 4, name = \"a.b\" }",
     "experiment:6: model.layers.0.name is \"a.b\"; expected letters A-Z and a-z, digits, _ and "
     "-"},
    {"{ type = \"dense\", units = 4, name = \"\" }",
     "experiment:6: model.layers.0.name is the string \"\"; expected a string"},
};

TEST(ExperimentLayers, RefuseWithLineReasonAndRemedy) {
  for (const Refused& refused : kRefused) {
    EXPECT_EQ(refusal(with_layers(refused.layers)), refused.message) << refused.layers;
  }
}

TEST(ExperimentLayers, MustExist) {
  EXPECT_EQ(refusal(kData),
            "experiment: model.layers is missing; expected a list of tables, one for each layer");
  EXPECT_EQ(refusal(kData + "[model]\nlayers = 3\n"),
            "experiment:5: model.layers is the integer 3; expected a list of tables, one for each "
            "layer");
}

}  // namespace
}  // namespace batchwise
