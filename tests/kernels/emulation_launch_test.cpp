// Launches on the emulated device: their shapes and orders, and that it works on after a fault.
#include <algorithm>
#include <numeric>

#include "tests/kernels/emulation_testing.h"

namespace batchwise::emulation_testing {
namespace {

using namespace emulated;
using testing::AllOf;
using testing::HasSubstr;

std::string here(const std::string& mark) { return marked(__FILE__, mark); }

struct Coordinates {
  unsigned block[3], thread[3], blocks[3], threads[3];
};

__global__ void coordinates_kernel(Coordinates* to) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const dim3 blocks = gridDim, threads = blockDim;
  to[block * blockDim.x * blockDim.y * blockDim.z + thread] = {
      {blockIdx.x, blockIdx.y, blockIdx.z},
      {threadIdx.x, threadIdx.y, threadIdx.z},
      {blocks.x, blocks.y, blocks.z},
      {threads.x, threads.y, threads.z}};
}

/// The order in which blocks, and threads that no barrier orders, take numbers.
__global__ void order_kernel(int* counter, int* to) {
  to[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(counter, 1);
}

__global__ void nothing_kernel() {}

__global__ void fault_behind_barrier_kernel(int* to) {
  __syncthreads();
  if (threadIdx.x == 17) to[-1] = 0;  // fault
  __syncthreads();
}

__global__ void throwing_kernel() {
  __syncthreads();
  if (threadIdx.x == 3) throw std::logic_error("of the kernel");
}

__device__ int deep(int depth, volatile int* top) {
  volatile int local[256];
  for (int i = 0; i < 256; ++i) local[i] = depth + *top;
  return depth == 0 ? local[3] : deep(depth - 1, top) + local[depth % 256];
}

__global__ void deep_kernel(int depth) {
  volatile int top = 1;
  top = deep(depth, &top);
}

template <std::size_t bytes>
struct Bytes {
  std::uint8_t values[bytes];
};

__global__ void two_shared_objects_kernel() {
  shared_memory<Bytes<40 * 1024>>().values[0] = 0;
  shared_memory<Bytes<10 * 1024>>().values[0] = 0;
}

__global__ void shared_and_dynamic_kernel() {
  shared_memory<Bytes<28 * 1024>>().values[0] = 0;
  dynamic_shared_memory<std::uint8_t>()[0] = 0;
}

std::vector<int> order(unsigned blocks, unsigned threads) {
  const DeviceArray<int> counter(1, 0), to(std::size_t{blocks} * threads);
  launch<order_kernel>({blocks, threads}, nullptr, counter.data(), to.data());
  return to.values();
}

TEST(EmulationLaunch, EveryThreadOfThreeDimensionsRunsOnce) {
  const dim3 blocks(3, 2, 4), threads(5, 7, 2);
  const DeviceArray<Coordinates> to(3 * 2 * 4 * 5 * 7 * 2);
  launch<coordinates_kernel>({blocks, threads}, nullptr, to.data());
  const std::vector<Coordinates> all = to.values();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto thread = static_cast<unsigned>(i % 70), block = static_cast<unsigned>(i / 70);
    const Coordinates& c = all[i];
    EXPECT_THAT(c.block, testing::ElementsAre(block % 3, block / 3 % 2, block / 6));
    EXPECT_THAT(c.thread, testing::ElementsAre(thread % 5, thread / 5 % 7, thread / 35));
    EXPECT_THAT(c.blocks, testing::ElementsAre(3, 2, 4));
    EXPECT_THAT(c.threads, testing::ElementsAre(5, 7, 2));
  }
}

TEST(EmulationLaunch, ALaunchWithoutBlocksIsNone) {
  launch<fault_behind_barrier_kernel>({0, 32}, nullptr, static_cast<int*>(nullptr));
}

TEST(EmulationLaunch, OrdersAreShuffledAnewInEveryLaunch) {
  const std::vector<int> first = order(4, 64), second = order(4, 64);
  std::vector<int> sorted = first, identity(256);
  std::iota(identity.begin(), identity.end(), 0);
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, identity);
  EXPECT_NE(first, identity);
  EXPECT_NE(first, second);
}

