// What the emulated device costs: prints how many steps a second it takes, and asserts that the
// steps were taken, not how fast.
#include <cstdio>
#include <ctime>
#include <numeric>

#include "tests/kernels/emulation_testing.h"

namespace batchwise::emulation_testing {
namespace {

using namespace emulated;

constexpr unsigned kThreads = 256;

__global__ void thread_kernel(int* to, bool writes) {
  if (writes) to[blockIdx.x] = static_cast<int>(threadIdx.x);
}

__global__ void copy_kernel(const float* from, float* to) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  to[i] = from[i];
}

__global__ void wide_copy_kernel(const float4* from, float4* to) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  to[i] = from[i];
}

/// Every thread reads what all read: a row of weights, again and again.
__global__ void shared_sum_kernel(const float* from, float* to, int rounds) {
  struct Row {
    float values[kThreads];
  };
  Row& row = shared_memory<Row>();
  row.values[threadIdx.x] = from[threadIdx.x];
  __syncthreads();
  float sum = 0.0f;
  for (int round = 0; round < rounds; ++round) {
    for (const float value : row.values) sum += value;
  }
  to[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

__global__ void byte_kernel(const std::uint8_t* from, std::uint8_t* to) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  to[i] = from[i];
}

__global__ void shuffle_kernel(int* to, int rounds) {
  int value = 1;
  for (int round = 0; round < rounds; ++round) value += __shfl_xor_sync(0xFFFFFFFFu, value, 1);
  to[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

__global__ void barrier_kernel(int* to, int rounds) {
  for (int round = 0; round < rounds; ++round) __syncthreads();
  to[blockIdx.x * blockDim.x + threadIdx.x] = rounds;
}

template <class Launch>
void measure(const char* what, double steps, Launch run) {
  run();  // touches the memory
  const std::clock_t begin = std::clock();
  run();
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%-24s %7.1f million a second\n", what, steps / seconds / 1e6);
}

TEST(EmulationCost, PrintsStepsASecond) {
  constexpr unsigned kBlocks = 1024;
  constexpr unsigned kSize = kBlocks * kThreads;
  std::vector<float> values(kSize * 4);
  std::iota(values.begin(), values.end(), 0.0f);
  const DeviceArray<float> from(values), to(kSize * 4);
  const DeviceArray<int> counts(kSize);
  const DeviceArray<std::uint8_t> bytes(kSize, 7), byte_results(kSize);
  const auto wide = [](const auto& array) { return reinterpret_cast<float4*>(array.data()); };

  measure("threads", kSize, [&] {
    launch<thread_kernel>({kBlocks, kThreads}, nullptr, counts.data(), false);
  });
  measure("accesses, 4 bytes", 2.0 * kSize, [&] {
    launch<copy_kernel>({kBlocks, kThreads}, nullptr, from.data(), to.data());
  });
  measure("accesses, 4 of a float4", 8.0 * kSize, [&] {
    launch<wide_copy_kernel>({kBlocks, kThreads}, nullptr, wide(from), wide(to));
  });
  EXPECT_EQ(to.values(), values);
  measure("accesses, 1 byte", 2.0 * kSize, [&] {
    launch<byte_kernel>({kBlocks, kThreads}, nullptr, bytes.data(), byte_results.data());
  });
  EXPECT_EQ(byte_results.values(), bytes.values());
  measure("accesses, shared", 8.0 * 16 * kThreads * kThreads, [&] {
    launch<shared_sum_kernel>({16, kThreads}, nullptr, from.data(), to.data(), 8);
  });
  EXPECT_EQ(to.values()[0], 8.0f * 255.0f * 128.0f);
  measure("shuffles", 16.0 * 64 * kThreads, [&] {
    launch<shuffle_kernel>({64, kThreads}, nullptr, counts.data(), 16);
  });
  EXPECT_EQ(counts.values()[5], 1 << 16);
  measure("barriers, a thread", 16.0 * 64 * kThreads, [&] {
    launch<barrier_kernel>({64, kThreads}, nullptr, counts.data(), 16);
  });
  EXPECT_EQ(counts.values()[5], 16);
}

}  // namespace
}  // namespace batchwise::emulation_testing
