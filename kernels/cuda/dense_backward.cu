// dense_backward_weight, a tiled product over samples, and dense_backward_bias, a sum over them.
// Contract: ops/dense.h.
#include "kernels/cuda/operations.h"
#include "kernels/cuda/product.cuh"
#include "kernels/ops/dense.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

using WeightArguments = DenseBackwardWeightArguments<float, float>;
using BiasArguments = DenseBackwardBiasArguments<float, float>;

/// The weights' gradient as it lies in memory, [inputs, units], and the partial sums behind it.
struct GradientMemory {
  MatrixView<float> gradient;
  bool wide_gradient;
  PartialSums<float> partials;
  bool wide_partials;

  explicit GradientMemory(const WeightArguments& a)
      : gradient{a.gradient.data, a.gradient.columns, a.gradient.rows, a.gradient.column_stride, 1},
        wide_gradient(is_wide(gradient)),
        partials(a.partials),
        wide_partials(is_wide(level(0)) && partials.level_stride % 4 == 0) {}

  [[nodiscard]] __host__ __device__ __forceinline__ MatrixView<float> level(int index) const {
    MatrixView<float> view = gradient;
    view.data = partials.data + index * partials.level_stride;
    return view;
  }
};

[[nodiscard]] __device__ __forceinline__ MatrixView<const float> read_only(
    const MatrixView<float>& view) {
  return {view.data, view.rows, view.columns, view.row_stride, view.column_stride};
}

/// Four open partial sums of one level, for fold_chunk() and fold_last_chunk().
struct PartialQuad {
  const GradientMemory& memory;
  const Quad& quad;
  int level;

  __device__ __forceinline__ void operator=(const float4& sum) const {
    store(memory.level(level), quad, memory.wide_partials, sum);
  }
  friend __device__ __forceinline__ float4 operator+(const PartialQuad& partial,
                                                     const float4& sum) {
    const float4 open = load(read_only(partial.memory.level(partial.level)), partial.quad,
                             partial.memory.wide_partials);
    return make_float4(open.x + sum.x, open.y + sum.y, open.z + sum.z, open.w + sum.w);
  }
};

/// The rows of a pass and where its chunks lie in the update's batch.
struct Samples {
  ChunkedDepth depth;
  std::int64_t first_chunk;
  bool completes_batch, completes_chunk;

  __device__ __forceinline__ explicit Samples(const SampleRange& range)
      : depth{static_cast<int>(range.first % kChunk), static_cast<int>(range.count)},
        first_chunk(range.first / kChunk),
        completes_batch(range.end() == range.total),
        completes_chunk(range.end() % kChunk == 0) {}

  [[nodiscard]] __device__ __forceinline__ bool resumes(int chunk) const {
    return chunk == 0 && depth.skipped > 0;
  }

  /// Chunk `chunk` of the pass has come to `sum`: folds it if it is complete. Returns what the
  /// gradient becomes if it is the pass's last.
  template <class Sum, class Partial>
  [[nodiscard]] __device__ __forceinline__ Sum fold(int chunk, const Sum& sum,
                                                    Partial partial) const {
    const bool last = chunk == depth.chunks() - 1;
    if (last && completes_batch) return fold_last_chunk(sum, first_chunk + chunk, partial);
    if (!last || completes_chunk) fold_chunk(sum, first_chunk + chunk, partial);
    return sum;
  }
};

/// Sums over samples: the chain of a chunk that the pass before began is resumed from the gradient,
/// and complete chunks are folded through the partial sums in global memory.
template <class Shape>
class SampleSums {
 public:
  __device__ __forceinline__ SampleSums(const GradientMemory& memory, const Samples& samples,
                                        const Corner& corner)
      : memory_(memory),
        samples_(samples),
        corner_(corner),
        place_(static_cast<int>(threadIdx.x)) {}

  __device__ __forceinline__ void start(int chunk, ThreadTile<Shape>& sum) const {
#pragma unroll
    for (int i = 0; i < Shape::kQuads; ++i) {
      const Quad quad = quad_of(i);
      sum.set(i, samples_.resumes(chunk) && quad.count > 0
                     ? load(read_only(memory_.gradient), quad, memory_.wide_gradient)
                     : make_float4(0.0f, 0.0f, 0.0f, 0.0f));
    }
  }

