// dense: y = x W^T + b on samples of rank 1. Contract: kernels/ops/dense.h.
#include <fmt/format.h>

#include "engine/error.h"
#include "engine/operations/builtin.h"

namespace batchwise {
namespace {

Dimensions output_shape(const LayerConfig& layer, const Dimensions& input) {
  if (input.rank() != 1) {
    throw InputError(
        fmt::format("layer \"{}\" (dense) takes samples of rank 1, found {}; put a layer {{ type = "
                    "\"flatten\" }} "
                    "before it",
                    layer.name, to_text(input)));
  }
  return {layer.units};
}

std::vector<ParameterSpec> parameters(const LayerConfig& layer, const Dimensions& input) {
  const std::int64_t inputs = input.elements();
  const bool kaiming = layer.init == Init::kaiming_uniform;
  const auto init = kaiming ? ParameterInit::kaiming_uniform : ParameterInit::glorot_uniform;
  ParameterSpec weight{.name = layer.name + ".weight",
                       .shape = {layer.units, inputs},
                       .init = init,
                       .fan_in = inputs,
                       .fan_out = layer.units,
                       .frozen = !layer.trainable};
  if (!layer.bias.value_or(true)) return {weight};
  ParameterSpec bias = weight;
  bias.name = layer.name + ".bias";
  bias.shape = {layer.units};
  if (!kaiming) bias.init = ParameterInit::zeros;
  return {weight, bias};
}

ForwardValues forward(Emitter& emit, ValueId input) {
  const ValueId output = emit.activation("output", {emit.node().config.units});
  emit.call("dense_forward", {input, emit.parameter("weight"), emit.parameter("bias")}, {output});
  return {.input = input, .output = output, .saved = {}};
}

ValueId backward(Emitter& emit, const ForwardValues& values, ValueId output_gradient) {
  const ValueId weight = emit.parameter("weight");
  const ValueId bias = emit.parameter("bias");
  emit.call("dense_backward_weight", {values.input, output_gradient},
            {emit.gradient_of(weight), emit.partials_of(weight)});
  if (bias != kNoValue) {
    emit.call("dense_backward_bias", {output_gradient},
              {emit.gradient_of(bias), emit.partials_of(bias)});
  }
  const ValueId input_gradient = emit.activation("input_gradient", emit.shape(values.input));
  emit.call("dense_backward_input", {output_gradient, weight}, {input_gradient});
  return input_gradient;
}

double product_flops(double rows, const Dimensions& weight) {
  return 2.0 * rows * static_cast<double>(weight.elements());
}

}  // namespace

Operation dense_operation() {
  using Shapes = std::vector<Dimensions>;
  return {
      .name = "dense",
      .kernels = {{.name = "dense_forward",
                   .flops =
                       [](const Shapes& in, const Shapes&) {
                         return product_flops(static_cast<double>(in[0][0]), in[1]);
                       }},
                  {.name = "dense_backward_input",
                   .flops =
                       [](const Shapes& in, const Shapes&) {
                         return product_flops(static_cast<double>(in[0][0]), in[1]);
                       }},
                  {.name = "dense_backward_weight",
                   .flops =
                       [](const Shapes& in, const Shapes& out) {
                         return product_flops(static_cast<double>(in[0][0]), out[0]);
                       }},
                  {.name = "dense_backward_bias",
                   .flops = [](const Shapes& in,
                               const Shapes&) { return static_cast<double>(in[0].elements()); }}},
      .output_shape = output_shape,
      .parameters = parameters,
      .forward = forward,
      .backward = backward};
}

}  // namespace batchwise
