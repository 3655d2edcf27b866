// softmax and softmax_cross_entropy, several rows at a time: the sum over classes is a chain, and
// the chains of different rows run side by side.
#include "kernels/ops/softmax_cross_entropy.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"
#include "kernels/ops/portable_math.h"

namespace batchwise::cpu {
namespace {

using Logits = MatrixView<const float>;

constexpr int kRows = 8;  ///< rows at a time

typedef std::int32_t Numbers __attribute__((vector_size(sizeof(Vector))));

constexpr auto kSequence = std::make_integer_sequence<int, kLanes>{};

template <int... Lane>
[[nodiscard]] Numbers lane_numbers(std::integer_sequence<int, Lane...>) {
  return Numbers{Lane...};
}

template <int Distance, class Lanes, int... Lane>
[[nodiscard]] Lanes exchange(Lanes lanes, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(lanes, lanes, (Lane ^ Distance)...);
}

/// All lanes combined in halves, for an operation whose order does not matter.
template <int Distance = kLanes / 2, class Lanes, class Combine>
[[nodiscard]] auto combined(Lanes lanes, Combine combine) {
  const Lanes result = combine(lanes, exchange<Distance>(lanes, kSequence));
  if constexpr (Distance == 1) {
    return result[0];
  } else {
    return combined<Distance / 2>(result, combine);
  }
}

/// Calls body(first, logits, inside) for a row's vectors; `inside` marks the lanes that are
/// classes.
template <class Body>
void for_each_vector(const float* logits, std::int64_t classes, Body&& body) {
  for (std::int64_t c = 0; c < classes; c += kLanes) {
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes, classes - c));
    body(static_cast<std::int32_t>(c), load(logits + c, lanes), lane_numbers(kSequence) < lanes);
  }
}

/// The largest logit; the first one where that is NaN, later NaNs being passed over.
[[nodiscard]] float maximum(const float* logits, std::int64_t classes) {
  const auto larger = [](Vector a, Vector b) { return b > a ? b : a; };
  Vector largest = broadcast(logits[0]);
  for_each_vector(logits, classes, [&](std::int32_t, Vector z, Numbers inside) {
    largest = larger(largest, inside ? z : largest);
  });
  return combined(largest, larger);
}

/// The lowest class whose logit is the largest; 0 where that is NaN.
[[nodiscard]] std::int32_t first_largest(const float* logits, std::int64_t classes, float largest) {
  constexpr std::int32_t kNone = std::numeric_limits<std::int32_t>::max();
  const auto lower = [](Numbers a, Numbers b) { return b < a ? b : a; };
  const Vector wanted = broadcast(largest);
  Numbers found = Numbers{} + kNone;
  for_each_vector(logits, classes, [&](std::int32_t first, Vector z, Numbers inside) {
    const Numbers numbers = lane_numbers(kSequence) + first;
    found = lower(found, (z == wanted) & inside ? numbers : Numbers{} + kNone);
  });
  const std::int32_t result = combined(found, lower);
  return result == kNone ? 0 : result;
}

constexpr ReductionOrder kOrder = ReductionOrder::over_features();

/// exp(z - maximum) of one chunk of classes, for kRows rows.
struct Terms {
  alignas(64) float rows[kRows][kOrder.chunk()];
};

/// Fills a row of terms, and the rest of its last vector with anything.
void exponentials(const float* logits, std::int64_t count, float largest, float* terms) {
  for (std::int64_t c = 0; c < count; c += kLanes) {
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes, count - c));
    store(terms + c, load(logits + c, lanes) - broadcast(largest));
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) terms[c + lane] = portable::exp(terms[c + lane]);
  }
}

/// Up to kRows rows of logits at work together.
struct RowBlock {
  const Logits& logits;
  std::int64_t row;
  int rows;
  float maximum[kRows] = {};
  float sum[kRows] = {};

