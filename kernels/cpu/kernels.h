// batchwise::cpu: the kernels people train with when there is no GPU. fp32, vectorised, threaded,
// and bit for bit what kernels/reference gives in float, whatever the batch size, the
// number of threads or the instruction set.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise::cpu {

/// Every operation under its contract's name. Callable from any thread, one pass at a time; a
/// thread that calls while another is in a kernel works alone.
[[nodiscard]] KernelTable kernels();

/// Threads that kernels share, the caller's counted: OMP_NUM_THREADS where that is set, else as
/// many as the process may run on. Changes no result. Not while kernels run.
[[nodiscard]] int threads();
void set_threads(int threads);

}  // namespace batchwise::cpu
