// Takes activations to the host's memory and back. Contract: kernels/ops/transfer.h.
#include "engine/operations/builtin.h"

namespace batchwise {

Operation transfer_operation() {
  Operation operation;
  operation.name = "transfer";
  operation.kernels = {{.name = "copy_to_host"}, {.name = "copy_from_host"}};
  return operation;
}

}  // namespace batchwise
