// The loss, and softmax for predictions. Contract: kernels/ops/softmax_cross_entropy.h.
#include "engine/operations/builtin.h"

namespace batchwise {

Operation softmax_cross_entropy_operation() {
  const auto flops = [](const std::vector<Dimensions>& in, const std::vector<Dimensions>&) {
    return 5.0 * static_cast<double>(in[0].elements());
  };
  Operation operation;
  operation.name = "softmax_cross_entropy";
  operation.kernels = {{.name = "softmax_cross_entropy", .flops = flops},
                       {.name = "softmax", .in_place_input = 0, .flops = flops}};
  return operation;
}

}  // namespace batchwise
