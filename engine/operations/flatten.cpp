// flatten: the same bytes seen as a vector, in (channel, height, width) order. It has no kernel.
#include "engine/operations/builtin.h"

namespace batchwise {

Operation flatten_operation() {
  return {.name = "flatten",
          .kernels = {},
          .output_shape = [](const LayerConfig&,
                             const Dimensions& input) { return Dimensions{input.elements()}; },
          .parameters = [](const LayerConfig&,
                           const Dimensions&) { return std::vector<ParameterSpec>{}; },
          .forward = [](Emitter& emit, ValueId input) -> ForwardValues {
            const Dimensions flat{emit.shape(input).elements()};
            return {.input = input, .output = emit.reshaped("output", input, flat), .saved = {}};
          },
          .backward =
              [](Emitter& emit, const ForwardValues& values, ValueId output_gradient) {
                return emit.reshaped("input_gradient", output_gradient, emit.shape(values.input));
              }};
}

}  // namespace batchwise
