// Sums over samples inside one block, in the order of ops/reduction_order.h: a thread walks the
// chain of a chunk's rows from shared memory, which the whole block fills; chains of several
// chunks or groups run side by side, and the chunks' sums fold by the tree.
//
// A Term says what is summed, one or two values side by side:
//   kValues                        how many
//   groups                         how the rows fall into groups
//   constants(group, channel)      what all terms of a group and channel share
//   load(row, column, values)      the operands
//   prepare(constants, values)     what enters the chain
//   add(values, sums)              a link of the chain
#pragma once

#include <algorithm>
#include <bit>
#include <type_traits>

#include "kernels/cuda/platform.cuh"
#include "kernels/ops/batchnorm.h"

namespace batchwise::BATCHWISE_CUDA {

inline constexpr int kSumThreads = 256;
inline constexpr int kSumBlocks = 2;  ///< on a multiprocessor at least; with three, registers spill
inline constexpr int kChains = 32;    ///< side by side in a block, for each of its channels
inline constexpr int kLoads = 8;      ///< rows that a thread has on their way at a time
inline constexpr int kSampleChunk = static_cast<int>(ReductionOrder::over_samples().chunk());

/// Channels of a block: 32 bytes of each row, the least that memory moves, so that narrow layers
/// still fill several blocks. One where a channel has many pixels.
inline constexpr int kNeighbours = 8;

/// A block's chains and the rows of each that shared memory holds at a time.
struct SumTile {
  int chains;
  int slab;     ///< rows, a power of two
  int longest;  ///< rows of the longest chain, at most
};

/// For chains of up to `longest` rows; `rows`: of all chains that fit shared memory.
[[nodiscard]] constexpr SumTile tile_of_chains(std::int64_t chains, std::int64_t longest,
                                               int rows) {
  const auto count = static_cast<int>(std::min<std::int64_t>(chains, kChains));
  const auto length = static_cast<unsigned>(std::min<std::int64_t>(longest, kSampleChunk));
  const auto room = static_cast<unsigned>(rows) / std::bit_ceil(static_cast<unsigned>(count));
  return {count, static_cast<int>(std::min(std::bit_ceil(length), room)), static_cast<int>(length)};
}

/// Rows that one chain sums.
struct ChainRows {
  std::int64_t first;  ///< in the pass
  int count;           ///< at most a chunk
};

/// Where warps sum a channel's pixels.
template <int values, int channels>
struct PixelMemory {};
template <int values>
struct PixelMemory<values, 1> {
  static constexpr int kWarps = kSumThreads / 32;
  static constexpr int kWidth = 32 / values;  ///< pixels of a row at a time
  float staged[kWarps][values][32 * kWidth];  ///< [row][pixel], each row's pixels rotated
  std::int64_t rows[kWarps][32];              ///< -1: none
};

template <int values, int channels>
struct SumMemory {
  static constexpr int kRows = 1024 / values;
  static constexpr int kLevels = 48;                 ///< more chunks than memory can hold
  float tile[values][(kRows + kChains) * channels];  ///< [chain][row of slab][channel]
  float nodes[values][kChains * channels];           ///< of the tree, [node][channel]
  float open[values][kLevels * channels];            ///< sums of the tree, [level][channel]
  PixelMemory<values, channels> pixels;
};

/// A thread's chain and channel.
template <int channels>
struct SumPlace {
  int chain;
  int neighbour;         ///< of the block's channels
  std::int64_t channel;  ///< of all
  bool exists;           ///< the channel does

  __device__ SumPlace(std::int64_t first_channel, std::int64_t channel_count)
      : chain(static_cast<int>(threadIdx.x) / channels),
        neighbour(static_cast<int>(threadIdx.x) % channels),
        channel(first_channel + neighbour),
        exists(channel < channel_count) {}
};

/// From a chain's first element in the tile to the next chain's: padded, so that four chains of
/// eight channels, or 32 of one, are in different banks.
template <int channels>
__device__ __forceinline__ int chain_stride(const SumTile& tile) {
  const int padding = channels == 1 ? 1 : tile.chains > 2 ? 32 / 4 : 32 / tile.chains;
  return tile.slab * channels + padding;
}

/// A Term's constants for rows in ascending order, of a group and then of the next.
template <class Term>
class GroupConstants {
 public:
  __device__ GroupConstants(const Term& term, std::int64_t first_row)
      : group_(first_row / term.groups.size()) {}

