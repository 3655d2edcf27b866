// activation: elementwise functions. Contract: kernels/ops/activation.h.
#include "kernels/ops/activation.h"

#include <stdexcept>

#include "engine/operations/builtin.h"

namespace batchwise {
namespace {

ActivationFunction function_of(const LayerConfig& layer) {
  switch (layer.activation) {
    case Activation::relu: return ActivationFunction::relu;
    case Activation::leaky_relu: return ActivationFunction::leaky_relu;
    case Activation::gelu: return ActivationFunction::gelu;
    case Activation::tanh: return ActivationFunction::tanh;
    case Activation::sigmoid: return ActivationFunction::sigmoid;
    case Activation::none:
    case Activation::softmax: break;
  }
  throw std::logic_error("layer " + layer.name + " has no elementwise activation");
}

Attributes attributes_of(const LayerConfig& layer) {
  return {{"function", static_cast<double>(function_of(layer))}};
}

ForwardValues forward(Emitter& emit, ValueId input) {
  const ValueId output = emit.activation("activation", emit.shape(input));
  emit.call("activation_forward", {input}, {output}, attributes_of(emit.node().config));
  return {.input = input, .output = output, .saved = {}};
}

ValueId backward(Emitter& emit, const ForwardValues& values, ValueId output_gradient) {
  const ValueId saved = saves_input(function_of(emit.node().config)) ? values.input : values.output;
  const ValueId input_gradient = emit.activation("activation_gradient", emit.shape(saved));
  emit.call("activation_backward", {output_gradient, saved}, {input_gradient},
            attributes_of(emit.node().config));
  return input_gradient;
}

/// Of activation_backward: of relu and leaky_relu it reads where y is above zero.
int input_read_for_its_sign(const Attributes& attributes) {
  const auto function = static_cast<ActivationFunction>(attributes.integer("function"));
  return reads_sign(function) ? 1 : -1;
}

}  // namespace

Operation activation_operation() {
  return {.name = "activation",
          .kernels = {{.name = "activation_forward", .in_place_input = 0, .flops = flops<1>},
                      {.name = "activation_backward",
                       .in_place_input = 0,
                       .flops = flops<1>,
                       .reads_sign_of = input_read_for_its_sign,
                       .bits_form = "activation_backward_bits"},
                      {.name = "activation_backward_bits", .in_place_input = 0, .flops = flops<1>},
                      {.name = "sign_bits", .flops = flops<1>}},
          .output_shape = [](const LayerConfig&, const Dimensions& input) { return input; },
          .parameters = [](const LayerConfig&,
                           const Dimensions&) { return std::vector<ParameterSpec>{}; },
          .forward = forward,
          .backward = backward};
}

}  // namespace batchwise
