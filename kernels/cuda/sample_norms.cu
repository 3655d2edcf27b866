// dense_sample_norms: a lane walks the chain of one chunk of one row. A warp takes 32 such chains,
// of several rows where they are short, stages their elements in shared memory with accesses along
// the rows, and adds the chunks' sums in order. Contract: ops/sample_norms.h.
#include "kernels/ops/sample_norms.h"

#include <algorithm>

#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

using Arguments = DenseSampleNormsArguments<float, double>;
using Matrix = MatrixView<const float>;

constexpr int kLanes = kWarp;
constexpr int kChunk = static_cast<int>(ReductionOrder::over_features().chunk());
constexpr unsigned kWarps = 4;  ///< a block

[[nodiscard]] __host__ __device__ constexpr int chunks_of(const Matrix& matrix) {
  return static_cast<int>((matrix.columns + kChunk - 1) / kChunk);
}

/// A stretch of a warp's chains: [chain][element], with padding, so that lanes that walk a chain
/// each do not meet in a bank.
struct Tile {
  float values[kLanes][kLanes + 1];
};

/// Where a chain of the warp lies: a chunk of a row, or nowhere.
struct Chain {
  std::int64_t row;
  std::int64_t begin;  ///< columns
  int count;
};

/// Chain `index` of a warp that takes chunks first_chunk .. + chunks - 1 of `rows` rows.
__device__ __forceinline__ Chain chain_of(const Matrix& matrix, std::int64_t first_row, int rows,
                                          int first_chunk, int chunks, int index) {
  const std::int64_t row = first_row + index / chunks;
  const std::int64_t begin = static_cast<std::int64_t>(first_chunk + index % chunks) * kChunk;
  if (index >= rows * chunks || row >= matrix.rows || begin >= matrix.columns) return {0, 0, 0};
  const std::int64_t left = matrix.columns - begin;
  return {row, begin, left < kChunk ? static_cast<int>(left) : kChunk};
}

/// The sum of this lane's chain. Zeros behind a chain's end add nothing.
__device__ __forceinline__ double sum_of_chain(const Matrix& matrix, std::int64_t first_row,
                                               int rows, int first_chunk, int chunks, Tile& tile) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::int64_t columns = matrix.columns - static_cast<std::int64_t>(first_chunk) * kChunk;
  const int longest = columns < kChunk ? static_cast<int>(columns) : kChunk;
  double sum = 0.0;
  for (int begin = 0; begin < longest; begin += kLanes) {
#pragma unroll 8
    for (int index = 0; index < kLanes; ++index) {
      const Chain chain = chain_of(matrix, first_row, rows, first_chunk, chunks, index);
      const bool exists = begin + lane < chain.count;
      tile.values[index][lane] = exists ? matrix.row(chain.row)[chain.begin + begin + lane] : 0.0f;
    }
    __syncwarp();
#pragma unroll 8
    for (int element = 0; element < kLanes; ++element) {
      const double value = tile.values[lane][element];
      sum = fma(value, value, sum);
    }
    __syncwarp();
  }
  return sum;
}

/// The sum of squares of row first_row + lane, in lanes below `rows`. Several rows have at most 32
/// chunks together.
__device__ __forceinline__ double squares_of_rows(const Matrix& matrix, std::int64_t first_row,
                                                  int rows, Tile& tile) {
  const int lane = static_cast<int>(threadIdx.x);
  const int chunks = chunks_of(matrix);
  double total = 0.0;
  for (int first = 0; first < chunks; first += kLanes) {
    const int count = chunks - first < kLanes ? chunks - first : kLanes;
    const double sum = sum_of_chain(matrix, first_row, rows, first, count, tile);
    // No sum is -0: adding the first one to 0 changes nothing.
    for (int chunk = 0; chunk < count; ++chunk) {
      total += __shfl_sync(kAllLanes, sum, (lane * count + chunk) % kLanes);
    }
  }
  return total;
}

__global__ void __launch_bounds__(kWarp* kWarps) norms_kernel(Arguments a, int rows) {
  struct Shared {
    Tile tiles[kWarps];
  };
  Tile& tile = shared_memory<Shared>().tiles[threadIdx.y];
  const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  const std::int64_t first_row = warp * rows;
  if (first_row >= a.x.rows) return;
  const double of_x = squares_of_rows(a.x, first_row, rows, tile);
  const double of_dy = squares_of_rows(a.dy, first_row, rows, tile);
  const std::int64_t row = first_row + threadIdx.x;
  if (static_cast<int>(threadIdx.x) >= rows || row >= a.x.rows) return;
  const double of_row = (of_x + (a.bias ? 1.0 : 0.0)) * of_dy;
  double& norm = a.norms[a.range.first() + row];
  norm = a.accumulate ? norm + of_row : of_row;
}

}  // namespace

void dense_sample_norms(const KernelArguments& arguments) {
  const auto a = Arguments::from(arguments);
  const int rows = std::max(1, kLanes / std::max(chunks_of(a.x), chunks_of(a.dy)));
  const unsigned warps = blocks_for(a.x.rows, rows);
  launch<norms_kernel>({.blocks = blocks_for(warps, kWarps), .threads = {kWarp, kWarps}},
                       arguments.stream, a, rows);
}

}  // namespace batchwise::BATCHWISE_CUDA
