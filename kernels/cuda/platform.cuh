// What every .cu file includes first: the language of CUDA kernels, on a GPU or emulated on the CPU
// (kernels/emulation), and the few things both must spell alike: launches, shared memory, the
// barrier of a grid, 16-byte accesses. The files compile into namespace batchwise::cuda under nvcc
// and into batchwise::emulated under the host's compiler.
#pragma once

#include <cstdint>

#ifdef BATCHWISE_EMULATION
#include "kernels/emulation/language.h"
#define BATCHWISE_CUDA emulated
#else
#include "kernels/cuda/language.cuh"
#define BATCHWISE_CUDA cuda
#endif

namespace batchwise::BATCHWISE_CUDA {

/// Blocks that cover `items` with `each` a block.
[[nodiscard]] constexpr unsigned blocks_for(std::int64_t items, std::int64_t each) {
  return static_cast<unsigned>((items + each - 1) / each);
}

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

}  // namespace batchwise::BATCHWISE_CUDA
