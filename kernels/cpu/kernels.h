// batchwise::cpu: the kernels people train with when there is no GPU. fp32, vectorised, threaded
// with OpenMP, and bit for bit what kernels/reference gives in float, whatever the batch size, the
// number of threads or the instruction set.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise::cpu {

/// Every operation under its contract's name. Callable from any thread, one pass at a time;
/// OpenMP's settings (OMP_NUM_THREADS, omp_set_num_threads) choose the number of threads.
[[nodiscard]] KernelTable kernels();

}  // namespace batchwise::cpu
