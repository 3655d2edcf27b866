// The cpu backend's threads: every index once, from several callers, through changes of their
// number.
#include "kernels/cpu/thread_team.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kernels/cpu/parallel.h"

namespace batchwise::cpu {
namespace {

/// How often each index of a region was run.
std::vector<int> counts_of_region(std::int64_t count) {
  std::vector<std::atomic<int>> counts(static_cast<std::size_t>(count));
  ThreadTeam::instance().run(
      count,
      [](void* context, std::int64_t index) {
        ++(*static_cast<std::vector<std::atomic<int>>*>(context))[static_cast<std::size_t>(index)];
      },
      &counts);
  return {counts.begin(), counts.end()};
}

TEST(CpuThreadTeam, RunsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadTeam::instance().set_threads(threads);
    EXPECT_EQ(ThreadTeam::instance().threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 7, 64, 1000}) {
      EXPECT_EQ(counts_of_region(count), std::vector<int>(static_cast<std::size_t>(count), 1))
          << threads << " threads";
    }
  }
}

TEST(CpuThreadTeam, ManyShortRegionsLoseNoTask) {
  ThreadTeam::instance().set_threads(3);
  for (int region = 0; region < 20000; ++region) {
    const std::vector<int> counts = counts_of_region(4);
    ASSERT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 4) << "region " << region;
  }
}

TEST(CpuThreadTeam, CallersAtTheSameTimeEachGetTheirResult) {
  ThreadTeam::instance().set_threads(2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int region = 0; region < 500; ++region) {
        if (counts_of_region(9) != std::vector<int>(9, 1)) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(CpuParallelRanges, CoverTheCountInMultiplesOfTheGrain) {
  ThreadTeam::instance().set_threads(3);
  for (const std::int64_t count : {1, 16, 17, 100, 1023}) {
    std::mutex guard;
    std::vector<int> covered(static_cast<std::size_t>(count), 0);
    parallel_ranges(count, 16, 1e9, [&](std::int64_t begin, std::int64_t end) {
      const std::lock_guard lock(guard);
      EXPECT_EQ(begin % 16, 0);
      EXPECT_TRUE(end == count || end % 16 == 0);
      for (std::int64_t index = begin; index < end; ++index) {
        ++covered[static_cast<std::size_t>(index)];
      }
    });
    EXPECT_EQ(covered, std::vector<int>(static_cast<std::size_t>(count), 1));
  }
}

}  // namespace
}  // namespace batchwise::cpu
