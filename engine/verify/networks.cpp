#include "engine/verify/networks.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/verify/draw.h"

namespace batchwise::verification {
namespace {

LayerConfig dense(std::int64_t units, Activation activation = Activation::none) {
  LayerConfig layer;
  layer.type = LayerType::dense;
  layer.units = units;
  layer.activation = activation;
  return layer;
}

LayerConfig activation(Activation function) {
  LayerConfig layer;
  layer.type = LayerType::activation;
  layer.activation = function;
  return layer;
}

LayerConfig batchnorm(std::int64_t group = 0) {
  LayerConfig layer;
  layer.type = LayerType::batchnorm;
  layer.group = group;
  return layer;
}

LayerConfig dropout(double rate) {
  LayerConfig layer;
  layer.type = LayerType::dropout;
  layer.rate = rate;
  return layer;
}

LayerConfig flatten() {
  LayerConfig layer;
  layer.type = LayerType::flatten;
  return layer;
}

LayerConfig frozen(LayerConfig layer) {
  layer.trainable = false;
  return layer;
}

ModelConfig model(std::vector<LayerConfig> layers) {
  for (std::size_t index = 0; index < layers.size(); ++index) {
    layers[index].name = fmt::format("layer_{}", index + 1);
  }
  return {.init = Init::glorot_uniform, .layers = std::move(layers)};
}

OptimizerConfig optimizer(OptimizerName name) {
  OptimizerConfig config;
  config.name = name;
  config.learning_rate = name == OptimizerName::sgd ? 0.05 : 0.002;
  return config;
}

OptimizerConfig sgd(double momentum = 0.0, bool nesterov = false) {
  OptimizerConfig config = optimizer(OptimizerName::sgd);
  config.momentum = momentum;
  config.nesterov = nesterov;
  return config;
}

OptimizerConfig rmsprop(double momentum = 0.0) {
  OptimizerConfig config = optimizer(OptimizerName::rmsprop);
  config.momentum = momentum;
  return config;
}

OptimizerConfig with_decay(OptimizerConfig config) {
  config.weight_decay = 0.01;
  return config;
}

OptimizerConfig with_clipping(OptimizerConfig config) {
  config.clip_global_norm = 0.1;
  return config;
}

}  // namespace

const std::vector<Network>& networks() {
  static const std::vector<Network> all = {
      {.name = "relu, dropout; sgd",
       .sample_shape = {13},
       .model = model({dense(17, Activation::relu), dropout(0.3), dense(5)}),
       .optimizer = sgd(),
       .batch_size = 37,
       .micro_batch_size = 10},
      {.name = "batchnorm of the batch; sgd with momentum",
       .sample_shape = {21},
       .model = model({dense(19), batchnorm(), activation(Activation::relu), dense(4)}),
       .optimizer = sgd(0.9),
       .batch_size = 33,
       .micro_batch_size = 33,
       .splits = false},
      {.name = "batchnorm in groups; sgd with nesterov",
       .sample_shape = {16},
       .model = model({dense(33), batchnorm(8), activation(Activation::tanh), dense(3)}),
       .optimizer = with_decay(sgd(0.9, true)),
       .batch_size = 44,
       .micro_batch_size = 16,
       .group = 8},
      {.name = "bytes, gelu, dropout of the input; adam",
       .sample_shape = {31},
       .model = model({dropout(0.2), dense(15, Activation::gelu), dense(10)}),
       .optimizer = with_decay(optimizer(OptimizerName::adam)),
       .batch_size = 17,
       .micro_batch_size = 6,
       .data_type = ElementType::u8},
      {.name = "leaky_relu, sigmoid; adamw",
       .sample_shape = {7},
       .model = model({dense(16, Activation::leaky_relu), dense(9, Activation::sigmoid), dense(2)}),
       .optimizer = with_decay(optimizer(OptimizerName::adamw)),
       .batch_size = 31,
       .micro_batch_size = 31},
      {.name = "batchnorm of images, flatten; rmsprop with momentum and clipping",
       .sample_shape = {2, 3, 4},
       .model = model({batchnorm(4), flatten(), dense(11, Activation::relu), dense(3)}),
       .optimizer = with_clipping(rmsprop(0.9)),
       .batch_size = 22,
       .micro_batch_size = 8,
       .group = 4},
      {.name = "frozen layers; rmsprop",
       .sample_shape = {12},
       .model = model({dense(18), frozen(batchnorm()), activation(Activation::relu),
                       frozen(dense(9, Activation::relu)), dense(4)}),
       .optimizer = rmsprop(),
       .batch_size = 20,
       .micro_batch_size = 7},
      {.name = "several chunks of samples and features; adam with clipping",
       .sample_shape = {300},
       .model = model({dense(5, Activation::relu), batchnorm(32), dense(6)}),
       .optimizer = with_clipping(optimizer(OptimizerName::adam)),
       .batch_size = 300,
       .micro_batch_size = 128,
       .group = 32},
  };
  return all;
}

Samples draw_samples(const Network& network, std::int64_t count, std::uint64_t seed) {
  Draw draw(seed, "verify.samples." + network.name, 0);
  Samples samples;
  samples.source = "verify";
  samples.count = count;
  samples.type = network.data_type;
  samples.shape = {network.sample_shape.begin(), network.sample_shape.end()};
  const std::int64_t elements = count * samples.elements_per_sample();
  samples.features.resize(static_cast<std::size_t>(elements) * size_in_bytes(samples.type));
  for (std::int64_t index = 0; index < elements; ++index) {
    if (samples.type == ElementType::u8) {
      samples.features[static_cast<std::size_t>(index)] =
          static_cast<std::byte>(draw.word() & 0xFF);
    } else {
      const auto value = static_cast<float>(draw.normal());
      std::memcpy(samples.features.data() + index * 4, &value, sizeof(value));
    }
  }
  const std::int64_t classes = network.classes();
  for (std::int64_t sample = 0; sample < count; ++sample) {
    samples.labels.push_back(static_cast<std::int32_t>(draw.integer(0, classes - 1)));
  }
  return samples;
}

}  // namespace batchwise::verification
