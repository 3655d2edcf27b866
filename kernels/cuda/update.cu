// update_results and gradient_norm: what an update learns about itself, in double.
// Contract: ops/optimizer.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/ops/optimizer.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

constexpr int kChunk = static_cast<int>(ReductionOrder::over_samples().chunk());

__device__ __forceinline__ bool is_finite(double value) {
  return fabs(value) <= std::numeric_limits<double>::max();
}

// update_results: one block, as the status has no room for sums of several. Rounds of 32 chunks, or
// 16 of doubles: all threads bring the losses to shared memory, then each lane of the first warp
// walks one chunk. A round's chunks fold by shuffles, which is the tree's lower part, the rounds by
// the first lane.

constexpr unsigned kResultsThreads = 1024;
constexpr int kLevels = 48;  ///< of a tree over rounds

template <class T>
struct ResultsMemory {
  static constexpr int kChunks = static_cast<int>(128 / sizeof(T));  ///< a round
  T loss[kChunks]
        [kChunk + 1];  ///< [chunk, sample]; the column too many keeps lanes in different banks
  double open_sums[kLevels];  ///< partial sums of the tree over rounds
  unsigned long long correct;
};

/// Brings a round's losses to shared memory; returns how many of its samples are correct.
template <class T>
__device__ __forceinline__ unsigned read_round(const UpdateResultsArguments& a, std::int64_t first,
                                               int samples, ResultsMemory<T>& memory) {
  unsigned correct = 0;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < samples; i += kResultsThreads) {
    const std::int64_t sample = first + i;
    const std::int64_t id = a.indices.empty() ? sample : a.indices[sample];
    memory.loss[i / kChunk][i % kChunk] = static_cast<const T*>(a.loss.data)[sample];
    if (a.predicted[sample] == a.labels[id]) ++correct;
  }
  return correct;
}

/// The sum of a round, on the first lane of the first warp.
template <class T>
__device__ __forceinline__ double sum_of_round(int samples, const ResultsMemory<T>& memory) {
  const int lane = static_cast<int>(threadIdx.x);
  const int chunks = (samples + kChunk - 1) / kChunk;
  double sum = 0.0;
  if (lane < chunks) {
    const int count = samples - lane * kChunk < kChunk ? samples - lane * kChunk : kChunk;
#pragma unroll 8
    for (int i = 0; i < count; ++i) sum += static_cast<double>(memory.loss[lane][i]);
  }
  for (int step = 1; step < ResultsMemory<T>::kChunks; step *= 2) {
    const double right = __shfl_down_sync(kAllLanes, sum, static_cast<unsigned>(step));
    if (lane % (2 * step) == 0 && lane + step < chunks) sum += right;
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kResultsThreads) results_kernel(UpdateResultsArguments a) {
  constexpr int kRound = ResultsMemory<T>::kChunks * kChunk;
  auto& memory = shared_memory<ResultsMemory<T>>();
  if (threadIdx.x == 0) memory.correct = 0;
  const std::int64_t batch = a.scalars->batch_samples;
  const std::int64_t rounds = (batch + kRound - 1) / kRound;
  unsigned long long correct = 0;
  double total = 0.0;
  for (std::int64_t round = 0; round < rounds; ++round) {
    const std::int64_t first = round * kRound, left = batch - first;
    const int samples = left < kRound ? static_cast<int>(left) : kRound;
    __syncthreads();  // the round before is summed
    correct += read_round(a, first, samples, memory);
    __syncthreads();
    if (threadIdx.x >= kWarp) continue;
    const double sum = sum_of_round(samples, memory);
    if (threadIdx.x != 0) continue;
    const auto partial = [&](int level) -> double& { return memory.open_sums[level]; };
    if (round + 1 < rounds) {
      fold_chunk(sum, round, partial);
    } else {
      total = fold_last_chunk(sum, round, partial);
    }
  }
  for (unsigned step = kWarp / 2; step > 0; step /= 2) {
    correct += __shfl_down_sync(kAllLanes, correct, step);
  }
  __syncthreads();
  if (threadIdx.x % kWarp == 0) atomicAdd(&memory.correct, correct);
  __syncthreads();
  if (threadIdx.x != 0) return;
  a.status->loss_sum = total;
  a.status->correct = static_cast<double>(memory.correct);
  a.status->finite = is_finite(total) ? 1.0 : 0.0;
}

// gradient_norm: a block brings 256 rows of 32 columns to shared memory, all loads in flight at
// once; then each lane of its first warp walks a column. After a barrier of the grid the chunks
// fold, 32 columns a block, and after another the first block folds the columns.

constexpr unsigned kNormThreads = 256;
constexpr int kPanelColumns = static_cast<int>(kWarp);
constexpr int kPanels = static_cast<int>(kNormColumns) / kPanelColumns;
constexpr int kQuadsARow = kPanelColumns / 4;
constexpr int kRowsAtOnce = static_cast<int>(kNormThreads) / kQuadsARow;

struct NormMemory {
  float4 panel[kChunk][kQuadsARow];  ///< [row, quad of columns]
  double columns[kNormThreads];      ///< sums of every 256th column
};

/// Brings a chunk's rows of a panel to shared memory, zeros behind the arena's end.
__device__ __forceinline__ void read_panel(const MatrixView<const float>& arena,
                                           std::int64_t first_row, int panel, bool wide,
                                           NormMemory& memory) {
  constexpr int kQuads = kChunk / kRowsAtOnce;  // of a thread
  const int quad_column = static_cast<int>(threadIdx.x) % kQuadsARow;
  const int quad_row = static_cast<int>(threadIdx.x) / kQuadsARow;
  const std::int64_t first =
      (first_row + quad_row) * kNormColumns + panel * kPanelColumns + quad_column * 4;
  float4 quads[kQuads];
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    const std::int64_t index = first + i * kRowsAtOnce * kNormColumns;
    quads[i] = wide && index + 4 <= arena.columns ? as_vector<const float4>(arena.data + index)
                                                  : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  }
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {  // rare
    const std::int64_t index = first + i * kRowsAtOnce * kNormColumns;
    const std::int64_t left = arena.columns - index;
    if (left <= 0 || (wide && left >= 4)) continue;
    quads[i] = load(arena, {0, index, left < 4 ? static_cast<int>(left) : 4}, false);
  }
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    memory.panel[quad_row + i * kRowsAtOnce][quad_column] = quads[i];
  }
}

