// The tiled product behind all dense kernels: result[r, c] = sum over d of rows(r, d) columns(c,
// d), in chunks of the fixed order. A block computes one tile of the result, a thread a part of it
// in registers; operands pass through shared memory in slices of the depth, while the next slice's
// loads are under way. Tile shapes and groups do not change bits.
#pragma once

#include <algorithm>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/platform.cuh"
#include "kernels/ops/reduction_order.h"
#include "kernels/ops/tensor_view.h"

namespace batchwise::BATCHWISE_CUDA {

inline constexpr int kChunk = static_cast<int>(ReductionOrder::over_features().chunk());
static_assert(ReductionOrder::over_samples().chunk() == kChunk);

/// A block's tile of the result and what one thread has of it. Groups of threads compute the same
/// tile over different chunks of the depth at once, for results too small to occupy a GPU.
template <int rows, int columns, int depth, int thread_rows, int thread_columns, int groups,
          int blocks_at_once>
struct TileShape {
  static constexpr int kRows = rows;
  static constexpr int kColumns = columns;
  static constexpr int kDepth = depth;  ///< of a slice in shared memory
  static constexpr int kThreadRows = thread_rows;
  static constexpr int kThreadColumns = thread_columns;
  static constexpr int kGroups = groups;                ///< at most; a launch may have fewer
  static constexpr int kBlocksAtOnce = blocks_at_once;  ///< a multiprocessor; bounds the registers
  static constexpr int kThreads = (rows / thread_rows) * (columns / thread_columns);  ///< a group
  static constexpr int kQuads = thread_rows * thread_columns / 4;  ///< a thread's part of the tile
  static_assert(kThreads % 32 == 0 && thread_columns % 4 == 0 && kChunk % depth == 0);
};

/// Eight by eight results a thread need four 16-byte loads for 64 multiply-adds.
using LargeTile = TileShape<128, 128, 16, 8, 8, 1, 1>;
using MediumTile = TileShape<64, 64, 16, 8, 4, 2, 1>;
using SmallTile = TileShape<32, 32, 16, 4, 4, 4, 2>;
/// For few rows, where reading the other operand takes the time.
using FlatTile = TileShape<8, 32, 32, 2, 4, 4, 2>;

/// The axis of a product that an operand's memory rows run along.
enum class Along { result, depth };

/// A matrix as it lies in memory, rows contiguous: [depth, rows or columns of the result] along the
/// result, [rows or columns of the result, depth] along the depth.
struct Operand {
  MatrixView<const float> memory;
  bool wide;

  explicit Operand(const MatrixView<const float>& memory_)
      : memory(memory_), wide(is_wide(memory_)) {}
};

/// A slice of an operand in shared memory, one line of `outer` values a depth. Lines lie in fours,
/// and the fours are padded: a warp that transposes writes 32 different banks.
template <int outer, int depth>
struct Slice {
  static constexpr int kPadding = 128 / depth;
  float fours[depth / 4][4 * outer + kPadding];

  __device__ __forceinline__ float* line(int d) { return fours[d / 4] + d % 4 * outer; }
};

/// A thread's share of a slice on its way from global to shared memory: quads in one column of
/// quads, kRowStep memory rows apart. What lies outside the operand or the slice becomes zero.
template <Along along, int outer, int depth, int threads>
class StagedSlice {
 public:
  /// Depths [begin, begin + count) of the operand's outer positions from `first` on.
  __device__ __forceinline__ void load(const Operand& operand, std::int64_t first,
                                       std::int64_t begin, int count, int thread) {
    constexpr bool kAlongDepth = along == Along::depth;
    const auto& memory = operand.memory;
    const std::int64_t left = (kAlongDepth ? memory.rows : memory.columns) - first;
    const int outer_left = left < outer ? static_cast<int>(left) : outer;
    const int rows_left = (kAlongDepth ? outer_left : count) - row_of(thread);
    const int valid = (kAlongDepth ? count : outer_left) - column_of(thread);
    const float* source = memory.row((kAlongDepth ? first : begin) + row_of(thread)) +
                          (kAlongDepth ? begin : first) + column_of(thread);
    const std::int64_t step = kRowStep * memory.row_stride;
#pragma unroll
    for (float4& quad : quads_) quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (operand.wide && valid >= 4) {
#pragma unroll
      for (int i = 0; i < kShare; ++i, source += step) {
        if (i * kRowStep < rows_left) quads_[i] = as_vector<const float4>(source);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kShare; ++i, source += step) {
        if (i * kRowStep >= rows_left) continue;
        if (valid > 0) quads_[i].x = source[0];
        if (valid > 1) quads_[i].y = source[1];
        if (valid > 2) quads_[i].z = source[2];
        if (valid > 3) quads_[i].w = source[3];
      }
    }
  }

