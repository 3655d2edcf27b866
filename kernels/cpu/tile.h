// The microkernel of all matrix products: a tile of rows x vectors of sums in registers, each sum
// one chain of fused multiply-adds along the depth. Tile shapes differ from call to call without
// changing a result, because no sum is ever split between tiles.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/vector.h"

namespace batchwise::cpu {

enum class TileStart { zero, resume };  ///< the chains start from zero, or from the result
enum class TileEnd { store, add };      ///< the sums replace the result, or are added to it

/// result[r, c] = sum over d of scalars[r, d] * vectors[d, c] for one chunk of depth.
struct Product {
  const float* scalars;
  std::int64_t scalar_row_step;
  std::int64_t scalar_depth_step;
  const float* vectors;
  std::int64_t vector_depth_step;
  float* result;
  std::int64_t result_row_step;
  std::int64_t depth;
  TileStart start = TileStart::zero;
  TileEnd end = TileEnd::store;
  const float* bias = nullptr;  ///< added last, or absent
};

/// Widest and tallest tile: sums, one row of vectors and a broadcast scalar fit the registers.
inline constexpr int kTileRows = kVectorRegisters == 32 ? 8 : 4;
inline constexpr int kTileVectorsFewRows = 8;
inline constexpr int kTileVectors = 2;

/// How wide tiles of so many rows are: wide enough that the chains hide the latency of an addition.
[[nodiscard]] constexpr int tile_vectors(std::int64_t rows) {
  if (rows == 1) return kTileVectorsFewRows;
  if (rows < kTileRows) return kTileRows / 2;
  return kTileVectors;
}

/// The vectors of a row, of which the last has `lanes` elements.
template <int Vectors>
[[gnu::always_inline]] inline void load_row(const float* from, int lanes, Vector (&row)[Vectors]) {
  unrolled<Vectors - 1>([&](auto v)
                            __attribute__((always_inline)) { row[v] = load(from + v * kLanes); });
  row[Vectors - 1] = load(from + (Vectors - 1) * kLanes, lanes);
}

template <int Rows, int Vectors>
inline void multiply_tile(const Product& product, int lanes) {
  Vector sum[Rows][Vectors] = {};
  if (product.start == TileStart::resume) {
    unrolled<Rows>([&](auto row) __attribute__((always_inline)) {
      load_row(product.result + row * product.result_row_step, lanes, sum[row]);
    });
  }
  const float* scalars = product.scalars;
  const float* line = product.vectors;
  for (std::int64_t d = 0; d < product.depth; ++d) {
    Vector column[Vectors];
    load_row(line, lanes, column);
    unrolled<Rows>([&](auto row) __attribute__((always_inline)) {
      const Vector scalar = broadcast(scalars[row * product.scalar_row_step]);
      unrolled<Vectors>([&](auto v) __attribute__((always_inline)) {
        sum[row][v] = fused_multiply_add(scalar, column[v], sum[row][v]);
      });
    });
    scalars += product.scalar_depth_step;
    line += product.vector_depth_step;
  }
  unrolled<Rows>([&](auto row) __attribute__((always_inline)) {
    float* result = product.result + row * product.result_row_step;
    if (product.end == TileEnd::add) {
      Vector before[Vectors];
      load_row(result, lanes, before);
      unrolled<Vectors>([&](auto v) __attribute__((always_inline)) {
        sum[row][v] = before[v] + sum[row][v];
      });
    }
    if (product.bias != nullptr) {
      Vector bias[Vectors];
      load_row(product.bias, lanes, bias);
      unrolled<Vectors>([&](auto v) __attribute__((always_inline)) {
        sum[row][v] = sum[row][v] + bias[v];
      });
    }
    unrolled<Vectors - 1>([&](auto v) __attribute__((always_inline)) {
      store(result + v * kLanes, sum[row][v]);
    });
    store(result + (Vectors - 1) * kLanes, sum[row][Vectors - 1], lanes);
  });
}

/// All rows of a panel of `Vectors` vectors, whose last one has `lanes` elements.
template <int Vectors, int Rows>
inline void multiply_panel(Product product, std::int64_t rows, int lanes) {
  for (; rows >= Rows; rows -= Rows) {
    multiply_tile<Rows, Vectors>(product, lanes);
    product.scalars += Rows * product.scalar_row_step;
    product.result += Rows * product.result_row_step;
  }
  if constexpr (Rows > 1) {
    if (rows > 0) multiply_panel<Vectors, Rows - 1>(product, rows, lanes);
  }
}

/// Tallest tile of a panel so wide.
[[nodiscard]] constexpr int tile_rows(int vectors) {
  if (vectors > kTileRows / 2) return 1;
  if (vectors > kTileVectors) return kTileRows / 2;
  return vectors == 1 ? 2 * kTileRows : kTileRows;
}

/// All rows of a panel of `columns` elements, at most tile_vectors(rows) vectors.
template <int Vectors = 1>
void multiply(const Product& product, std::int64_t rows, std::int64_t columns) {
  if (vectors(columns) == Vectors) {
    multiply_panel<Vectors, tile_rows(Vectors)>(product, rows, last_lanes(columns));
  } else if constexpr (Vectors < kTileVectorsFewRows) {
    multiply<Vectors + 1>(product, rows, columns);
  }
}

/// A rough estimate of a whole product's time, to decide on threads: arithmetic, or one pass over
/// the matrix of weights.
[[nodiscard]] inline double multiply_nanoseconds(std::int64_t rows, std::int64_t inputs,
                                                 std::int64_t units) {
  const auto weights = static_cast<double>(inputs * units);
  return weights * std::max(0.04, 0.02 * static_cast<double>(rows));
}

}  // namespace batchwise::cpu
