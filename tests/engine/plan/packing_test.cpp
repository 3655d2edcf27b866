// Packing of buffers with lifetimes: never two alive in the same bytes, and near the optimum.
#include "engine/memory/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace batchwise {
namespace {

constexpr std::int64_t kAlignment = 256;

std::vector<BufferLifetime> random_buffers(std::mt19937& generator, std::size_t count, int steps) {
  std::vector<BufferLifetime> buffers(count);
  for (BufferLifetime& buffer : buffers) {
    buffer.bytes = static_cast<std::int64_t>(generator() % 5000);
    buffer.first = static_cast<int>(generator() % static_cast<unsigned>(steps));
    buffer.last = buffer.first + static_cast<int>(generator() % 6);
  }
  return buffers;
}

bool alive_together(const BufferLifetime& a, const BufferLifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

/// The largest sum of buffers alive at once, counted step by step.
std::int64_t most_alive(const std::vector<BufferLifetime>& buffers) {
  std::int64_t most = 0;
  for (int step = 0; step < 1000; ++step) {
    std::int64_t alive = 0;
    for (const BufferLifetime& buffer : buffers) {
      if (buffer.first <= step && step <= buffer.last) {
        alive += (buffer.bytes + kAlignment - 1) / kAlignment * kAlignment;
      }
    }
    most = std::max(most, alive);
  }
  return most;
}

void expect_valid(const std::vector<BufferLifetime>& buffers, const Packing& packing) {
  ASSERT_EQ(packing.offsets.size(), buffers.size());
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(packing.offsets[i] % kAlignment, 0);
    EXPECT_GE(packing.offsets[i], 0);
    EXPECT_LE(packing.offsets[i] + buffers[i].bytes, packing.bytes);
    for (std::size_t j = 0; j < i; ++j) {
      if (!alive_together(buffers[i], buffers[j])) continue;
      EXPECT_TRUE(packing.offsets[i] + buffers[i].bytes <= packing.offsets[j] ||
                  packing.offsets[j] + buffers[j].bytes <= packing.offsets[i])
          << "buffers " << i << " and " << j;
    }
  }
}

/// The smallest arena, by every order of placing at the lowest free offset: an optimal packing is
/// reproduced, or bettered, by placing its buffers in the order of their offsets.
std::int64_t optimum(const std::vector<BufferLifetime>& buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  do {
    std::vector<std::int64_t> ends(buffers.size(), 0);
    std::vector<std::int64_t> offsets(buffers.size(), 0);
    std::int64_t bytes = 0;
    for (std::size_t placed = 0; placed < order.size(); ++placed) {
      const std::size_t index = order[placed];
      const std::int64_t size = (buffers[index].bytes + kAlignment - 1) / kAlignment * kAlignment;
      std::int64_t offset = 0;
      for (bool moved = true; moved;) {
        moved = false;
        for (std::size_t earlier = 0; earlier < placed; ++earlier) {
          const std::size_t other = order[earlier];
          if (!alive_together(buffers[index], buffers[other])) continue;
          if (offset < ends[other] && offsets[other] < offset + size) {
            offset = ends[other];
            moved = true;
          }
        }
      }
      offsets[index] = offset;
      ends[index] = offset + size;
      bytes = std::max(bytes, ends[index]);
    }
    best = std::min(best, bytes);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(Packing, TakesNothingForNothing) {
  const Packing packing = pack({}, kAlignment);
  EXPECT_EQ(packing.bytes, 0);
  EXPECT_EQ(packing.lower_bound, 0);
  EXPECT_TRUE(packing.offsets.empty());
}

TEST(Packing, SharesBytesOfLifetimesThatFollowEachOther) {
  const std::vector<BufferLifetime> buffers = {{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 4}};
  const Packing packing = pack(buffers, kAlignment);
  EXPECT_EQ(packing.bytes, 1024);
  EXPECT_EQ(packing.offsets, (std::vector<std::int64_t>{0, 0, 0}));
}

TEST(Packing, KeepsApartWhatOneStepReadsAndWrites) {
  const std::vector<BufferLifetime> buffers = {{1000, 0, 1}, {1000, 1, 2}};
  const Packing packing = pack(buffers, kAlignment);
  EXPECT_EQ(packing.bytes, 2048);
  EXPECT_EQ(packing.lower_bound, 2048);
}

TEST(Packing, NeverOverlapsAndReportsTheLowerBound) {
  std::mt19937 generator(31);
  for (int trial = 0; trial < 300; ++trial) {
    const auto buffers = random_buffers(generator, 1 + generator() % 60, 30);
    const Packing packing = pack(buffers, kAlignment);
    expect_valid(buffers, packing);
    EXPECT_EQ(packing.lower_bound, most_alive(buffers));
    EXPECT_GE(packing.bytes, packing.lower_bound);
  }
}

TEST(Packing, IsNearTheOptimumOnSmallCases) {
  std::mt19937 generator(32);
  for (int trial = 0; trial < 150; ++trial) {
    const auto buffers = random_buffers(generator, 7, 8);
    const Packing packing = pack(buffers, kAlignment);
    const std::int64_t best = optimum(buffers);
    EXPECT_GE(packing.bytes, best);
    EXPECT_GE(best, packing.lower_bound);
    EXPECT_LE(static_cast<double>(packing.bytes), 1.05 * static_cast<double>(best));
  }
}

TEST(Packing, IsTheSameEveryTime) {
  std::mt19937 generator(33);
  const auto buffers = random_buffers(generator, 80, 40);
  EXPECT_EQ(pack(buffers, kAlignment).offsets, pack(buffers, kAlignment).offsets);
}

}  // namespace
}  // namespace batchwise
