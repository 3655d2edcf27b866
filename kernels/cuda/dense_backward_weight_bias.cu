// dense_backward_weight_bias: its two halves, one after the other; at once only by a library
// (fast_dense.cu). Contract: ops/dense.h.
#include "kernels/cuda/operations.h"
#include "kernels/ops/dense.h"

namespace batchwise::BATCHWISE_CUDA {

void dense_backward_weight_bias(const KernelArguments& arguments) {
  dense_backward_weight(weight_half(arguments));
  dense_backward_bias(bias_half(arguments));
}

}  // namespace batchwise::BATCHWISE_CUDA
