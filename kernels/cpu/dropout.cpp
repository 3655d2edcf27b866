// dropout: Philox for many blocks of four elements at a time, one block a lane.
#include "kernels/ops/dropout.h"

#include <algorithm>
#include <utility>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace batchwise::cpu {
namespace {

using Arguments = DropoutArguments<float, float>;

constexpr int kLaneBlocks = kLanes / 2;                ///< Philox blocks in a vector
constexpr int kVectors = 2;                            ///< vectors at a time
constexpr int kElements = 4 * kLaneBlocks * kVectors;  ///< elements at a time

// Of philox() in kernels/ops/philox.h; its tests and those of this kernel keep the two the same.
constexpr int kRounds = 10;
constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

/// The lanes of a and b in turn: the lower (0) or upper (1) half of that sequence.
template <int Half, int... Lane>
[[nodiscard]] WideVector interleave(WideVector a, WideVector b,
                                    std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b,
                                 (Lane / 2 + Half * kLaneBlocks / 2 + Lane % 2 * kLaneBlocks)...);
}

template <int... Lane>
[[nodiscard]] WideVector lane_numbers(std::integer_sequence<int, Lane...>) {
  return WideVector{Lane...};
}

constexpr auto kLaneSequence = std::make_integer_sequence<int, kLaneBlocks>{};

/// The words of kElements elements from block `first_block` on: philox() of kernels/ops with a
/// block a lane, of which the upper half holds anything.
void random_words(const Arguments& a, std::uint32_t sample, std::int64_t first_block,
                  std::uint32_t* words) {
  WideVector word[4][kVectors];
  unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
    word[0][v] =
        lane_numbers(kLaneSequence) + static_cast<std::uint64_t>(first_block + v * kLaneBlocks);
    word[1][v] = WideVector{} + sample;
    word[2][v] = WideVector{} + a.step();
    word[3][v] = WideVector{} + a.stream;
  });
  auto key0 = static_cast<std::uint32_t>(a.seed()),
       key1 = static_cast<std::uint32_t>(a.seed() >> 32);
  for (int round = 0; round < kRounds; ++round) {
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      const WideVector product0 = multiply_lower_halves(word[0][v], WideVector{} + kMultiplier0);
      const WideVector product1 = multiply_lower_halves(word[2][v], WideVector{} + kMultiplier1);
      word[0][v] = (product1 >> 32) ^ word[1][v] ^ key0;
      word[1][v] = product1;
      word[2][v] = (product0 >> 32) ^ word[3][v] ^ key1;
      word[3][v] = product0;
    });
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
    const WideVector lower = (word[0][v] & 0xFFFFFFFFu) | (word[1][v] << 32);
    const WideVector upper = (word[2][v] & 0xFFFFFFFFu) | (word[3][v] << 32);
    const WideVector ordered[2] = {interleave<0>(lower, upper, kLaneSequence),
                                   interleave<1>(lower, upper, kLaneSequence)};
    std::memcpy(words + v * 4 * kLaneBlocks, ordered, sizeof(ordered));
  });
}

void dropout_row(const Arguments& a, std::int64_t row) {
  const std::uint32_t threshold = a.threshold(), sample = a.sample(row);
  const auto scale = static_cast<float>(1.0 / (1.0 - a.rate));
  for (std::int64_t first = 0; first < a.x.columns; first += kElements) {
    std::uint32_t words[kElements];
    random_words(a, sample, first / 4, words);
    const float* x = a.x.row(row) + first;
    float* y = a.y.row(row) + first;
    const std::int64_t count = std::min<std::int64_t>(kElements, a.x.columns - first);
#pragma omp simd
    for (std::int64_t f = 0; f < count; ++f) y[f] = words[f] >= threshold ? x[f] * scale : 0.0f;
  }
}

}  // namespace

void dropout(const KernelArguments& arguments) {
  const auto a = Arguments::from(arguments);
  const double nanoseconds = 1.0 * static_cast<double>(a.x.rows * a.x.columns);
  parallel_ranges(a.x.rows, 1, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) dropout_row(a, row);
  });
}

}  // namespace batchwise::cpu