/// The sum of squares down a column of the panel in shared memory.
__device__ __forceinline__ double squares_of_column(int rows, int column,
                                                    const NormMemory& memory) {
  const float* first = &memory.panel[0][0].x + column;
  double sum = 0.0;
#pragma unroll 8
  for (int row = 0; row < rows; ++row) {
    const double g = first[row * kPanelColumns];
    sum = fma(g, g, sum);
  }
  return sum;
}

/// Folds the chunks of a panel's columns into their first, level by level of the tree.
__device__ __forceinline__ void fold_chunks(const MatrixView<double>& chunk_sums, int panel) {
  const std::int64_t column = panel * kPanelColumns + threadIdx.x % kWarp;
  constexpr std::int64_t kWarps = kNormThreads / kWarp;
  for (std::int64_t step = 1; step < chunk_sums.rows; step *= 2) {
    for (std::int64_t chunk = threadIdx.x / kWarp * 2 * step; chunk + step < chunk_sums.rows;
         chunk += kWarps * 2 * step) {
      chunk_sums(chunk, column) += chunk_sums(chunk + step, column);
    }
    __syncthreads();
  }
}

/// The sum of all columns, in halves, on the block's first thread.
__device__ __forceinline__ double fold_columns(const double* sums, NormMemory& memory) {
  const unsigned thread = threadIdx.x;
  static_assert(kNormColumns == 4 * kNormThreads);
  double sum = (sums[thread] + sums[thread + 2 * kNormThreads]) +
               (sums[thread + kNormThreads] + sums[thread + 3 * kNormThreads]);
  memory.columns[thread] = sum;
  for (unsigned half = kNormThreads / 2; half >= kWarp; half /= 2) {
    __syncthreads();
    if (thread >= half) continue;
    sum += memory.columns[thread + half];
    memory.columns[thread] = sum;
  }
  if (thread >= kWarp) return 0.0;
  for (unsigned half = kWarp / 2; half > 0; half /= 2) {
    sum += __shfl_down_sync(kAllLanes, sum, half);
  }
  return sum;
}

__device__ __forceinline__ void write_norm(double sum_of_squares, double scale, double clip,
                                           UpdateStatus& status) {
  const double norm = scale * sqrt(sum_of_squares);
  const double clipping = clip / (norm + 1e-6);
  status.gradient_norm = norm;
  status.gradient_factor = clip > 0.0 ? scale * (clipping < 1.0 ? clipping : 1.0) : scale;
  if (!is_finite(norm)) status.finite = 0.0;
}

__global__ void __launch_bounds__(kNormThreads)
    norm_kernel(GradientNormArguments<float> a, MatrixView<const float> arena, bool wide) {
  auto& memory = shared_memory<NormMemory>();
  const std::int64_t rows = norm_rows(a.gradient.size), chunks = a.chunk_sums.rows;
  for (std::int64_t task = blockIdx.x; task < chunks * kPanels; task += gridDim.x) {
    const std::int64_t chunk = task / kPanels, left = rows - chunk * kChunk;
    const int panel = static_cast<int>(task % kPanels);
    const int count = left < kChunk ? static_cast<int>(left) : kChunk;
    read_panel(arena, chunk * kChunk, panel, wide, memory);
    __syncthreads();
    if (threadIdx.x < kWarp) {
      const int column = static_cast<int>(threadIdx.x);
      a.chunk_sums(chunk, panel * kPanelColumns + column) =
          squares_of_column(count, column, memory);
    }
    __syncthreads();
  }
  grid_barrier();
  if (chunks > 1) {
    for (unsigned panel = blockIdx.x; panel < kPanels; panel += gridDim.x) {
      fold_chunks(a.chunk_sums, static_cast<int>(panel));
    }
    grid_barrier();
  }
  if (blockIdx.x != 0) return;
  const double sum = fold_columns(a.chunk_sums.row(0), memory);
  if (threadIdx.x == 0) write_norm(sum, a.scalars->gradient_scale, a.clip, *a.status);
}

}  // namespace

void update_results(const KernelArguments& arguments) {
  const auto a = UpdateResultsArguments::from(arguments);
  const LaunchShape shape{.blocks = 1, .threads = kResultsThreads};
  if (a.loss.type == ElementType::f64) {
    launch<results_kernel<double>>(shape, arguments.stream, a);
  } else {
    launch<results_kernel<float>>(shape, arguments.stream, a);
  }
}

void gradient_norm(const KernelArguments& arguments) {
  const auto a = GradientNormArguments<float>::from(arguments);
  const MatrixView<const float> arena{a.gradient.data, 1, a.gradient.size, 0};
  const auto blocks = std::min<std::int64_t>(resident_blocks<norm_kernel>(kNormThreads),
                                             a.chunk_sums.rows * kPanels);
  const LaunchShape shape{
      .blocks = static_cast<unsigned>(blocks), .threads = kNormThreads, .cooperative = true};
  launch<norm_kernel>(shape, arguments.stream, a, arena, is_wide(arena));
}

}  // namespace batchwise::BATCHWISE_CUDA
