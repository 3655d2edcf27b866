// dropout: keyed by (seed, step, layer, sample id, element). Contract: kernels/ops/dropout.h.
#include "engine/operations/builtin.h"
#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

void call_dropout(Emitter& emit, ValueId from, ValueId to) {
  emit.call("dropout", {from, emit.indices()}, {to},
            {{"rate", emit.node().config.rate},
             {"stream", static_cast<double>(stream_of_name(emit.node().name))}});
}

ForwardValues forward(Emitter& emit, ValueId input) {
  if (!emit.training()) return {.input = input, .output = input, .saved = {}};
  const ValueId output = emit.activation("output", emit.shape(input));
  call_dropout(emit, input, output);
  return {.input = input, .output = output, .saved = {}};
}

ValueId backward(Emitter& emit, const ForwardValues& values, ValueId output_gradient) {
  const ValueId input_gradient = emit.activation("input_gradient", emit.shape(values.input));
  call_dropout(emit, output_gradient, input_gradient);
  return input_gradient;
}

}  // namespace

Operation dropout_operation() {
  return {
      .name = "dropout",
      .kernels = {{.name = "dropout", .in_place_input = 0, .flops = flops<1>, .keeps_sign_of = 0}},
      .output_shape = [](const LayerConfig&, const Dimensions& input) { return input; },
      .parameters = [](const LayerConfig&,
                       const Dimensions&) { return std::vector<ParameterSpec>{}; },
      .forward = forward,
      .backward = backward};
}

}  // namespace batchwise
