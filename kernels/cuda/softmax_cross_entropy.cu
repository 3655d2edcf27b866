// softmax, and softmax cross-entropy with gradient, loss and prediction. Exponentials are taken
// side by side; each chunk of classes is one chain of additions, walked by one lane, and the
// chunks' sums are added in order. Contract: ops/softmax_cross_entropy.h.
#include "kernels/ops/softmax_cross_entropy.h"

#include <bit>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/ops/portable_math.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

// softmax is the gradient of a row without a label.

using Arguments = SoftmaxCrossEntropyArguments<float, float>;
constexpr std::int32_t kNoLabel = -1;

/// A largest logit and its class.
struct Largest {
  float logit;
  std::int32_t index;

  /// Goes on along a row: NaN is passed over, but for a first one, that stays.
  __device__ __forceinline__ void consider(float other, std::int64_t its_index) {
    if (other > logit) *this = {other, static_cast<std::int32_t>(its_index)};
  }
  __device__ __forceinline__ void consider(const float4& logits, const Quad& quad) {
    if (quad.count > 0) consider(logits.x, quad.column);
    if (quad.count > 1) consider(logits.y, quad.column + 1);
    if (quad.count > 2) consider(logits.z, quad.column + 2);
    if (quad.count > 3) consider(logits.w, quad.column + 3);
  }
  /// Merges the same row's from elsewhere. Both began with the row's first logit.
  __device__ __forceinline__ void merge(const Largest& other) {
    const bool lower = other.logit == logit && other.index < index;
    if (other.logit > logit || lower) *this = other;
  }
  /// The lanes' in common, of `lanes` neighbours, a power of two.
  __device__ __forceinline__ void merge_lanes(unsigned lanes) {
    for (int distance = static_cast<int>(lanes / 2); distance > 0; distance /= 2) {
      merge({__shfl_xor_sync(kAllLanes, logit, distance),
             __shfl_xor_sync(kAllLanes, index, distance)});
    }
  }
};

/// A row's exponentials, in shared memory: [chunks][kChunkQuads] quads, one of padding after each
/// chunk, and the last one's rest zero.
constexpr int kChunkQuads = static_cast<int>(ReductionOrder::over_features().chunk() / 4);

__host__ __device__ constexpr int chunks_of(int quads) {
  return (quads + kChunkQuads - 1) / kChunkQuads;
}
/// A quad's place among them. 16 bytes more than a multiple of 128 from chunk to chunk: lanes that
/// walk a chunk each do not meet in a bank.
__host__ __device__ constexpr int place_of(int quad) { return quad + quad / kChunkQuads; }

/// exp(logit - largest), zeros behind the end of the row. Four at once, selected afterwards.
__device__ __forceinline__ float4 exponentials(const float4& logits, const Quad& quad,
                                               float largest) {
  const float4 all =
      make_float4(portable::exp(logits.x - largest), portable::exp(logits.y - largest),
                  portable::exp(logits.z - largest), portable::exp(logits.w - largest));
  return make_float4(all.x, quad.count > 1 ? all.y : 0.0f, quad.count > 2 ? all.z : 0.0f,
                     quad.count > 3 ? all.w : 0.0f);
}

/// The chain of one chunk of a row of so many quads; 0 beyond the last. Zeros at its end add
/// nothing.
__device__ __forceinline__ float sum_of_chunk(const float4* row, int quads, int chunk) {
  float sum = 0.0f;
  const int next = (chunk + 1) * kChunkQuads;
  const int end = next < quads ? next : quads;
#pragma unroll 8
  for (int quad = chunk * kChunkQuads; quad < end; ++quad) {
    const float4 terms = row[quad + chunk];
    sum += terms.x;
    sum += terms.y;
    sum += terms.z;
    sum += terms.w;
  }
  return sum;
}

/// total + the sums of the lanes from first_lane on, in order. All lanes of the warp take part. A
/// total of 0 changes nothing: no sum is -0.
__device__ __forceinline__ float add_in_order(float total, float sum, unsigned first_lane,
                                              int count) {
  for (int i = 0; i < count; ++i) {
    total += __shfl_sync(kAllLanes, sum, static_cast<int>(first_lane) + i);
  }
  return total;
}

/// A row's label and its logit.
struct Label {
  std::int32_t index = kNoLabel;
  float logit = 0.0f;
};

__device__ __forceinline__ Label read_label(const Arguments& a, std::int64_t row) {
  if (a.labels.empty()) return {};
  const std::int32_t index = a.label(row);
  return {index, a.logits(row, index)};
}

