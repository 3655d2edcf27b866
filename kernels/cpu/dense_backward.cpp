// dense_backward_input, dense_backward_weight, dense_backward_bias, and the last two in one call.
#include <algorithm>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_chunks.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/transpose.h"
#include "kernels/ops/dense.h"

namespace batchwise::cpu {
namespace {

using InputArguments = DenseBackwardInputArguments<float, float>;
using WeightArguments = DenseBackwardWeightArguments<float, float>;
using BiasArguments = DenseBackwardBiasArguments<float, float>;

/// Inputs of a panel whose weights are transposed at a time, so that the sum runs along memory's
/// other axis: [chunk of units, inputs], 32 KB.
constexpr std::int64_t kPanel = kTileVectors * kLanes;

void input_panel(const InputArguments& a, std::int64_t row, std::int64_t rows, std::int64_t input,
                 std::int64_t inputs) {
  constexpr ReductionOrder kOrder = ReductionOrder::over_features();
  alignas(64) float transposed[kOrder.chunk() * kPanel];
  for (std::int64_t first = 0; first < a.dy.columns; first += kOrder.chunk()) {
    const std::int64_t depth = std::min(kOrder.chunk(), a.dy.columns - first);
    transpose(&a.weight(first, input), a.weight.column_stride, inputs, depth, transposed, kPanel);
    multiply({.scalars = &a.dy(row, first),
              .scalar_row_step = a.dy.row_stride,
              .scalar_depth_step = 1,
              .vectors = transposed,
              .vector_depth_step = kPanel,
              .result = &a.dx(row, input),
              .result_row_step = a.dx.row_stride,
              .depth = depth,
              .end = first == 0 ? TileEnd::store : TileEnd::add},
             rows, inputs);
  }
}

/// Below so many samples, writing the gradient takes longer than the arithmetic.
constexpr std::int64_t kFewSamples = 16;
/// Inputs whose values are copied close together at a time, in columns of a cache line each.
constexpr std::int64_t kBlockInputs = 64;
constexpr std::int64_t kColumn = 16;

/// Inputs [begin, end) of all units: x, `x_step` floats a sample, holds those inputs' values.
void weight_block(const WeightArguments& a, const SampleChunk& chunk, const float* x,
                  std::int64_t x_step, std::int64_t begin, std::int64_t end) {
  const std::int64_t panel =
      kLanes * (chunk.rows < kFewSamples ? kTileVectorsFewRows : kTileVectors);
  for (std::int64_t n = 0; n < a.dy.columns; n += panel) {
    multiply({.scalars = x,
              .scalar_row_step = 1,
              .scalar_depth_step = x_step,
              .vectors = &a.dy(chunk.first_row, n),
              .vector_depth_step = a.dy.row_stride,
              .result = &a.gradient(n, begin),
              .result_row_step = a.gradient.column_stride,
              .depth = chunk.rows,
              .start = chunk.resumed ? TileStart::resume : TileStart::zero},
             end - begin, std::min(panel, a.dy.columns - n));
  }
  if (!folds(chunk)) return;
  for (std::int64_t input = begin; input < end; ++input) {
    fold(chunk, &a.gradient(0, input), input * a.gradient.column_stride, a.dy.columns, a.partials);
  }
}

/// Inputs [begin, end) of all units. A sample's inputs lie far apart in memory, so with many
/// samples blocks of them are copied close together before all units use them.
void weight_inputs(const WeightArguments& a, const SampleChunk& chunk, std::int64_t begin,
                   std::int64_t end) {
  if (chunk.rows < kFewSamples || a.dy.columns <= kTileVectors * kLanes) {
    return weight_block(a, chunk, &a.x(chunk.first_row, begin), a.x.row_stride, begin, end);
  }
  constexpr std::int64_t kRows = ReductionOrder::over_samples().chunk();
  alignas(64) float block[kBlockInputs / kColumn][kRows][kColumn];
  for (std::int64_t k = begin; k < end; k += kBlockInputs) {
    const std::int64_t inputs = std::min(kBlockInputs, end - k);
    for (std::int64_t row = 0; row < chunk.rows; ++row) {
      const float* x = &a.x(chunk.first_row + row, k);
      for (std::int64_t i = 0; i < inputs; i += kColumn) {
        std::copy_n(x + i, std::min(kColumn, inputs - i), block[i / kColumn][row]);
      }
    }
    for (std::int64_t i = 0; i < inputs; i += kColumn) {
      weight_block(a, chunk, block[i / kColumn][0], kColumn, k + i,
                   k + std::min(i + kColumn, inputs));
    }
  }
}

/// Sums the chunk's rows of units [begin, end) onto the gradient.
void bias_units(const BiasArguments& a, const SampleChunk& chunk, std::int64_t begin,
                std::int64_t end) {
  for (std::int64_t n = begin; n < end; n += kLanes) {
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes, end - n));
    Vector sum = chunk.resumed ? load(&a.gradient[n], lanes) : Vector{};
    for (std::int64_t row = chunk.first_row; row < chunk.first_row + chunk.rows; ++row) {
      sum = sum + load(&a.dy(row, n), lanes);
    }
    store(&a.gradient[n], sum, lanes);
  }
  fold(chunk, &a.gradient[begin], begin, end - begin, a.partials);
}

}  // namespace

void dense_backward_input(const KernelArguments& arguments) {
  const auto a = InputArguments::from(arguments);
  const double nanoseconds = multiply_nanoseconds(a.dy.rows, a.dy.columns, a.dx.columns);
  const auto rows_of_inputs = [&](std::int64_t row, std::int64_t rows, std::int64_t begin,
                                  std::int64_t end) {
    for (std::int64_t input = begin; input < end; input += kPanel) {
      input_panel(a, row, rows, input, std::min(kPanel, end - input));
    }
  };
  if (a.dx.columns >= 4 * kPanel) {
    parallel_ranges(a.dx.columns, kPanel, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      rows_of_inputs(0, a.dy.rows, begin, end);
    });
  } else {
    parallel_ranges(a.dy.rows, kTileRows, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
      rows_of_inputs(begin, end - begin, 0, a.dx.columns);
    });
  }
}

void dense_backward_weight(const KernelArguments& arguments) {
  const auto a = WeightArguments::from(arguments);
  const double nanoseconds = multiply_nanoseconds(a.x.rows, a.x.columns, a.dy.columns);
  parallel_ranges(a.x.columns, kColumn, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for_each_sample_chunk(a.range,
                          [&](const SampleChunk& chunk) { weight_inputs(a, chunk, begin, end); });
  });
}

void dense_backward_bias(const KernelArguments& arguments) {
  const auto a = BiasArguments::from(arguments);
  const double nanoseconds = 0.1 * static_cast<double>(a.dy.rows * a.dy.columns);
  parallel_ranges(a.dy.columns, kLanes, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for_each_sample_chunk(a.range,
                          [&](const SampleChunk& chunk) { bias_units(a, chunk, begin, end); });
  });
}

void dense_backward_weight_bias(const KernelArguments& arguments) {
  dense_backward_weight(weight_half(arguments));
  dense_backward_bias(bias_half(arguments));
}

}  // namespace batchwise::cpu
