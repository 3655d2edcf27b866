// Maps over the elements of [rows, channels * pixels] whose constants belong to a channel, or to a
// group of rows and a channel: a thread keeps them for four neighbouring columns and walks rows.
//
// A Map says what is computed, beside its ChannelMap:
//   constants(group, quad)          what a group's four columns share
//   operands(quad)                  of four elements
//   result(constants, operands)
#pragma once

#include "kernels/cuda/elementwise.cuh"
#include "kernels/ops/batchnorm.h"

namespace batchwise::BATCHWISE_CUDA {

inline constexpr int kMapThreads = 256;
inline constexpr int kMapQuads = 8;                       ///< of a row in a block: 128 bytes
inline constexpr int kMapRows = kMapThreads / kMapQuads;  ///< threads down a block
inline constexpr unsigned kEnoughBlocks = 2 * 132;        ///< to fill a GPU

/// Four neighbouring columns, fewer at the end of the row, and their channels.
struct ChannelQuad {
  std::int64_t column;
  int count;
  std::int64_t channels[4];  ///< behind the row's end its last
};

__device__ __forceinline__ ChannelQuad quad_of_column(std::int64_t column, std::int64_t columns,
                                                      std::int64_t pixels) {
  const std::int64_t left = columns - column;
  ChannelQuad quad{column, left < 4 ? static_cast<int>(left) : 4, {}};
  std::int64_t channel = pixels == 1 ? column : column / pixels;
  std::int64_t end = (channel + 1) * pixels;  // of the channel's columns
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < quad.count && column + i == end) {
      ++channel;
      end += pixels;
    }
    quad.channels[i] = channel;
  }
  return quad;
}

/// The constants of a quad's channels. `wide`: one pixel a channel, and aligned.
__device__ __forceinline__ float4 load_channels(const float* constants, const ChannelQuad& quad,
                                                bool wide) {
  if (wide && quad.count == 4) {
    return as_vector<const float4>(constants + quad.column);
  }
  return make_float4(constants[quad.channels[0]], constants[quad.channels[1]],
                     constants[quad.channels[2]], constants[quad.channels[3]]);
}

struct ChannelMap {
  MatrixView<float> output;
  std::int64_t channels;
  BatchNormGroups groups;
  bool wide;           ///< the operands and the output are aligned
  bool wide_channels;  ///< one pixel a channel, and what belongs to channels is aligned
};

/// The output may be an operand's bytes: a thread reads its rows before it writes them.
template <class Map, int rows_each>
__global__ void __launch_bounds__(kMapThreads) channel_map_kernel(Map map) {
  const std::int64_t rows = map.output.rows, columns = map.output.columns;
  const unsigned blocks_across = blocks_for(columns, kMapQuads * 4);
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x % blocks_across) * kMapQuads +
                               threadIdx.x % kMapQuads) *
                              4;
  const std::int64_t first_row =
      (static_cast<std::int64_t>(blockIdx.x / blocks_across) * kMapRows + threadIdx.x / kMapQuads) *
      rows_each;
  if (column >= columns || first_row >= rows) return;
  const ChannelQuad quad = quad_of_column(column, columns, columns / map.channels);

  typename Map::Operands operands[rows_each];
#pragma unroll
  for (int i = 0; i < rows_each; ++i) {
    if (first_row + i < rows) operands[i] = map.operands({first_row + i, column, quad.count});
  }
  std::int64_t group = first_row / map.groups.size();
  std::int64_t group_end = map.groups.end(group);
  auto constants = map.constants(group, quad);
#pragma unroll
  for (int i = 0; i < rows_each; ++i) {
    const std::int64_t row = first_row + i;
    if (row >= rows) break;
    if (row == group_end) {
      constants = map.constants(++group, quad);
      group_end = map.groups.end(group);
    }
    store(map.output, {row, column, quad.count}, map.wide, map.result(constants, operands[i]));
  }
}

/// More rows a thread mean fewer loads of constants; fewer, more blocks.
template <class Map>
void launch_channel_map(const Map& map, CUstream_st* stream) {
  const auto blocks = [&](int rows_each) {
    return blocks_for(map.output.columns, kMapQuads * 4) *
           blocks_for(map.output.rows, std::int64_t{kMapRows} * rows_each);
  };
  if (blocks(4) >= kEnoughBlocks) {
    launch<channel_map_kernel<Map, 4>>({blocks(4), kMapThreads}, stream, map);
  } else {
    launch<channel_map_kernel<Map, 1>>({blocks(1), kMapThreads}, stream, map);
  }
}

}  // namespace batchwise::BATCHWISE_CUDA