  __device__ __forceinline__ const typename Term::Constants& at(const Term& term, std::int64_t row,
                                                                std::int64_t channel) {
    if constexpr (std::is_empty_v<typename Term::Constants>) return constants_;
    if (row >= end_) {
      while (row >= term.groups.end(group_)) ++group_;
      end_ = term.groups.end(group_);
      constants_ = term.constants(group_, channel);
    }
    return constants_;
  }

 private:
  std::int64_t group_;
  std::int64_t end_ = 0;  ///< of the rows that constants_ are for
  typename Term::Constants constants_{};
};

/// One pixel: fills the tile with rows `begin` .. of each chain. A thread stays with one chain and
/// channel; a warp reads 32 bytes of each of four rows.
template <class Term, int channels, class Rows>
__device__ __forceinline__ void stage_rows(SumMemory<Term::kValues, channels>& memory,
                                           const SumTile& tile, int begin, const Term& term,
                                           const Rows& rows, std::int64_t first_channel,
                                           std::int64_t channel_count) {
  const SumPlace<channels> place(first_channel, channel_count);
  const int across = static_cast<int>(std::bit_ceil(static_cast<unsigned>(tile.chains)));
  const int chain = place.chain % across;
  const int step = kSumThreads / channels / across;
  if (!place.exists || chain >= tile.chains) return;
  const ChainRows run = rows(chain);
  const int count = std::min(tile.slab, run.count - begin);
  const int start = chain * chain_stride<channels>(tile) + place.neighbour;
  GroupConstants<Term> constants(term, run.first + begin);
  for (int row = place.chain / across; row < count; row += step * kLoads) {
    float values[kLoads][Term::kValues] = {};
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      if (row + i * step < count) {
        term.load(run.first + begin + row + i * step, place.channel, values[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int slab_row = row + i * step;
      if (slab_row >= count) break;
      term.prepare(constants.at(term, run.first + begin + slab_row, place.channel), values[i]);
#pragma unroll
      for (int v = 0; v < Term::kValues; ++v) {
        memory.tile[v][start + slab_row * channels] = values[i][v];
      }
    }
  }
}

/// Where PixelMemory keeps a pixel of a warp's row: a warp that stores pixels of a row, or reads
/// the same pixel of 32 rows, meets 32 banks.
__device__ __forceinline__ int staged_index(int row, int pixel, int width) {
  return row * width + ((pixel + row * width / 32) & (width - 1));
}

/// Many pixels: a warp's 32 rows, one a lane, each summed over its pixels. The warp reads runs of
/// neighbouring pixels.
template <class Term>
__device__ __forceinline__ void sum_pixels(PixelMemory<Term::kValues, 1>& memory, const Term& term,
                                           std::int64_t own_row, std::int64_t channel,
                                           std::int64_t pixels, float (&totals)[Term::kValues]) {
  constexpr int kWidest = PixelMemory<Term::kValues, 1>::kWidth;
  constexpr ReductionOrder order = ReductionOrder::over_features();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const auto widest = static_cast<unsigned>(std::min<std::int64_t>(pixels, kWidest));
  const int shift = static_cast<int>(std::bit_width(widest - 1));
  const int width = 1 << shift;
  typename Term::Constants constants{};
  if (own_row >= 0) constants = term.constants(own_row / term.groups.size(), channel);
  memory.rows[warp][lane] = own_row;
  float sums[Term::kValues] = {};
  for (std::int64_t pixel = 0; pixel < pixels; pixel += width) {
    __syncwarp();
    const int count = static_cast<int>(std::min<std::int64_t>(width, pixels - pixel));
    for (int first = 0; first < width; first += kLoads) {
      float values[kLoads][Term::kValues] = {};
      bool present[kLoads];
#pragma unroll
      for (int i = 0; i < kLoads; ++i) {
        const int element = (first + i) * 32 + lane;
        const int row = element >> shift, offset = element & (width - 1);
        present[i] = first + i < width && offset < count && memory.rows[warp][row] >= 0;
        if (present[i]) {
          term.load(memory.rows[warp][row], channel * pixels + pixel + offset, values[i]);
        }
      }
#pragma unroll
      for (int i = 0; i < kLoads; ++i) {
        const int element = (first + i) * 32 + lane;
        const int index = staged_index(element >> shift, element & (width - 1), width);
#pragma unroll
        for (int v = 0; v < Term::kValues; ++v) {
          if (present[i]) memory.staged[warp][v][index] = values[i][v];
        }
      }
    }
    __syncwarp();
    if (own_row < 0) continue;
#pragma unroll 8
    for (int offset = 0; offset < count; ++offset) {
      float values[Term::kValues];
#pragma unroll
      for (int v = 0; v < Term::kValues; ++v) {
        values[v] = memory.staged[warp][v][staged_index(lane, offset, width)];
      }
      term.prepare(constants, values);
      term.add(values, sums);
    }
    if (!order.starts_chunk(pixel + width) && pixel + width < pixels) continue;
#pragma unroll
    for (int v = 0; v < Term::kValues; ++v) {
      totals[v] = pixel < order.chunk() ? sums[v] : totals[v] + sums[v];
      sums[v] = 0.0f;
    }
  }
}

/// Many pixels: fills the tile with the sums of rows `begin` .. of each chain.
template <class Term, class Rows>
__device__ __forceinline__ void stage_row_sums(SumMemory<Term::kValues, 1>& memory,
                                               const SumTile& tile, int begin, const Term& term,
                                               const Rows& rows, std::int64_t channel,
                                               std::int64_t pixels) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int first = warp * 32; first < tile.chains * tile.slab; first += kSumThreads) {
    const int chain = (first + lane) / tile.slab;
    const int slab_row = (first + lane) % tile.slab;
    const ChainRows run = chain < tile.chains ? rows(chain) : ChainRows{0, 0};
    const bool exists = begin + slab_row < run.count;
    float totals[Term::kValues] = {};
    sum_pixels(memory.pixels, term, exists ? run.first + begin + slab_row : -1, channel, pixels,
               totals);
#pragma unroll
    for (int v = 0; v < Term::kValues; ++v) {
      if (exists) memory.tile[v][chain * chain_stride<1>(tile) + slab_row] = totals[v];
    }
  }
}

/// Adds the rows of this thread's chain to `sums`. All threads of the block call it; rows(chain)
/// gives a chain's rows. Leaves the block behind a barrier.
template <class Term, int channels, class Rows>
__device__ __forceinline__ void run_chains(SumMemory<Term::kValues, channels>& memory,
                                           const SumTile& tile, const Term& term, const Rows& rows,
                                           std::int64_t first_channel, std::int64_t channel_count,
                                           std::int64_t pixels, float (&sums)[Term::kValues]) {
  const SumPlace<channels> own(first_channel, channel_count);
  const bool runs = own.exists && own.chain < tile.chains;
  const int own_count = runs ? rows(own.chain).count : 0;
  const int start = own.chain * chain_stride<channels>(tile) + own.neighbour;
  for (int begin = 0; begin < tile.longest; begin += tile.slab) {
    if constexpr (channels == 1) {
      stage_row_sums(memory, tile, begin, term, rows, first_channel, pixels);
    } else {
      stage_rows(memory, tile, begin, term, rows, first_channel, channel_count);
    }
    __syncthreads();
    const int count = std::min(tile.slab, own_count - begin);
#pragma unroll 8
    for (int row = 0; row < count; ++row) {
      float values[Term::kValues];
#pragma unroll
      for (int v = 0; v < Term::kValues; ++v) {
        values[v] = memory.tile[v][start + row * channels];
      }
      if constexpr (channels == 1) {
#pragma unroll
        for (int v = 0; v < Term::kValues; ++v) sums[v] = sums[v] + values[v];
      } else {
        term.add(values, sums);
      }
    }
    __syncthreads();
  }
}

/// The tree over samples for chunks first .. first + count - 1, whose sums the threads of chains
/// 0 .. count - 1 bring. partial(value, level) is the open sum that earlier chunks left or later
/// ones will need. last: no chunk follows; then chain 0's threads leave with the totals.
template <int values, int channels, class Partial>
__device__ __forceinline__ void fold_chunks(SumMemory<values, channels>& memory,
                                            const SumPlace<channels>& own, std::int64_t first,
                                            int count, bool last, const Partial& partial,
                                            float (&sums)[values]) {
  for (int level = 0; count > 0 && !(last && first == 0 && count == 1); ++level) {
    const int joins = static_cast<int>(first % 2);         // the first node's left sibling is open
    const bool waits = (joins + count) % 2 != 0 && !last;  // for the last node's right sibling
    const int parents = (joins + count + (last ? 1 : 0)) / 2;
    const int left = 2 * own.chain - joins;
#pragma unroll
    for (int v = 0; v < values; ++v) {
      if (own.chain < count) memory.nodes[v][own.chain * channels + own.neighbour] = sums[v];
    }
    __syncthreads();
#pragma unroll
    for (int v = 0; v < values; ++v) {
      const float* nodes = &memory.nodes[v][own.neighbour];
      if (!own.exists) continue;
      if (own.chain < parents) {
        if (left < 0) {
          sums[v] = partial(v, level) + nodes[0];
        } else if (left + 1 == count) {
          sums[v] = nodes[left * channels];
        } else {
          sums[v] = nodes[left * channels] + nodes[(left + 1) * channels];
        }
      }
      if (own.chain == 0 && waits) partial(v, level) = nodes[(count - 1) * channels];
    }
    __syncthreads();
    first /= 2;
    count = parents;
  }
}

/// Groups whose sums one block takes: several where a group is at most a chunk.
[[nodiscard]] constexpr std::int64_t groups_of_block(const BatchNormGroups& groups) {
  if (groups.size() > kSampleChunk) return 1;
  const auto size = std::bit_ceil(static_cast<std::uint64_t>(groups.size()));
  return std::min<std::int64_t>(kChains, kSampleChunk / static_cast<std::int64_t>(size));
}

/// A block's share of the sums over groups: which channels, which groups.
template <int channels>
struct GroupSums {
  std::int64_t first_channel;
  std::int64_t channel_count;
  std::int64_t pixels;
  std::int64_t first_group;
  std::int64_t group_count;  ///< of the block
  BatchNormGroups groups;