TEST(EmulationLaunch, ASeedGivesItsOrdersAgain) {
  emulation::set_seed(7);
  const std::vector<int> first = order(4, 64), second = order(4, 64);
  emulation::set_seed(8);
  EXPECT_NE(order(4, 64), first);
  emulation::set_seed(7);
  EXPECT_EQ(order(4, 64), first);
  EXPECT_EQ(order(4, 64), second);
}

TEST(EmulationLaunch, BlocksAreShuffledToo) { EXPECT_FALSE(std::ranges::is_sorted(order(64, 1))); }

TEST(EmulationLaunch, ShapesThatNoGpuAccepts) {
  const auto refused = [](const LaunchShape& shape) {
    return fault_of(FaultKind::launch, [&] { launch<nothing_kernel>(shape, nullptr); });
  };
  EXPECT_THAT(
      refused({1, 1025}),
      HasSubstr("nothing_kernel: launch refused: more than 1024 threads in a block: (1025,1,1)"));
  EXPECT_THAT(refused({1, dim3(33, 32)}), HasSubstr("more than 1024 threads"));
  EXPECT_THAT(refused({1, dim3(1, 1, 65)}), HasSubstr("more than 64 threads in z"));
  EXPECT_THAT(refused({1, 0}), HasSubstr("a block of no threads"));
  EXPECT_THAT(refused({dim3(1, 65536), 1}), HasSubstr("more than 65535 blocks in y or z"));
  EXPECT_THAT(refused({dim3(1, 1, 65536), 1}), HasSubstr("more than 65535 blocks in y or z"));
  EXPECT_THAT(refused({1, 1, 227 * 1024 + 1}), HasSubstr("bytes of shared memory"));
  EXPECT_THAT(refused({17, 1, 0, true}), HasSubstr("more blocks in a cooperative launch"));
  launch<nothing_kernel>({1, 1024}, nullptr);
  launch<nothing_kernel>({1, dim3(4, 4, 64)}, nullptr);
  launch<nothing_kernel>({dim3(1, 65535), 1}, nullptr);
  launch<nothing_kernel>({1, 1, 227 * 1024}, nullptr);
  launch<nothing_kernel>({16, 1, 0, true}, nullptr);
}

TEST(EmulationLaunch, MoreSharedMemoryThanABlockHas) {
  EXPECT_THAT(fault_of(FaultKind::launch,
                       [] {
                         launch<two_shared_objects_kernel>({1, 1}, nullptr);
                       }),
              HasSubstr("51200 static and 0 dynamic bytes"));
  launch<shared_and_dynamic_kernel>({1, 1, 199 * 1024}, nullptr);
  EXPECT_THAT(fault_of(FaultKind::launch,
                       [] {
                         launch<shared_and_dynamic_kernel>({1, 1, 199 * 1024 + 1}, nullptr);
                       }),
              HasSubstr("28672 static and 203777 dynamic bytes"));
}

TEST(EmulationLaunch, TheMachineWorksOnAfterAFault) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(256, 0);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_THAT(fault_of(FaultKind::outside_memory,
                         [&] {
                           launch<fault_behind_barrier_kernel>({2, 64}, nullptr, to.data());
                         }),
                AllOf(HasSubstr("thread (17,0,0)"), HasSubstr(here("fault"))));
    std::vector<int> sorted = order(4, 64), identity(256);
    std::iota(identity.begin(), identity.end(), 0);
    std::ranges::sort(sorted);
    EXPECT_EQ(sorted, identity);
  }
}

TEST(EmulationLaunch, WhatAKernelThrowsReachesTheLauncher) {
  EXPECT_THROW((launch<throwing_kernel>({2, 32}, nullptr)), std::logic_error);
  launch<nothing_kernel>({2, 32}, nullptr);
}

TEST(EmulationLaunch, AFullStackIsReported) {
  launch<deep_kernel>({1, 2}, nullptr, 10);
  EXPECT_THAT(
      fault_of(FaultKind::stack_overflow,
               [] {
                 launch<deep_kernel>({1, 2}, nullptr, 100000);
               }),
      AllOf(HasSubstr("deep_kernel: stack overflow"), HasSubstr("by block (0,0,0) thread (")));
  launch<deep_kernel>({1, 2}, nullptr, 10);
}

}  // namespace
}  // namespace batchwise::emulation_testing