__device__ __forceinline__ void store_loss(const Arguments& a, std::int64_t row, const Label& label,
                                           const Largest& largest, float sum) {
  if (a.labels.empty()) return;
  const std::int64_t position = a.range.first() + row;
  a.loss[position] = portable::log(sum) - (label.logit - largest.logit);
  a.predicted[position] = largest.index;
}

__device__ __forceinline__ void store_gradient(const Arguments& a, const Quad& quad, bool wide,
                                               const float4& e, float sum, const Label& label) {
  const auto one_at = [&](int i) { return quad.column + i == label.index ? 1.0f : 0.0f; };
  store(a.gradient, quad, wide,
        make_float4(e.x / sum - one_at(0), e.y / sum - one_at(1), e.z / sum - one_at(2),
                    e.w / sum - one_at(3)));
}

/// A row's quad by its index; empty beyond the last.
__device__ __forceinline__ Quad quad_of_row(const Arguments& a, std::int64_t row, int index) {
  const std::int64_t column = std::int64_t{4} * index;
  const std::int64_t left = row < a.logits.rows ? a.logits.columns - column : 0;
  return {row, column, left >= 4 ? 4 : left > 0 ? static_cast<int>(left) : 0};
}

/// Logits of a row, or their exponentials: quads first, first + stride, ...
template <int kQuads>
struct Part {
  int index[kQuads];
  Quad quad[kQuads];
  float4 values[kQuads];
};

/// All loads before anything waits for one.
template <int kQuads>
__device__ __forceinline__ Part<kQuads> load_part(const Arguments& a, std::int64_t row,
                                                  unsigned first, unsigned stride, bool wide) {
  Part<kQuads> part{};
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    part.index[i] = static_cast<int>(first + static_cast<unsigned>(i) * stride);
    part.quad[i] = quad_of_row(a, row, part.index[i]);
    if (part.quad[i].count > 0) part.values[i] = load(a.logits, part.quad[i], wide);
  }
  return part;
}

// Few classes: blockDim.x lanes of a warp, a power of two, hold a row in registers, and show each
// other its exponentials in shared memory [blockDim.y rows][pitch quads]. A warp waits for no
// other.

constexpr unsigned kLanesKernelThreads = 128;

template <int kQuads>  // a lane
__global__ void __launch_bounds__(kLanesKernelThreads)
    lanes_kernel(Arguments a, int quads, int pitch, bool wide) {
  const unsigned first_lane = threadIdx.y * blockDim.x % kWarp;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const bool exists = row < a.logits.rows;
  Part<kQuads> part = load_part<kQuads>(a, row, threadIdx.x, blockDim.x, wide);
  const Label label = exists ? read_label(a, row) : Label{};

  Largest largest{exists ? a.logits(row, 0) : 0.0f, 0};
#pragma unroll
  for (int i = 0; i < kQuads; ++i) largest.consider(part.values[i], part.quad[i]);
  largest.merge_lanes(blockDim.x);

  float4* terms = dynamic_shared_memory<float4>() + static_cast<int>(threadIdx.y) * pitch;
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    if (part.quad[i].count == 0) continue;
    part.values[i] = exponentials(part.values[i], part.quad[i], largest.logit);
    terms[place_of(part.index[i])] = part.values[i];
  }
  __syncwarp();
  const int chunk = static_cast<int>(threadIdx.x);
  const float chunk_sum = exists ? sum_of_chunk(terms, quads, chunk) : 0.0f;
  const float sum = add_in_order(0.0f, chunk_sum, first_lane, chunks_of(quads));

  if (exists && threadIdx.x == 0) store_loss(a, row, label, largest, sum);
  if (a.gradient.data == nullptr) return;
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    if (part.quad[i].count == 0) continue;
    store_gradient(a, part.quad[i], wide, part.values[i], sum, label);
  }
}

// Many classes: a block a row. A row of one tile [32 chunks] stays in shared memory; longer ones
// are read anew for their sum and for their results.

constexpr unsigned kBlockKernelThreads = 256;
constexpr int kTileQuads = static_cast<int>(kWarp) * kChunkQuads;  ///< a chunk a lane

struct BlockShared {
  Largest largest[kBlockKernelThreads / kWarp];
  float sum;
};

/// The block's largest from its threads'.
__device__ __forceinline__ Largest merge_block(BlockShared& shared, Largest largest) {
  largest.merge_lanes(kWarp);
  if (threadIdx.x % kWarp == 0) shared.largest[threadIdx.x / kWarp] = largest;
  __syncthreads();
  for (const Largest& other : shared.largest) largest.merge(other);
  return largest;
}

