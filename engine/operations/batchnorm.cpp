// batchnorm: per channel over the whole batch or over ghost groups; a frozen layer normalises with
// its running statistics (as Keras's trainable = False does). Contract: kernels/ops/batchnorm.h.
#include "engine/operations/builtin.h"

namespace batchwise {
namespace {

// Order of ForwardValues::saved in training.
enum Saved { kMean, kInverseDeviation };

std::int64_t channels_of(const Dimensions& sample) { return sample[0]; }
std::int64_t pixels_of(const Dimensions& sample) { return sample.elements() / channels_of(sample); }

std::vector<ParameterSpec> parameters(const LayerConfig& layer, const Dimensions& input) {
  const auto spec = [&](const char* suffix, ParameterRole role, ParameterInit init) {
    return ParameterSpec{.name = layer.name + suffix,
                         .shape = {channels_of(input)},
                         .role = role,
                         .init = init,
                         .frozen = !layer.trainable};
  };
  return {spec(".weight", ParameterRole::trainable, ParameterInit::ones),
          spec(".bias", ParameterRole::trainable, ParameterInit::zeros),
          spec(".running_mean", ParameterRole::running, ParameterInit::zeros),
          spec(".running_var", ParameterRole::running, ParameterInit::ones)};
}

bool uses_batch_statistics(const Emitter& emit) {
  return emit.training() && emit.node().config.trainable;
}

ForwardValues forward(Emitter& emit, ValueId input) {
  const LayerConfig& layer = emit.node().config;
  const Dimensions& sample = emit.shape(input);
  const Dimensions channels{channels_of(sample)};
  const ValueId output = emit.activation("output", sample);
  const ValueId gamma = emit.parameter("weight");
  const ValueId beta = emit.parameter("bias");
  if (!uses_batch_statistics(emit)) {
    emit.call("batchnorm_evaluate",
              {input, emit.parameter("running_mean"), emit.parameter("running_var"), gamma, beta},
              {output}, {{"epsilon", layer.epsilon}});
    return {.input = input, .output = output, .saved = {}};
  }
  const auto group = static_cast<double>(layer.group);
  const ValueId mean = emit.per_group("mean", channels, layer.group);
  const ValueId inverse_deviation = emit.per_group("inverse_deviation", channels, layer.group);
  const ValueId pooled = emit.per_update("pooled", {2, channels_of(sample)});
  emit.call("batchnorm_statistics", {input}, {mean, inverse_deviation, pooled},
            {{"group", group}, {"epsilon", layer.epsilon}});
  emit.call("batchnorm_normalize", {input, mean, inverse_deviation, gamma, beta}, {output},
            {{"group", group}});
  emit.call_in_update(
      "batchnorm_running_update", {pooled, emit.status()},
      {emit.parameter("running_mean"), emit.parameter("running_var")},
      {{"momentum", layer.momentum}, {"pixels", static_cast<double>(pixels_of(sample))}});
  return {.input = input, .output = output, .saved = {mean, inverse_deviation}};
}

ValueId backward(Emitter& emit, const ForwardValues& values, ValueId output_gradient) {
  const LayerConfig& layer = emit.node().config;
  const Dimensions& sample = emit.shape(values.input);
  const ValueId gamma = emit.parameter("weight");
  const ValueId beta = emit.parameter("bias");
  if (!uses_batch_statistics(emit)) {
    const ValueId input_gradient = emit.activation("input_gradient", sample);
    emit.call("batchnorm_evaluate_backward",
              {output_gradient, emit.parameter("running_var"), gamma}, {input_gradient},
              {{"epsilon", layer.epsilon}});
    return input_gradient;
  }
  const Dimensions channels{channels_of(sample)};
  const Attributes group{{"group", static_cast<double>(layer.group)}};
  const ValueId mean = values.saved[kMean];
  const ValueId inverse_deviation = values.saved[kInverseDeviation];
  emit.call("batchnorm_backward_parameters",
            {output_gradient, values.input, mean, inverse_deviation},
            {emit.gradient_of(gamma), emit.gradient_of(beta), emit.partials_of(gamma),
             emit.partials_of(beta)},
            group);
  const ValueId sum_dy = emit.per_group("sum_dy", channels, layer.group);
  const ValueId sum_dy_xhat = emit.per_group("sum_dy_xhat", channels, layer.group);
  const ValueId input_gradient = emit.activation("input_gradient", sample);
  emit.call("batchnorm_backward_sums", {output_gradient, values.input, mean, inverse_deviation},
            {sum_dy, sum_dy_xhat}, group);
  emit.call("batchnorm_backward_input",
            {output_gradient, values.input, mean, inverse_deviation, sum_dy, sum_dy_xhat, gamma},
            {input_gradient}, group);
  return input_gradient;
}

}  // namespace

Operation batchnorm_operation() {
  return {
      .name = "batchnorm",
      .kernels = {{.name = "batchnorm_statistics", .flops = flops<4>},
                  {.name = "batchnorm_normalize", .flops = flops<4>},
                  {.name = "batchnorm_backward_parameters", .flops = flops<5>},
                  {.name = "batchnorm_backward_sums", .flops = flops<5>},
                  {.name = "batchnorm_backward_input", .in_place_input = 0, .flops = flops<6>},
                  {.name = "batchnorm_running_update", .flops = flops<3>},
                  {.name = "batchnorm_evaluate", .in_place_input = 0, .flops = flops<4>},
                  {.name = "batchnorm_evaluate_backward", .in_place_input = 0, .flops = flops<1>}},
      .output_shape = [](const LayerConfig&, const Dimensions& input) { return input; },
      .parameters = parameters,
      .forward = forward,
      .backward = backward};
}

}  // namespace batchwise
