#include "engine/data/shuffle.h"

#include <array>
#include <cassert>
#include <cstddef>
#include <vector>

#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

struct Keyed {
  std::uint32_t key;
  std::int32_t id;
};

std::vector<Keyed> draw_keys(std::uint64_t seed, std::int64_t epoch, std::size_t count) {
  std::vector<Keyed> keyed(count);
  for (std::size_t begin = 0; begin < count; begin += 4) {
    const PhiloxBlock words =
        philox({static_cast<std::uint32_t>(begin / 4), 0, static_cast<std::uint32_t>(epoch),
                static_cast<std::uint32_t>(Stream::shuffle)},
               seed);
    for (std::size_t word = 0; word < 4 && begin + word < count; ++word) {
      keyed[begin + word] = {words[word], static_cast<std::int32_t>(begin + word)};
    }
  }
  return keyed;
}

/// One stable counting pass of the radix sort, by `kDigitBits` bits of the key from `shift`.
constexpr int kDigitBits = 11;

void sort_by_digit(std::span<const Keyed> from, std::span<Keyed> to, int shift) {
  constexpr std::uint32_t kDigits = 1u << kDigitBits;
  const auto digit = [shift](std::uint32_t key) { return (key >> shift) & (kDigits - 1); };
  std::array<std::uint32_t, kDigits> position{};
  for (const Keyed& entry : from) ++position[digit(entry.key)];
  std::uint32_t start = 0;
  for (std::uint32_t& entry : position) {
    const std::uint32_t count = entry;
    entry = start;
    start += count;
  }
  for (const Keyed& entry : from) to[position[digit(entry.key)]++] = entry;
}

}  // namespace

void epoch_order(std::uint64_t seed, std::int64_t epoch, std::span<std::int32_t> order) {
  assert(order.size() <= INT32_MAX);
  std::vector<Keyed> keyed = draw_keys(seed, epoch, order.size());
  std::vector<Keyed> scratch(order.size());
  for (int shift = 0; shift < 32; shift += kDigitBits) {
    sort_by_digit(keyed, scratch, shift);
    keyed.swap(scratch);
  }
  for (std::size_t place = 0; place < order.size(); ++place) order[place] = keyed[place].id;
}

}  // namespace batchwise
