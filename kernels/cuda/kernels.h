// The tables of the hand-written kernels: on a GPU, and the same sources emulated on the CPU.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise::cuda {
[[nodiscard]] KernelTable kernels();
/// What mode `fast` has in place of some of them (fast_dense.cu): products by cuBLASLt, which is
/// loaded for the current device. Throws MissingLibrary (cublas_lt.h) where it is not there. Not
/// while a graph is captured.
[[nodiscard]] KernelTable fast_kernels();
}  // namespace batchwise::cuda
namespace batchwise::emulated {
[[nodiscard]] KernelTable kernels();
}