/// The row's largest logit. A row that stays is left in the tile.
__device__ __forceinline__ Largest read_row(const Arguments& a, std::int64_t row, int quads,
                                            bool wide, bool stays, float4* tile,
                                            BlockShared& shared) {
  constexpr int kTogether = 4;
  Largest largest{a.logits(row, 0), 0};
  for (unsigned first = threadIdx.x; first < static_cast<unsigned>(quads);
       first += kTogether * kBlockKernelThreads) {
    const auto part = load_part<kTogether>(a, row, first, kBlockKernelThreads, wide);
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      largest.consider(part.values[i], part.quad[i]);
      if (stays && part.quad[i].count > 0) tile[place_of(part.index[i])] = part.values[i];
    }
  }
  return merge_block(shared, largest);
}

__global__ void __launch_bounds__(kBlockKernelThreads)
    block_kernel(Arguments a, int quads, bool wide) {
  auto& shared = shared_memory<BlockShared>();
  float4* tile = dynamic_shared_memory<float4>();
  const std::int64_t row = blockIdx.x;
  const auto thread = static_cast<int>(threadIdx.x);
  constexpr int kThreads = kBlockKernelThreads;
  const bool stays = quads <= kTileQuads;
  const Label label = read_label(a, row);
  const Largest largest = read_row(a, row, quads, wide, stays, tile, shared);

  float sum = 0.0f;  // in the first warp
  for (int first = 0; first < quads; first += kTileQuads) {
    const int count = quads - first < kTileQuads ? quads - first : kTileQuads;
    for (int index = thread; index < count; index += kThreads) {
      const Quad quad = quad_of_row(a, row, first + index);
      float4& terms = tile[place_of(index)];
      terms = exponentials(stays ? terms : load(a.logits, quad, wide), quad, largest.logit);
    }
    __syncthreads();
    if (threadIdx.x < kWarp) {
      sum = add_in_order(sum, sum_of_chunk(tile, count, thread), 0, chunks_of(count));
      if (thread == 0) shared.sum = sum;
    }
    __syncthreads();
  }
  sum = shared.sum;

  if (thread == 0) store_loss(a, row, label, largest, sum);
  if (a.gradient.data == nullptr) return;
  for (int index = thread; index < quads; index += kThreads) {
    const Quad quad = quad_of_row(a, row, index);
    const float4 terms = stays ? tile[place_of(index)]
                               : exponentials(load(a.logits, quad, wide), quad, largest.logit);
    store_gradient(a, quad, wide, terms, sum, label);
  }
}

/// Quads a lane of the widest rows that lanes hold.
constexpr int kMostQuads = 4;

template <int kQuads>
void launch_lanes(const Arguments& a, int quads, bool wide, CUstream_st* stream) {
  const unsigned lanes = std::min(kWarp, std::bit_ceil(static_cast<unsigned>(quads)));
  const unsigned rows = kLanesKernelThreads / lanes;
  const int pitch = (place_of(quads - 1) + 1) | 1;  // odd, so that rows do not meet in a bank
  launch<lanes_kernel<kQuads>>({.blocks = blocks_for(a.logits.rows, rows),
                                .threads = {lanes, rows},
                                .dynamic_shared_bytes = rows * pitch * sizeof(float4)},
                               stream, a, quads, pitch, wide);
}

void launch_rows(const Arguments& a, CUstream_st* stream) {
  const auto quads = static_cast<int>((a.logits.columns + 3) / 4);
  const bool wide = is_wide(a.logits) && is_wide(a.gradient);
  constexpr int kLanes = kWarp;
  if (quads <= kLanes) return launch_lanes<1>(a, quads, wide, stream);
  if (quads <= kMostQuads * kLanes) return launch_lanes<kMostQuads>(a, quads, wide, stream);
  const int tile = place_of(std::min(quads, kTileQuads) - 1) + 1;
  launch<block_kernel>({.blocks = blocks_for(a.logits.rows, 1),
                        .threads = kBlockKernelThreads,
                        .dynamic_shared_bytes = tile * sizeof(float4)},
                       stream, a, quads, wide);
}

}  // namespace

void softmax(const KernelArguments& arguments) {
  const auto a = SoftmaxArguments<float, float>::from(arguments);
  launch_rows({.logits = a.logits,
               .labels = {},
               .indices = {},
               .loss = {},
               .predicted = {},
               .gradient = a.probabilities,
               .range = {}},
              arguments.stream);
}

void softmax_cross_entropy(const KernelArguments& arguments) {
  launch_rows(Arguments::from(arguments), arguments.stream);
}

}  // namespace batchwise::BATCHWISE_CUDA