  __device__ __forceinline__ void store(Slice<outer, depth>& slice, int thread) const {
    const int column = column_of(thread);
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const int row = row_of(thread) + i * kRowStep;
      if constexpr (along == Along::depth) {
        slice.line(column)[row] = quads_[i].x;
        slice.line(column + 1)[row] = quads_[i].y;
        slice.line(column + 2)[row] = quads_[i].z;
        slice.line(column + 3)[row] = quads_[i].w;
      } else {
        as_vector<float4>(slice.line(row) + column) = quads_[i];
      }
    }
  }

 private:
  static constexpr int kQuadsARow = (along == Along::depth ? depth : outer) / 4;
  static constexpr int kRowStep = threads / kQuadsARow;
  static constexpr int kShare = outer * depth / 4 / threads;
  static_assert(kShare * threads * 4 == outer * depth && kRowStep * kQuadsARow == threads);

  [[nodiscard]] static __device__ __forceinline__ int row_of(int thread) {
    return thread / kQuadsARow;
  }
  [[nodiscard]] static __device__ __forceinline__ int column_of(int thread) {
    return thread % kQuadsARow * 4;
  }
  float4 quads_[kShare];
};

/// What a group has in shared memory: operands, two slices deep, or results between the chunks.
template <class Shape>
struct GroupMemory {
  struct Slices {
    Slice<Shape::kRows, Shape::kDepth> rows;
    Slice<Shape::kColumns, Shape::kDepth> columns;
  };
  /// The quads of a thread that fit at a time.
  static constexpr int kSlots =
      std::min<int>(Shape::kQuads, 2 * sizeof(Slices) / (Shape::kThreads * sizeof(float4)));
  static_assert(Shape::kQuads % kSlots == 0 && (kSlots == Shape::kQuads || Shape::kGroups == 1));
  union {
    Slices slices[2];
    float4 slots[kSlots][Shape::kThreads];
  };
};

template <class Shape>
struct TileMemory {
  GroupMemory<Shape> groups[Shape::kGroups];
};

/// Which of a tile's results a thread has: fours of neighbours (or pairs), spread over the tile so
/// that a warp reads shared memory without bank conflicts. A warp is 4 by 8 threads; rows and
/// columns take turns in the lane's bits, so that lanes one or two apart share an address and half
/// a warp's 16-byte load is one access.
template <class Shape>
struct ThreadPlace {
  static constexpr int kColumnThreads = Shape::kColumns / Shape::kThreadColumns;
  int row, column;  ///< among the tile's threads

  __device__ __forceinline__ explicit ThreadPlace(int thread) {
    const int lane = thread % 32, warp = thread / 32;
    constexpr int kWarpColumns = kColumnThreads / 8;
    row = warp / kWarpColumns * 4 + (lane >> 1 & 1) + (lane >> 3 & 1) * 2;
    column = warp % kWarpColumns * 8 + (lane & 1) + (lane >> 2 & 1) * 2 + (lane >> 4 & 1) * 4;
  }

  /// Position in the tile of a thread's value `index` of `count` along an axis of `extent`.
  template <int extent, int count>
  [[nodiscard]] static __device__ __forceinline__ int position(int place, int index) {
    constexpr int kWidth = count < 4 ? count : 4;
    return index / kWidth * (extent * kWidth / count) + place * kWidth + index % kWidth;
  }
  [[nodiscard]] __device__ __forceinline__ int row_of(int quad) const {
    return position<Shape::kRows, Shape::kThreadRows>(row, quad / (Shape::kThreadColumns / 4));
  }
  [[nodiscard]] __device__ __forceinline__ int column_of(int quad) const {
    return position<Shape::kColumns, Shape::kThreadColumns>(column,
                                                            quad % (Shape::kThreadColumns / 4) * 4);
  }
};

/// A thread's part of the tile: [thread rows][thread columns].
template <class Shape>
struct ThreadTile {
  float values[Shape::kThreadRows][Shape::kThreadColumns];

