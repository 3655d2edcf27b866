// The oracle as backends: every operation of ops/ under its name, on one thread.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise::reference {

/// In double: the judge, and the f64 engine.
[[nodiscard]] KernelTable kernels_f64();

/// In float: the bits that every f32 backend must give in mode `invariant`.
[[nodiscard]] KernelTable kernels_f32();

/// On RunningError: values in double, and how far from them a float kernel may be. What is f32 to
/// another backend is `bounded` here (the data set of gather apart), inputs too; so is what results
/// in double: the pooled statistics, the samples' norms, and the status that update_results and
/// gradient_norm leave, as the numbers of UpdateStatus in their order. gradient_norm does without
/// its workspace.
[[nodiscard]] KernelTable kernels_bound();

}  // namespace batchwise::reference
