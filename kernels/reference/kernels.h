// The oracle as backends: every operation of ops/ under its name, on one thread.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise::reference {

/// In double: the judge, and the f64 engine.
[[nodiscard]] KernelTable kernels_f64();

/// In float: the bits that every f32 backend must give in mode `invariant`.
[[nodiscard]] KernelTable kernels_f32();

}  // namespace batchwise::reference