  __device__ GroupSums(std::int64_t columns, std::int64_t all_channels,
                       const BatchNormGroups& all_groups)
      : channel_count(all_channels), pixels(columns / all_channels), groups(all_groups) {
    const unsigned blocks_across = blocks_for(all_channels, channels);
    first_channel = static_cast<std::int64_t>(blockIdx.x % blocks_across) * channels;
    first_group = blockIdx.x / blocks_across * groups_of_block(groups);
    group_count = std::min(groups_of_block(groups), groups.count() - first_group);
  }

  /// The sums of group first_group + chain, in the threads whose chain is below group_count.
  template <class Term>
  __device__ __forceinline__ void total(SumMemory<Term::kValues, channels>& memory,
                                        const Term& term, float (&sums)[Term::kValues]) const {
    const SumPlace<channels> own(first_channel, channel_count);
    const std::int64_t rows = groups.end(first_group) - groups.begin(first_group);
    const std::int64_t chunks = ReductionOrder::over_samples().chunks(rows);
    const SumTile tile = tile_of_chains(std::max(group_count, chunks), rows,
                                        SumMemory<Term::kValues, channels>::kRows);
    for (std::int64_t chunk = 0; chunk < chunks; chunk += tile.chains) {
      for (float& sum : sums) sum = 0.0f;
      run_chains<Term, channels>(
          memory, tile, term,
          [&](int chain) {
            const std::int64_t group = chunks == 1 ? first_group + chain : first_group;
            const std::int64_t begin =
                groups.begin(group) + (chunks == 1 ? 0 : (chunk + chain) * kSampleChunk);
            const std::int64_t left = groups.end(group) - begin;
            return ChainRows{begin, static_cast<int>(std::clamp<std::int64_t>(
                                        left, 0, static_cast<std::int64_t>(kSampleChunk)))};
          },
          first_channel, channel_count, pixels, sums);
      if (chunks == 1) return;
      const int count = static_cast<int>(std::min<std::int64_t>(tile.chains, chunks - chunk));
      fold_chunks(
          memory, own, chunk, count, chunk + count == chunks,
          [&](int value, int level) -> float& {
            return memory.open[value][level * channels + own.neighbour];
          },
          sums);
    }
  }
};

/// Blocks for the sums over all groups and channels.
template <int channels>
[[nodiscard]] LaunchShape shape_of_group_sums(std::int64_t all_channels,
                                              const BatchNormGroups& groups) {
  if (groups.count() == 0) return {0, kSumThreads};
  return {blocks_for(all_channels, channels) * blocks_for(groups.count(), groups_of_block(groups)),
          kSumThreads};
}

/// Calls call.template operator()<channels>() with the channels of a block for so many pixels.
template <class Call>
void with_channels_of_block(std::int64_t pixels, Call call) {
  if (pixels == 1) {
    call.template operator()<kNeighbours>();
  } else {
    call.template operator()<1>();
  }
}

}  // namespace batchwise::BATCHWISE_CUDA
