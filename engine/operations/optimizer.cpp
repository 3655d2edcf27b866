// What happens once an update, over whole arenas. Contract: kernels/ops/optimizer.h.
#include "engine/operations/builtin.h"

namespace batchwise {

Operation optimizer_operation() {
  Operation operation;
  operation.name = "optimizer";
  operation.kernels = {{.name = "update_results", .flops = flops<1>},
                       {.name = "gradient_norm", .flops = flops<2>},
                       {.name = "optimizer_sgd", .flops = flops<4>},
                       {.name = "optimizer_adam", .flops = flops<13>},
                       {.name = "optimizer_rmsprop", .flops = flops<10>}};
  return operation;
}

}  // namespace batchwise
