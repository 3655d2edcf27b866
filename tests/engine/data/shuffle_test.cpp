#include "engine/data/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

using Order = std::vector<std::int32_t>;

Order order_of(std::uint64_t seed, std::int64_t epoch, std::size_t count) {
  Order order(count, -1);
  epoch_order(seed, epoch, order);
  return order;
}

/// The definition, word for word.
Order defined_order(std::uint64_t seed, std::uint32_t epoch, std::size_t count) {
  const auto key = [&](std::int32_t id) {
    const auto element = static_cast<std::uint32_t>(id);
    return philox({element / 4, 0, epoch, static_cast<std::uint32_t>(Stream::shuffle)},
                  seed)[element % 4];
  };
  Order order(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return key(a) < key(b); });
  return order;
}

TEST(Shuffle, IsTheStableSortByPhiloxWords) {
  for (const std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 1000u, 2047u, 2048u, 2049u, 60001u}) {
    EXPECT_EQ(order_of(42, 3, count), defined_order(42, 3, count)) << count;
  }
}

TEST(Shuffle, TiesGoToTheLowerId) {
  // Among so many 32-bit words several are equal; make sure of it, then rely on the definition.
  constexpr std::size_t kCount = 400000;
  const Order order = order_of(1, 1, kCount);
  EXPECT_EQ(order, defined_order(1, 1, kCount));
  const auto key = [](std::int32_t id) {
    const auto element = static_cast<std::uint32_t>(id);
    return philox({element / 4, 0, 1, static_cast<std::uint32_t>(Stream::shuffle)}, 1)[element % 4];
  };
  int ties = 0;
  for (std::size_t place = 1; place < kCount; ++place) {
    if (key(order[place - 1]) != key(order[place])) continue;
    ++ties;
    EXPECT_LT(order[place - 1], order[place]);
  }
  EXPECT_GT(ties, 0);
}

TEST(Shuffle, DiffersBySeedAndEpoch) {
  EXPECT_NE(order_of(0, 1, 100), order_of(0, 2, 100));
  EXPECT_NE(order_of(0, 1, 100), order_of(1, 1, 100));
  EXPECT_NE(order_of(0, 1, 100), order_of(std::uint64_t{1} << 32, 1, 100));
}

TEST(Shuffle, NeverChanges) {
  EXPECT_EQ(order_of(0, 1, 12), (Order{8, 10, 9, 4, 5, 3, 7, 1, 6, 0, 11, 2}));
  EXPECT_EQ(order_of(0x123456789abcdef0u, 7, 12), (Order{6, 10, 9, 2, 5, 1, 4, 8, 11, 0, 7, 3}));
}

}  // namespace
}  // namespace batchwise