  [[nodiscard]] std::int64_t chunk_end(std::int64_t first) const {
    return std::min(first + kOrder.chunk(), logits.columns);
  }
  /// Whether one chunk holds all classes.
  [[nodiscard]] bool one_chunk() const { return logits.columns <= kOrder.chunk(); }

  void fill(Terms& terms, std::int64_t first) const {
    for (int r = 0; r < rows; ++r) {
      exponentials(logits.row(row + r) + first, chunk_end(first) - first, maximum[r],
                   terms.rows[r]);
    }
  }
};

/// Finds maxima and sums; `terms` is left with the last chunk's.
void sum_rows(RowBlock& block, Terms& terms) {
  for (int r = 0; r < block.rows; ++r) {
    block.maximum[r] = maximum(block.logits.row(block.row + r), block.logits.columns);
  }
  for (std::int64_t first = 0; first < block.logits.columns; first += kOrder.chunk()) {
    block.fill(terms, first);
    float sum[kRows] = {};
    for (std::int64_t c = 0; c < block.chunk_end(first) - first; ++c) {
      for (int r = 0; r < kRows; ++r) sum[r] += terms.rows[r][c];
    }
    for (int r = 0; r < block.rows; ++r) block.sum[r] = first == 0 ? sum[r] : block.sum[r] + sum[r];
  }
}

/// p = exp(z - maximum) / sum, possibly in place. One chunk's terms are still there.
void divide_rows(const RowBlock& block, Terms& terms, const MatrixView<float>& probabilities) {
  for (std::int64_t first = 0; first < block.logits.columns; first += kOrder.chunk()) {
    if (!block.one_chunk()) block.fill(terms, first);
    const std::int64_t count = block.chunk_end(first) - first;
    for (int r = 0; r < block.rows; ++r) {
      float* p = probabilities.row(block.row + r) + first;
      const Vector divisor = broadcast(block.sum[r]);
      for (std::int64_t c = 0; c < count; c += kLanes) {
        store(p + c, load(terms.rows[r] + c) / divisor,
              static_cast<int>(std::min<std::int64_t>(kLanes, count - c)));
      }
    }
  }
}

/// Calls body(block, terms) for all rows, their maxima and sums known.
template <class Body>
void for_each_block(const Logits& logits, Body&& body) {
  const double nanoseconds = 2.0 * static_cast<double>(logits.rows * logits.columns);
  parallel_ranges(logits.rows, kRows, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    Terms terms = {};
    for (std::int64_t row = begin; row < end; row += kRows) {
      RowBlock block{logits, row, static_cast<int>(std::min<std::int64_t>(kRows, end - row))};
      sum_rows(block, terms);
      body(block, terms);
    }
  });
}

}  // namespace

void softmax(const KernelArguments& arguments) {
  const auto a = SoftmaxArguments<float, float>::from(arguments);
  for_each_block(a.logits, [&](const RowBlock& block, Terms& terms) {
    divide_rows(block, terms, a.probabilities);
  });
}

void softmax_cross_entropy(const KernelArguments& arguments) {
  const auto a = SoftmaxCrossEntropyArguments<float, float>::from(arguments);
  for_each_block(a.logits, [&](const RowBlock& block, Terms& terms) {
    for (int r = 0; r < block.rows; ++r) {
      const std::int64_t row = block.row + r;
      const float* logits = a.logits.row(row);
      a.loss[a.range.first() + row] =
          portable::log(block.sum[r]) - (logits[a.label(row)] - block.maximum[r]);
      a.predicted[a.range.first() + row] =
          first_largest(logits, a.logits.columns, block.maximum[r]);
    }
    if (a.gradient.data == nullptr) return;
    divide_rows(block, terms, a.gradient);
    for (int r = 0; r < block.rows; ++r) {
      a.gradient(block.row + r, a.label(block.row + r)) -= 1.0f;
    }
  });
}

}  // namespace batchwise::cpu
