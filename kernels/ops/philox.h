// Philox4x32-10, the counter-based generator behind every random number of the project (Salmon,
// Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"). The counter layout
// and the keys are part of the file format: changing them changes results.
//
// Counter: { element / 4, sample or 0, step or epoch (low 32 bits), stream }; the element's value
// is word element % 4. Key: the two halves of the seed. The stream tells uses apart: a Stream
// constant for the program's own uses, stream_of_name() for those that belong to a layer.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace batchwise {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// The four words that belong to a counter under a key.
[[nodiscard]] constexpr PhiloxBlock philox(PhiloxBlock counter, std::uint64_t seed) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  auto key0 = static_cast<std::uint32_t>(seed);
  auto key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
               static_cast<std::uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

/// Streams of the program itself. Streams of layers have the top bit set (stream_of_name).
enum class Stream : std::uint32_t {
  shuffle = 1,
  builtin_features = 2,
  builtin_labels = 3,
  builtin_centres = 4,
  builtin_digits = 5,
};

/// The stream of a named use, such as "dense_1.weight": FNV-1a of the name with the top bit set.
[[nodiscard]] constexpr std::uint32_t stream_of_name(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char character : name) {
    hash ^= static_cast<std::uint8_t>(character);
    hash *= 16777619u;
  }
  return hash | 0x80000000u;
}

/// A word as a number in [0, 1): its top 24 bits, exact in f32 and f64.
[[nodiscard]] constexpr double unit_interval(std::uint32_t word) {
  return static_cast<double>(word >> 8) * 0x1p-24;
}

}  // namespace batchwise
