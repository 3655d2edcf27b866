// The keys of [model] and of its layers.
#include "engine/model/experiment_schema_sections.h"

namespace batchwise {
namespace {

const std::vector<std::string_view> kActivations{"none", "relu",    "leaky_relu", "gelu",
                                                 "tanh", "sigmoid", "softmax"};
const std::vector<std::string_view> kInits{"glorot_uniform", "kaiming_uniform"};
const std::vector<WordAlias> kInitAliases{{"xavier_uniform", "glorot_uniform"},
                                          {"xavier", "glorot_uniform"},
                                          {"glorot", "glorot_uniform"},
                                          {"kaiming", "kaiming_uniform"}};

}  // namespace

std::vector<Key> model_keys() {
  return {
      {.section = "model",
       .name = "init",
       .default_text = "\"glorot_uniform\"",
       .meaning = "Initial weights of layers that do not say otherwise. `glorot_uniform` is "
                  "Keras's default, with zero bias; `kaiming_uniform` is PyTorch's default for "
                  "weight and bias.",
       .words = kInits,
       .aliases = {"initializer", "kernel_initializer", "weight_init"},
       .word_aliases = kInitAliases},
      {.section = "model",
       .name = "layers",
       .type = ValueType::layers,
       .default_text = "required",
       .meaning = "The layers in order, each a table with a `type`. The last must be `dense`; its "
                  "outputs are the logits, its units the classes, and softmax cross-entropy is the "
                  "loss.",
       .required_for = {kEveryKind},
       .aliases = {"layer", "modules"}},
  };
}

std::vector<Key> layer_keys() {
  return {
      {.section = "model.layers",
       .name = "type",
       .default_text = "required",
       .meaning = "`flatten` turns (channel, height, width) into one row, in that order; `dense` "
                  "is x W^T + b with the weight `[units, inputs]`; `activation` applies a "
                  "function; `batchnorm` normalises each feature over a group of samples; "
                  "`dropout` zeroes features in training.",
       .words = {"flatten", "dense", "activation", "batchnorm", "dropout"},
       .unavailable = {"conv2d", "maxpool2d", "avgpool2d", "layernorm"},
       .required_for = {kEveryKind},
       .aliases = {"kind", "layer", "class_name"},
       .word_aliases = {{"linear", "dense"},
                        {"fully_connected", "dense"},
                        {"fc", "dense"},
                        {"batch_normalization", "batchnorm"},
                        {"batch_norm", "batchnorm"},
                        {"batchnorm1d", "batchnorm"},
                        {"bn", "batchnorm"}}},
      {.section = "model.layers",
       .name = "name",
       .default_text = "`<type>_<n>`",
       .meaning = "Names the layer's tensors (`<name>.weight`) and its random streams; letters, "
                  "digits, `_` and `-`. By default the type and the layer's number among those of "
                  "its type, from 1.",
       .aliases = {"id", "label"}},
      {.section = "model.layers",
       .name = "units",
       .type = ValueType::integer,
       .default_text = "required",
       .meaning = "Outputs of the layer; in the last layer, the number of classes.",
       .interval = kPositiveCount,
       .kinds = {"dense"},
       .required_for = {"dense"},
       .aliases = {"out_features", "num_units", "outputs", "output_dim", "size", "width",
                   "neurons"}},
      {.section = "model.layers",
       .name = "activation",
       .default_text = "\"none\"",
       .meaning = "Applied to the output; a layer of type `activation` must have it. `leaky_relu` "
                  "has slope 0.01, `gelu` is the exact form with erf. `softmax` is allowed on the "
                  "last layer alone, where it is folded into the loss.",
       .words = kActivations,
       .kinds = {"dense", "activation"},
       .required_for = {"activation"},
       .aliases = {"act", "activation_fn", "function", "nonlinearity"},
       .word_aliases = {{"linear", "none"}, {"identity", "none"}, {"leakyrelu", "leaky_relu"}}},
      {.section = "model.layers",
       .name = "bias",
       .type = ValueType::boolean,
       .default_text = "true, or false where the layer feeds batchnorm directly",
       .meaning = "Whether the layer adds a bias. BatchNorm subtracts the mean and has its own "
                  "bias, so a dense layer right before it, without an activation between, has none "
                  "unless this says so.",
       .kinds = {"dense"},
       .aliases = {"use_bias"}},
      {.section = "model.layers",
       .name = "init",
       .default_text = "the model's",
       .meaning = "The layer's own initial weights, as `model.init`.",
       .words = kInits,
       .kinds = {"dense"},
       .aliases = {"initializer", "kernel_initializer", "weight_init"},
       .word_aliases = kInitAliases},
      {.section = "model.layers",
       .name = "rate",
       .type = ValueType::number,
       .default_text = "required",
       .meaning = "The probability that a value is zeroed in training; the others are multiplied "
                  "by 1/(1 - rate). Nothing happens in evaluation.",
       .interval = kShare,
       .kinds = {"dropout"},
       .required_for = {"dropout"},
       .aliases = {"p", "prob", "probability", "dropout", "dropout_rate"}},
      {.section = "model.layers",
       .name = "momentum",
       .type = ValueType::number,
       .default_text = "0.1",
       .meaning = "The share of each update's batch statistics in the running statistics: running "
                  "= (1 - momentum) * running + momentum * batch. This is PyTorch's convention; "
                  "Keras's momentum m is 1 - m here (0.99 becomes 0.01), and values above 0.5 are "
                  "refused because they are almost always Keras's. The running variance is the "
                  "unbiased one.",
       .interval = {.lowest = 0, .highest = 0.5},
       .kinds = {"batchnorm"},
       .aliases = {"decay"},
       .hint = "this is PyTorch's convention, the share of the new batch; Keras's momentum, the "
               "share that is kept, is the opposite: write 1 - momentum (0.99 becomes 0.01)"},
      {.section = "model.layers",
       .name = "epsilon",
       .type = ValueType::number,
       .default_text = "1e-05",
       .meaning = "Added to the variance under the square root. PyTorch's default; Keras has "
                  "1e-3.",
       .interval = kPositive,
       .kinds = {"batchnorm"},
       .aliases = {"eps"}},
      {.section = "model.layers",
       .name = "group",
       .type = ValueType::integer,
       .default_text = "\"batch\"",
       .meaning = "The samples over which statistics are taken in training: the whole batch, or "
                  "groups of this many consecutive samples (ghost BatchNorm), of which the last "
                  "may be smaller. Groups belong to the model, not to the memory: a micro-batch "
                  "must hold whole groups.",
       .interval = {.lowest = 2, .highest = kLargestCount},
       .words = {"batch"},
       .kinds = {"batchnorm"},
       .aliases = {"groups", "group_size", "ghost_batch_size", "virtual_batch_size"},
       .hint = "a group of one value has no variance, so training could not normalise it"},
      {.section = "model.layers",
       .name = "trainable",
       .type = ValueType::boolean,
       .default_text = "true",
       .meaning = "Whether weight updates change the layer's parameters. A frozen layer keeps "
                  "them; a frozen batchnorm also keeps its running statistics and normalises with "
                  "them while training (Keras's convention; PyTorch goes on updating them).",
       .kinds = {"dense", "batchnorm"},
       .aliases = {"requires_grad", "frozen", "freeze"}},
  };
}

}  // namespace batchwise
