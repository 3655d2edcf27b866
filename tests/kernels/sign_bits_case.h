// Calls of sign_bits and activation_backward_bits for the tests of both backends.
#pragma once

#include <limits>

#include "kernels/ops/activation.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {

/// Below, at and above a quad, a word, a warp's quads and a block's.
inline constexpr std::int64_t kBitsFeatures[] = {1,  2,  3,  4,   5,   31,  32,  33,
                                                 61, 64, 65, 127, 128, 129, 257, 1025};

/// Numbers of either sign, large and small, and what has none.
[[nodiscard]] inline Buffer special_values(std::int64_t rows, std::int64_t features,
                                           std::int64_t stride) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {1.5f,
                           0.0f,
                           -0.0f,
                           1e-45f,
                           -1e-45f,
                           kInfinity,
                           -kInfinity,
                           3e38f,
                           -3e38f,
                           1e-38f,
                           -2.0f,
                           __builtin_nanf(""),
                           -__builtin_nanf("")};
  std::size_t next = 0;
  return Buffer(ElementType::f32, {rows, features}, {stride, 1}).fill<float>([&] {
    return special[next++ % std::size(special)];
  });
}

/// Words of random bits, those behind the last feature too.
[[nodiscard]] inline Buffer random_words(unsigned seed, std::int64_t rows, std::int64_t words,
                                         std::int64_t stride) {
  std::mt19937 generator(seed);
  return Buffer(ElementType::i32, {rows, words}, {stride, 1}).fill<std::int32_t>([&] {
    return static_cast<std::int32_t>(generator());
  });
}

/// As the engine lays arrays out, or with rows that are padded by one element and not aligned.
[[nodiscard]] inline std::int64_t stride_of(std::int64_t elements, bool aligned) {
  return aligned ? pitch(elements) : elements | 1;
}

[[nodiscard]] inline Case sign_bits(Buffer y, bool aligned) {
  const std::int64_t rows = y.view().shape[0], words = sign_words(y.view().shape[1]);
  return {"sign_bits", {std::move(y), random_words(1, rows, words, stride_of(words, aligned))},
          {0},         {1},
          {},          {},
          rows,        {0, 1}};
}

[[nodiscard]] inline Case backward_bits(ActivationFunction function, Buffer dy, bool aligned) {
  const std::int64_t rows = dy.view().shape[0], features = dy.view().shape[1];
  const std::int64_t words = sign_words(features);
  return {"activation_backward_bits",
          {std::move(dy), random_words(2, rows, words, stride_of(words, aligned)),
           special_values(rows, features, stride_of(features, aligned))},
          {0, 1},
          {2},
          {{"function", static_cast<double>(function)}},
          {},
          rows,
          {0, 1, 2}};
}

}  // namespace batchwise::kernel_testing
