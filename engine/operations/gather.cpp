// Fetches a pass's samples from the resident data set. Contract: kernels/ops/gather.h.
#include "engine/operations/builtin.h"

namespace batchwise {

Operation gather_operation() {
  Operation operation;
  operation.name = "gather";
  operation.kernels = {
      {.name = "gather",
       .flops = [](const std::vector<Dimensions>&, const std::vector<Dimensions>& out) {
         return 2.0 * static_cast<double>(out[0].elements());
       }}};
  return operation;
}

}  // namespace batchwise
