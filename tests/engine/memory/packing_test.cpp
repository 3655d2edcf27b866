// Packing of buffers with lifetimes: never two alive in the same bytes, at or near the optimum, and
// called optimal only where it is.
#include "engine/memory/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "engine/memory/packing_search.h"

namespace batchwise {
namespace {

constexpr std::int64_t kAlignment = 256;

std::int64_t rounded(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// Some have no bytes; most live for a few steps, every eighth as long as it happens.
std::vector<BufferLifetime> random_buffers(std::mt19937& generator, std::size_t count, int steps) {
  std::vector<BufferLifetime> buffers(count);
  const auto limit = static_cast<unsigned>(steps);
  for (BufferLifetime& buffer : buffers) {
    buffer.bytes = generator() % 20 == 0 ? 0 : static_cast<std::int64_t>(generator() % 5000);
    buffer.first = static_cast<int>(generator() % limit);
    buffer.last = buffer.first + static_cast<int>(generator() % (generator() % 8 == 0 ? limit : 6));
  }
  return buffers;
}

/// Forward activations that live until their backward step, and gradients between two such steps.
std::vector<BufferLifetime> chain(int layers) {
  std::vector<BufferLifetime> buffers;
  for (int layer = 0; layer < layers; ++layer) {
    const int backward = 2 * layers - layer;
    buffers.push_back({1000 + 37 * (layer % 11), layer, backward});
    buffers.push_back({500 + 91 * (layer % 7), layer, layer + 1});
    buffers.push_back({1000 + 53 * (layer % 5), backward, backward + 1});
  }
  return buffers;
}

constexpr std::int64_t kRectangleBytes = 10'000;

/// Cuts all the bytes of an arena over 100 steps into buffers, across bytes or across steps, so
/// that there is a packing without any gap.
std::vector<BufferLifetime> cut_rectangle(std::mt19937& generator, std::size_t count) {
  std::vector<BufferLifetime> buffers = {{kRectangleBytes, 0, 99}};
  while (buffers.size() < count) {
    BufferLifetime& buffer = buffers[generator() % buffers.size()];
    BufferLifetime rest = buffer;
    if (generator() % 2 == 0 && buffer.bytes > 1) {
      buffer.bytes = 1 + static_cast<std::int64_t>(generator()) % (buffer.bytes - 1);
      rest.bytes -= buffer.bytes;
    } else if (buffer.first < buffer.last) {
      buffer.last =
          buffer.first + static_cast<int>(generator() % 100) % (buffer.last - buffer.first);
      rest.first = buffer.last + 1;
    } else {
      continue;
    }
    buffers.push_back(rest);
  }
  return buffers;
}

/// At most 7 bytes are alive at once, but they do not fit into 7: the smallest such case that a
/// search through random ones found.
const std::vector<BufferLifetime> kHardBuffers = {{1, 3, 4}, {2, 1, 3}, {2, 3, 6}, {1, 4, 6},
                                                  {4, 0, 0}, {2, 0, 4}, {4, 6, 6}, {3, 1, 2}};

bool alive_together(const BufferLifetime& a, const BufferLifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

/// The largest sum of buffers alive at once, counted step by step.
std::int64_t most_alive(const std::vector<BufferLifetime>& buffers, std::int64_t alignment) {
  std::int64_t most = 0;
  for (int step = 0; step < 1000; ++step) {
    std::int64_t alive = 0;
    for (const BufferLifetime& buffer : buffers) {
      if (buffer.first <= step && step <= buffer.last) alive += rounded(buffer.bytes, alignment);
    }
    most = std::max(most, alive);
  }
  return most;
}

void expect_apart(const std::vector<BufferLifetime>& buffers,
                  const std::vector<std::int64_t>& offsets, std::int64_t bytes,
                  std::int64_t alignment) {
  ASSERT_EQ(offsets.size(), buffers.size());
  std::int64_t top = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(offsets[i] % alignment, 0);
    EXPECT_GE(offsets[i], 0);
    top = std::max(top, offsets[i] + rounded(buffers[i].bytes, alignment));
    if (buffers[i].bytes == 0) continue;
    for (std::size_t j = 0; j < i; ++j) {
      if (buffers[j].bytes == 0 || !alive_together(buffers[i], buffers[j])) continue;
      EXPECT_TRUE(offsets[i] + buffers[i].bytes <= offsets[j] ||
                  offsets[j] + buffers[j].bytes <= offsets[i])
          << "buffers " << i << " and " << j;
    }
  }
  EXPECT_EQ(bytes, top);
}

void expect_valid(const std::vector<BufferLifetime>& buffers, std::int64_t alignment) {
  const Packing packing = pack(buffers, alignment);
  expect_apart(buffers, packing.offsets, packing.bytes, alignment);
  EXPECT_EQ(packing.lower_bound, most_alive(buffers, alignment));
  EXPECT_GE(packing.bytes, packing.lower_bound);
  EXPECT_TRUE(packing.optimal || packing.bytes > packing.lower_bound);
}

/// The smallest arena, by every order of placing at the lowest free offset: an optimal packing is
/// reproduced, or bettered, by placing its buffers in the order of their offsets.
std::int64_t optimum(const std::vector<BufferLifetime>& buffers, std::int64_t alignment) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  do {
    std::vector<std::int64_t> ends(buffers.size(), 0);
    std::vector<std::int64_t> offsets(buffers.size(), 0);
    std::int64_t bytes = 0;
    for (std::size_t placed = 0; placed < order.size(); ++placed) {
      const std::size_t index = order[placed];
      const std::int64_t size = rounded(buffers[index].bytes, alignment);
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
  for (const std::vector<BufferLifetime>& buffers :
       {std::vector<BufferLifetime>{}, {{0, 0, 9}, {0, 3, 4}}}) {
    const Packing packing = pack(buffers, kAlignment);
    EXPECT_EQ(packing.bytes, 0);
    EXPECT_EQ(packing.lower_bound, 0);
    EXPECT_TRUE(packing.optimal);
    EXPECT_EQ(packing.offsets, std::vector<std::int64_t>(buffers.size(), 0));
  }
}

TEST(Packing, RoundsOneBufferUp) {
  const Packing packing = pack(std::vector<BufferLifetime>{{1, 5, 5}}, kAlignment);
  EXPECT_EQ(packing.bytes, kAlignment);
  EXPECT_EQ(packing.lower_bound, kAlignment);
  EXPECT_TRUE(packing.optimal);
  EXPECT_EQ(packing.offsets, (std::vector<std::int64_t>{0}));
}

TEST(Packing, SharesBytesOfLifetimesThatFollowEachOther) {
  const std::vector<BufferLifetime> buffers = {{1000, 0, 1}, {1000, 2, 3}, {0, 0, 4}, {1000, 4, 4}};
  const Packing packing = pack(buffers, kAlignment);
  EXPECT_EQ(packing.bytes, 1024);
  EXPECT_EQ(packing.offsets, (std::vector<std::int64_t>{0, 0, 0, 0}));
}

TEST(Packing, KeepsApartWhatOneStepReadsAndWrites) {
  const std::vector<BufferLifetime> buffers = {{1000, 0, 1}, {1000, 1, 2}};
  const Packing packing = pack(buffers, kAlignment);
  EXPECT_EQ(packing.bytes, 2048);
  EXPECT_EQ(packing.lower_bound, 2048);
}

TEST(Packing, NeverOverlapsAndReportsTheLowerBound) {
  std::mt19937 generator(31);
  for (int trial = 0; trial < 400; ++trial) {
    const std::int64_t alignment = trial % 3 == 0 ? 1 : trial % 3 == 1 ? 48 : kAlignment;
    expect_valid(random_buffers(generator, 1 + generator() % 80, 30), alignment);
  }
  // Beyond the tree search.
  for (const std::size_t count : {513, 700}) {
    expect_valid(random_buffers(generator, count, 100), kAlignment);
  }
}

TEST(Packing, IsOptimalOnSmallCases) {
  std::mt19937 generator(32);
  for (int trial = 0; trial < 200; ++trial) {
    const auto buffers = random_buffers(generator, 1 + generator() % 7, 8);
    const Packing packing = pack(buffers, kAlignment);
    EXPECT_EQ(packing.bytes, optimum(buffers, kAlignment));
    EXPECT_TRUE(packing.optimal);
  }
}

TEST(Packing, ProvesAnOptimumAboveTheLowerBound) {
  const Packing packing = pack(kHardBuffers, 1);
  expect_apart(kHardBuffers, packing.offsets, packing.bytes, 1);
  EXPECT_EQ(packing.lower_bound, 7);
  EXPECT_EQ(packing.bytes, 8);
  EXPECT_EQ(packing.bytes, optimum(kHardBuffers, 1));
  EXPECT_TRUE(packing.optimal);
}

TEST(Packing, DoesNotCallOptimalWhatIsTooLargeToProve) {
  std::vector<BufferLifetime> buffers = kHardBuffers;
  for (int step = 10; step < 600; ++step) buffers.push_back({1, step, step});
  const Packing packing = pack(buffers, 1);
  EXPECT_EQ(packing.lower_bound, 7);
  EXPECT_GE(packing.bytes, 8);
  EXPECT_FALSE(packing.optimal);
}

TEST(Packing, CallsOptimalOnlyWhatIs) {
  std::mt19937 generator(37);
  int missed = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const auto buffers = cut_rectangle(generator, 150);
    const Packing packing = pack(buffers, 1);
    EXPECT_EQ(packing.lower_bound, kRectangleBytes);
    EXPECT_EQ(packing.optimal, packing.bytes == kRectangleBytes);
    missed += packing.optimal ? 0 : 1;
  }
  EXPECT_GT(missed, 0);  // or else nothing was tried
}

TEST(Packing, ReachesTheLowerBoundOnChains) {
  for (const int layers : {1, 2, 3, 10, 50, 250}) {
    const auto buffers = chain(layers);
    const Packing packing = pack(buffers, kAlignment);
    expect_apart(buffers, packing.offsets, packing.bytes, kAlignment);
    EXPECT_EQ(packing.lower_bound, most_alive(buffers, kAlignment));
    EXPECT_EQ(packing.bytes, packing.lower_bound) << layers << " layers";
    EXPECT_TRUE(packing.optimal);
  }
}

TEST(Packing, IsWithinATwentiethOfTheBoundOnAHundredBuffers) {
  std::mt19937 generator(34);
  constexpr int kTrials = 200;
  int at_bound = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Packing packing = pack(random_buffers(generator, 100, 40), kAlignment);
    EXPECT_LE(20 * packing.bytes, 21 * packing.lower_bound);
    at_bound += packing.bytes == packing.lower_bound ? 1 : 0;
  }
  EXPECT_GE(at_bound, kTrials * 9 / 10);
}

TEST(Packing, SearchesLocallyBeyondTheTreeSearch) {
  std::mt19937 generator(38);
  std::int64_t bytes = 0;
  for (int trial = 0; trial < 10; ++trial) {
    bytes += pack(cut_rectangle(generator, 520), 1).bytes;
  }
  EXPECT_LT(bytes, 116'741);  // what the greedy orders alone need
}

TEST(Packing, IsTheSameEveryTime) {
  std::mt19937 generator(33);
  for (const std::size_t count : {80, 300}) {
    const auto buffers = random_buffers(generator, count, 40);
    EXPECT_EQ(pack(buffers, kAlignment).offsets, pack(buffers, kAlignment).offsets);
  }
}

constexpr std::int64_t kMuchWork = 100'000'000;

TEST(PackingSearch, FindsTheOptimumAndProvesIt) {
  std::mt19937 generator(35);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<BufferLifetime> buffers = random_buffers(generator, 2 + generator() % 6, 8);
    for (BufferLifetime& buffer : buffers) ++buffer.bytes;
    if (trial == 0) buffers = kHardBuffers;
    const std::int64_t best = optimum(buffers, 1);
    // Nothing is enough: the search has to go on to its end.
    const PackingSearch found = search_packing(buffers, 10 * best, 0, kMuchWork);
    expect_apart(buffers, found.offsets, found.bytes, 1);
    EXPECT_EQ(found.bytes, best);
    EXPECT_TRUE(found.complete);
    const PackingSearch tight = search_packing(buffers, best + 1, 0, kMuchWork);
    EXPECT_EQ(tight.bytes, best);
    EXPECT_FALSE(tight.offsets.empty());
    const PackingSearch none = search_packing(buffers, best, 0, kMuchWork);
    EXPECT_TRUE(none.offsets.empty());
    EXPECT_TRUE(none.complete);
    EXPECT_EQ(none.bytes, best);
  }
}

TEST(PackingSearch, KeepsTheBestOfMany) {
  std::mt19937 generator(39);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<BufferLifetime> buffers = random_buffers(generator, 14, 8);
    for (BufferLifetime& buffer : buffers) ++buffer.bytes;
    const PackingSearch found = search_packing(buffers, 14 * 5000, 0, kMuchWork);
    ASSERT_TRUE(found.complete);
    expect_apart(buffers, found.offsets, found.bytes, 1);
    EXPECT_TRUE(search_packing(buffers, found.bytes, 0, kMuchWork).offsets.empty());
  }
}

TEST(PackingSearch, StopsAtEnoughAndWhenWorkRunsOut) {
  std::mt19937 generator(36);
  std::vector<BufferLifetime> buffers = random_buffers(generator, 60, 20);
  for (BufferLifetime& buffer : buffers) ++buffer.bytes;
  const std::int64_t total = 60 * 5000;
  const PackingSearch first = search_packing(buffers, total, total, kMuchWork);
  EXPECT_FALSE(first.offsets.empty());
  EXPECT_FALSE(first.complete);
  const PackingSearch stopped = search_packing(buffers, total, 0, 100);
  EXPECT_TRUE(stopped.offsets.empty());
  EXPECT_FALSE(stopped.complete);
  EXPECT_LT(stopped.work, 10'000);
}

}  // namespace
}  // namespace batchwise