  __device__ __forceinline__ void set(int quad, const float4& value) {
    float* four =
        values[quad / (Shape::kThreadColumns / 4)] + quad % (Shape::kThreadColumns / 4) * 4;
    four[0] = value.x;
    four[1] = value.y;
    four[2] = value.z;
    four[3] = value.w;
  }
  [[nodiscard]] __device__ __forceinline__ float4 get(int quad) const {
    const float* four =
        values[quad / (Shape::kThreadColumns / 4)] + quad % (Shape::kThreadColumns / 4) * 4;
    return make_float4(four[0], four[1], four[2], four[3]);
  }
};

template <int extent, int count>
__device__ __forceinline__ void load_fragment(const float* line, int place,
                                              float (&fragment)[count]) {
  if constexpr (count == 2) {
    const float2 pair = as_vector<const float2>(line + place * 2);
    fragment[0] = pair.x;
    fragment[1] = pair.y;
  } else {
#pragma unroll
    for (int i = 0; i < count; i += 4) {
      const float4 four = as_vector<const float4>(line + place * 4 + i * (extent / count));
      fragment[i] = four.x;
      fragment[i + 1] = four.y;
      fragment[i + 2] = four.z;
      fragment[i + 3] = four.w;
    }
  }
}

/// One depth of the chains.
template <class Shape>
__device__ __forceinline__ void accumulate(const float* row_line, const float* column_line,
                                           const ThreadPlace<Shape>& place,
                                           ThreadTile<Shape>& sum) {
  float rows[Shape::kThreadRows], columns[Shape::kThreadColumns];
  load_fragment<Shape::kRows>(row_line, place.row, rows);
  load_fragment<Shape::kColumns>(column_line, place.column, columns);
#pragma unroll
  for (int r = 0; r < Shape::kThreadRows; ++r) {
#pragma unroll
    for (int c = 0; c < Shape::kThreadColumns; ++c) {
      sum.values[r][c] = fmaf(rows[r], columns[c], sum.values[r][c]);
    }
  }
}

/// Depths [0, count) of a slice. Values behind the count stay out of the chains: even a product of
/// zeros would turn a sum of -0 into +0.
template <class Shape>
__device__ __forceinline__ void accumulate(typename GroupMemory<Shape>::Slices& slices, int count,
                                           const ThreadPlace<Shape>& place,
                                           ThreadTile<Shape>& sum) {
  if (count == Shape::kDepth) {
#pragma unroll 2
    for (int four = 0; four < Shape::kDepth / 4; ++four) {
#pragma unroll
      for (int d = 0; d < 4; ++d) {
        accumulate(slices.rows.fours[four] + d * Shape::kRows,
                   slices.columns.fours[four] + d * Shape::kColumns, place, sum);
      }
    }
  } else {
#pragma unroll 1
    for (int d = 0; d < count; ++d) {
      accumulate(slices.rows.line(d), slices.columns.line(d), place, sum);
    }
  }
}

/// The depth of a pass, cut into chunks, which are counted from the pass's first. The positions and
/// lengths of one pass fit an int: a view has fewer than 2^31 rows and columns.
struct ChunkedDepth {
  int skipped;  ///< elements of the first chunk that lie before the pass
  int count;    ///< elements of the pass

  [[nodiscard]] __device__ __forceinline__ int chunks() const {
    return (skipped + count - 1) / kChunk + 1;
  }
  /// Where the pass's part of a chunk begins in the operands.
  [[nodiscard]] __device__ __forceinline__ int begin(int chunk) const {
    return chunk == 0 ? 0 : chunk * kChunk - skipped;
  }
  /// Length of the pass's part of a chunk; not positive behind the last.
  [[nodiscard]] __device__ __forceinline__ int length(int chunk) const {
    const int left = count - begin(chunk), whole = chunk == 0 ? kChunk - skipped : kChunk;
    return left < whole ? left : whole;
  }
};

/// A slice of each group's chunk. Group g works on chunk + g.
class Step {
 public:
  int chunk = 0;
  int offset = 0;  ///< of the slice in the pass's part of the chunk

  __device__ __forceinline__ Step(const ChunkedDepth& depth, int groups)
      : longest_(longest(depth, groups)) {}

  template <int slice>
  __device__ __forceinline__ void advance(const ChunkedDepth& depth, int groups) {
    offset += slice;
    if (offset < longest_) return;
    chunk += groups;
    offset = 0;
    longest_ = longest(depth, groups);
  }

 private:
  /// All groups take the same steps. Only a pass's first and last chunk can be short, so one of the
  /// first two is a longest one.
  [[nodiscard]] __device__ __forceinline__ int longest(const ChunkedDepth& depth,
                                                       int groups) const {
    const int own = depth.length(chunk), next = groups > 1 ? depth.length(chunk + 1) : 0;
    return own > next ? own : next;
  }
  int longest_;
};

