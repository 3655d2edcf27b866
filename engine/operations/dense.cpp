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
  const ValueId sample_norms = emit.sample_norms();
  if (emit.gradient_of(weight) != kNoValue && sample_norms != kNoValue) {
    emit.measure("dense_sample_norms", {values.input, output_gradient}, {sample_norms},
                 {{"bias", bias == kNoValue ? 0.0 : 1.0},
                  {"accumulate", emit.is_written(sample_norms) ? 1.0 : 0.0}});
  }
  const ValueId input_gradient = emit.activation("input_gradient", emit.shape(values.input));
  emit.call("dense_backward_input", {output_gradient, weight}, {input_gradient});
  return input_gradient;
}

using Shapes = std::vector<Dimensions>;

double elements_of(const Dimensions& shape) { return static_cast<double>(shape.elements()); }

/// Of a product that uses each weight once a row.
double product_flops(const Dimensions& rows, const Dimensions& weight) {
  return 2.0 * static_cast<double>(rows[0]) * elements_of(weight);
}

/// FLOPs of forward and of the input's gradient: inputs x or dy, and weight.
double flops_by_weight(const Shapes& in, const Shapes&) { return product_flops(in[0], in[1]); }

/// What cuBLASLt may use for one product: NVIDIA's advice for Hopper, more than other GPUs want.
constexpr std::int64_t kLibraryWorkspaceBytes = std::int64_t{32} << 20;

std::int64_t library_workspace(const Shapes&, const Shapes&, const Target& target) {
  return target.multiplies_by_library() ? kLibraryWorkspaceBytes : 0;
}

std::vector<KernelRecord> kernels() {
  return {
      {.name = "dense_forward", .flops = flops_by_weight, .workspace = library_workspace},
      {.name = "dense_activation_forward",
       .flops = [](const Shapes& in,
                   const Shapes& out) { return product_flops(in[0], in[1]) + elements_of(out[0]); },
       .workspace = library_workspace},
      {.name = "dense_backward_input", .flops = flops_by_weight, .workspace = library_workspace},
      {.name = "dense_backward_weight",
       .flops = [](const Shapes& in, const Shapes& out) { return product_flops(in[0], out[0]); },
       .workspace = library_workspace},
      {.name = "dense_backward_bias",
       .flops = [](const Shapes& in, const Shapes&) { return elements_of(in[0]); }},
      {.name = "dense_backward_weight_bias",
       .flops = [](const Shapes& in,
                   const Shapes& out) { return product_flops(in[0], out[0]) + elements_of(in[1]); },
       .workspace = library_workspace},
      {.name = "dense_sample_norms", .flops = [](const Shapes& in, const Shapes&) {
         return 2.0 * (elements_of(in[0]) + elements_of(in[1]));
       }}};
}

}  // namespace

Operation dense_operation() {
  return {.name = "dense",
          .kernels = kernels(),
          .output_shape = output_shape,
          .parameters = parameters,
          .forward = forward,
          .backward = backward};
}

}  // namespace batchwise
