// copy_to_host and copy_from_host: copies by the device's copy engines, in the order of the stream.
// Contract: ops/transfer.h.
#include "kernels/ops/transfer.h"

#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {

void copy_to_host(const KernelArguments& arguments) {
  const auto a = TransferArguments::from(arguments);
  queue_copy_to_host(a.destination, a.source, a.rows, a.row_bytes, a.stride_bytes,
                     arguments.stream);
}

void copy_from_host(const KernelArguments& arguments) {
  const auto a = TransferArguments::from(arguments);
  queue_copy_from_host(a.destination, a.source, a.rows, a.row_bytes, a.stride_bytes,
                       arguments.stream);
}

}  // namespace batchwise::BATCHWISE_CUDA