/// This thread's group, and how many there are.
template <class Shape>
[[nodiscard]] __device__ __forceinline__ int group_of_thread() {
  return Shape::kGroups == 1 ? 0 : static_cast<int>(threadIdx.y);
}
template <class Shape>
[[nodiscard]] __device__ __forceinline__ int groups_of_block() {
  return Shape::kGroups == 1 ? 1 : static_cast<int>(blockDim.y);
}
template <class Shape>
[[nodiscard]] __device__ __forceinline__ GroupMemory<Shape>& memory_of_group(int group) {
  return shared_memory<TileMemory<Shape>>().groups[group];
}

/// The chains of a block's tile, whose corner is at `row` and `column` of the result. `sums`
/// decides what they start from and what becomes of them: start(chunk, sum) sets a thread's chains
/// for its chunk; finish(chunk, sum) is called by all threads when the groups' chunks from `chunk`
/// on are complete, and may use the tile's memory between two barriers.
template <class Shape, Along row_along, Along column_along, class Sums>
__device__ __forceinline__ void multiply(const Operand& rows, std::int64_t row,
                                         const Operand& columns, std::int64_t column,
                                         const ChunkedDepth& depth, Sums& sums) {
  const int thread = static_cast<int>(threadIdx.x);
  const int group = group_of_thread<Shape>(), groups = groups_of_block<Shape>();
  auto& slices = memory_of_group<Shape>(group).slices;
  const ThreadPlace<Shape> place(thread);
  StagedSlice<row_along, Shape::kRows, Shape::kDepth, Shape::kThreads> staged_rows;
  StagedSlice<column_along, Shape::kColumns, Shape::kDepth, Shape::kThreads> staged_columns;
  const auto length = [&](const Step& step) {
    const int left = depth.length(step.chunk + group) - step.offset;
    return left < Shape::kDepth ? left : Shape::kDepth;
  };
  const auto load = [&](const Step& step) {
    const int begin = depth.begin(step.chunk + group) + step.offset;
    staged_rows.load(rows, row, begin, length(step), thread);
    staged_columns.load(columns, column, begin, length(step), thread);
  };
  const auto store = [&](int buffer) {
    staged_rows.store(slices[buffer].rows, thread);
    staged_columns.store(slices[buffer].columns, thread);
    __syncthreads();
  };

  ThreadTile<Shape> sum;
  Step step(depth, groups);
  load(step);
  store(0);
  for (int buffer = 0;; store(buffer)) {
    const int chunk = step.chunk;
    sums.start(chunk + group, sum);
    for (;; store(buffer)) {
      const int count = length(step);
      step.template advance<Shape::kDepth>(depth, groups);
      if (step.chunk < depth.chunks()) load(step);
      accumulate<Shape>(slices[buffer], count, place, sum);
      buffer ^= 1;
      if (step.chunk > chunk) break;
    }
    sums.finish(chunk, sum);
    if (step.chunk >= depth.chunks()) return;
  }
}

/// Sums over features: every chunk's chains start from zero, and group 0 adds the chunks' sums in
/// order.
template <class Shape>
class FeatureSums {
 public:
  __device__ __forceinline__ explicit FeatureSums(const ChunkedDepth& depth) : depth_(depth) {}

  __device__ __forceinline__ void start(int, ThreadTile<Shape>& sum) const {
#pragma unroll
    for (int quad = 0; quad < Shape::kQuads; ++quad) {
      sum.set(quad, make_float4(0.0f, 0.0f, 0.0f, 0.0f));
    }
  }

  __device__ __forceinline__ void finish(int chunk, const ThreadTile<Shape>& sum) {
    if (chunk == 0) {
      total_ = sum;
    } else if (group_of_thread<Shape>() == 0) {
      add([&](int quad) { return sum.get(quad); });
    }
    if constexpr (Shape::kGroups > 1) add_other_groups(chunk, sum);
  }