  /// The groups share the quads; each quad's chunks are folded in order.
  __device__ __forceinline__ void finish(int chunk, const ThreadTile<Shape>& sum) const {
    constexpr int kSlots = GroupMemory<Shape>::kSlots;
    const int group = group_of_thread<Shape>(), groups = groups_of_block<Shape>();
    __syncthreads();
#pragma unroll
    for (int first = 0; first < Shape::kQuads; first += kSlots) {
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot) {
        memory_of_group<Shape>(group).slots[slot][threadIdx.x] = sum.get(first + slot);
      }
      __syncthreads();
#pragma unroll 1
      for (int slot = group; slot < kSlots; slot += groups) {
        const Quad quad = quad_of(first + slot);
        for (int i = 0; i < groups && chunk + i < samples_.depth.chunks(); ++i) {
          const float4 value = memory_of_group<Shape>(i).slots[slot][threadIdx.x];
          if (quad.count > 0) take(chunk + i, quad, value);
        }
      }
      __syncthreads();
    }
  }

 private:
  [[nodiscard]] __device__ __forceinline__ Quad quad_of(int index) const {
    return quad_at(corner_.row + place_.row_of(index), corner_.column + place_.column_of(index),
                   memory_.gradient);
  }

  __device__ __forceinline__ void take(int chunk, const Quad& quad, const float4& sum) const {
    const float4 left = samples_.fold(chunk, sum, [&](int level) {
      return PartialQuad{memory_, quad, level};
    });
    if (chunk == samples_.depth.chunks() - 1) {
      store(memory_.gradient, quad, memory_.wide_gradient, left);
    }
  }

  const GradientMemory& memory_;
  const Samples& samples_;
  Corner corner_;
  ThreadPlace<Shape> place_;
};

/// gradient [inputs, units] = x [rows, inputs], transposed, times dy [rows, units].
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads* Shape::kGroups, Shape::kBlocksAtOnce)
    backward_weight_kernel(Operand x, Operand dy, GradientMemory memory, PassRange range) {
  const Corner corner = corner_of_block<Shape>(memory.gradient.columns);
  const Samples samples(range);
  SampleSums<Shape> sums(memory, samples, corner);
  multiply<Shape, Along::result, Along::result>(x, corner.row, dy, corner.column, samples.depth,
                                                sums);
}

constexpr int kBiasChunks = 8;      ///< summed at once by a block, one a warp
constexpr int kLoadsInFlight = 64;  ///< of a thread: a chain waits for memory once that often

struct BiasMemory {
  float sums[kBiasChunks][kWarp];  ///< of a chunk each, [chunk][unit]
};

/// The chain of a chunk's rows [begin, begin + count), from `sum`.
[[nodiscard]] __device__ __forceinline__ float add_rows(const MatrixView<const float>& dy,
                                                        std::int64_t begin, int count,
                                                        std::int64_t unit, float sum) {
  const float* row = dy.row(begin) + unit;
  for (; count >= kLoadsInFlight; count -= kLoadsInFlight) {
    float values[kLoadsInFlight];
#pragma unroll
    for (float& value : values) {
      value = *row;
      row += dy.row_stride;
    }
#pragma unroll
    for (const float value : values) sum = sum + value;
  }
#pragma unroll 8
  for (; count > 0; --count, row += dy.row_stride) sum = sum + *row;
  return sum;
}

/// A lane a unit, a warp a chunk; the first warp folds the chunks' sums in order.
__global__ void __launch_bounds__(kWarp* kBiasChunks)
    backward_bias_kernel(MatrixView<const float> dy, VectorView<float> gradient,
                         PartialSums<float> partials, PassRange range) {
  auto& shared = shared_memory<BiasMemory>();
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const std::int64_t unit = std::int64_t{blockIdx.x} * kWarp + lane;
  const Samples samples(range);
  const int chunks = samples.depth.chunks(), at_once = static_cast<int>(blockDim.y);
  for (int first = 0; first < chunks; first += at_once) {
    const int own = first + warp;
    if (unit < gradient.size && own < chunks) {
      shared.sums[warp][lane] = add_rows(dy, samples.depth.begin(own), samples.depth.length(own),
                                         unit, samples.resumes(own) ? gradient[unit] : 0.0f);
    }
    __syncthreads();
    if (unit < gradient.size && warp == 0) {
      for (int i = 0; i < at_once && first + i < chunks; ++i) {
        const float left = samples.fold(first + i, shared.sums[i][lane],
                                        [&](int level) -> float& { return partials(level, unit); });
        if (first + i == chunks - 1) gradient[unit] = left;
      }
    }
    __syncthreads();
  }
}

}  // namespace

void dense_backward_weight(const KernelArguments& arguments) {
  const auto a = WeightArguments::from(arguments);
  if (a.range.count == 0) return;
  const GradientMemory memory(a);
  with_tile(memory.gradient.rows, memory.gradient.columns, [&]<class Shape>() {
    launch<backward_weight_kernel<Shape>>(
        shape_of_product<Shape>(memory.gradient.rows, memory.gradient.columns, a.range.count),
        arguments.stream, Operand(a.x), Operand(a.dy), memory, a.range);
  });
}

void dense_backward_bias(const KernelArguments& arguments) {
  const auto a = BiasArguments::from(arguments);
  if (a.range.count == 0) return;
  const unsigned chunks = std::min(blocks_for(a.range.count, kChunk), unsigned{kBiasChunks});
  launch<backward_bias_kernel>({blocks_for(a.gradient.size, kWarp), dim3(kWarp, chunks)},
                               arguments.stream, a.dy, a.gradient, a.partials, a.range);
}

}  // namespace batchwise::BATCHWISE_CUDA