  /// Calls body(quad, total) for the quads of a thread of group 0, from a loop that is not
  /// unrolled: the body's code is there once, not once a register.
  template <class Body>
  __device__ __forceinline__ void for_each_total(Body body) const {
    constexpr int kSlots = GroupMemory<Shape>::kSlots;
    __syncthreads();  // the slices, in whose place the slots are, have been read
    if (group_of_thread<Shape>() != 0) return;
    auto& slots = memory_of_group<Shape>(0).slots;
#pragma unroll
    for (int first = 0; first < Shape::kQuads; first += kSlots) {
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot) slots[slot][threadIdx.x] = total_.get(first + slot);
#pragma unroll 1
      for (int slot = 0; slot < kSlots; ++slot) body(first + slot, slots[slot][threadIdx.x]);
    }
  }

 private:
  template <class Sum>
  __device__ __forceinline__ void add(Sum sum) {
#pragma unroll
    for (int quad = 0; quad < Shape::kQuads; ++quad) {
      const float4 total = total_.get(quad), next = sum(quad);
      total_.set(quad, make_float4(total.x + next.x, total.y + next.y, total.z + next.z,
                                   total.w + next.w));
    }
  }

  __device__ __forceinline__ void add_other_groups(int chunk, const ThreadTile<Shape>& sum) {
    const int group = group_of_thread<Shape>();
    __syncthreads();
    if (group > 0) {
      auto& slots = memory_of_group<Shape>(group).slots;
#pragma unroll
      for (int quad = 0; quad < Shape::kQuads; ++quad) slots[quad][threadIdx.x] = sum.get(quad);
    }
    __syncthreads();
    if (group == 0) {
      const int chunks = depth_.chunks() - chunk;
      for (int other = 1; other < groups_of_block<Shape>() && other < chunks; ++other) {
        const auto& slots = memory_of_group<Shape>(other).slots;
        add([&](int quad) { return slots[quad][threadIdx.x]; });
      }
    }
    __syncthreads();
  }

  ChunkedDepth depth_;
  ThreadTile<Shape> total_;
};

/// The corner of this block's tile; the tiles of a row of tiles are neighbours in the grid.
struct Corner {
  std::int64_t row, column;
};
template <class Shape>
[[nodiscard]] __device__ __forceinline__ Corner corner_of_block(std::int64_t columns) {
  const std::int64_t tiles_a_row = (columns + Shape::kColumns - 1) / Shape::kColumns;
  const std::int64_t tile = blockIdx.x;
  return {tile / tiles_a_row * Shape::kRows, tile % tiles_a_row * Shape::kColumns};
}

/// Four neighbours of a row of a result, fewer at its end, none outside it.
[[nodiscard]] __device__ __forceinline__ Quad quad_at(std::int64_t row, std::int64_t column,
                                                      const MatrixView<float>& result) {
  if (row >= result.rows || column >= result.columns) return {row, column, 0};
  const std::int64_t left = result.columns - column;
  return {row, column, left < 4 ? static_cast<int>(left) : 4};
}

template <class Shape>
[[nodiscard]] std::int64_t tiles(std::int64_t rows, std::int64_t columns) {
  return ((rows + Shape::kRows - 1) / Shape::kRows) *
         ((columns + Shape::kColumns - 1) / Shape::kColumns);
}

template <class Shape>
[[nodiscard]] LaunchShape shape_of_product(std::int64_t rows, std::int64_t columns,
                                           std::int64_t depth) {
  const auto chunks = static_cast<unsigned>((depth + kChunk - 1) / kChunk);
  const auto tiles_of_result = static_cast<unsigned>(tiles<Shape>(rows, columns));
  return {tiles_of_result, dim3(Shape::kThreads, std::min<unsigned>(chunks, Shape::kGroups))};
}

/// Calls call.template operator()<Shape>() with the tile that takes least time by an estimate: the
/// waves of blocks over the multiprocessors, times a tile's results, over the share of the
/// multiply-add rate that the shape's loads leave (from the instruction mix, not measured).
template <class Call>
void with_tile(std::int64_t rows, std::int64_t columns, Call call) {
  const auto time = [&, at_once = multiprocessors()]<class Shape>(Shape, double share_of_rate) {
    const std::int64_t waves = (tiles<Shape>(rows, columns) + at_once - 1) / at_once;
    return static_cast<double>(waves * Shape::kRows * Shape::kColumns) / share_of_rate;
  };
  const double large = time(LargeTile{}, 0.9), medium = time(MediumTile{}, 0.75);
  const double small = time(SmallTile{}, 0.5), flat = time(FlatTile{}, 0.25);
  const double least = std::min({large, medium, small, flat});
  if (large == least) return call.template operator()<LargeTile>();
  if (medium == least) return call.template operator()<MediumTile>();
  if (small == least) return call.template operator()<SmallTile>();
  return call.template operator()<FlatTile>();
}

}  // namespace batchwise::BATCHWISE_CUDA
