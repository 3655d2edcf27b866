// CUDA's shuffles, votes, atomics and barriers on the emulated device, against plain loops.
#include <functional>
#include <numeric>
#include <random>

#include "tests/kernels/emulation_testing.h"

namespace batchwise::emulation_testing {
namespace {

using namespace emulated;

template <class T>
std::vector<T> random_values(std::size_t size) {
  std::mt19937 generator(3);
  std::vector<T> result(size);
  for (T& value : result) value = static_cast<T>(generator() % 1000) - static_cast<T>(500);
  return result;
}

enum class Shuffle { direct, exclusive_or, down, up };

template <Shuffle shuffle, class T>
__device__ __forceinline__ T shuffled(unsigned mask, T value, int argument, int width) {
  if constexpr (shuffle == Shuffle::direct) return __shfl_sync(mask, value, argument, width);
  if constexpr (shuffle == Shuffle::exclusive_or) {
    return __shfl_xor_sync(mask, value, argument, width);
  }
  if constexpr (shuffle == Shuffle::down) {
    return __shfl_down_sync(mask, value, static_cast<unsigned>(argument), width);
  }
  if constexpr (shuffle == Shuffle::up) {
    return __shfl_up_sync(mask, value, static_cast<unsigned>(argument), width);
  }
}

template <Shuffle shuffle, class T>
__global__ void shuffle_kernel(const T* from, T* to, unsigned mask, int argument, int width) {
  to[threadIdx.x] = shuffled<shuffle>(mask, from[threadIdx.x], argument, width);
}

/// The lane that a lane reads from (CUDA C++ Programming Guide, warp shuffle functions).
int source(Shuffle shuffle, int lane, int argument, int width) {
  const int begin = lane / width * width;
  switch (shuffle) {
    case Shuffle::direct: return begin + (argument % width + width) % width;
    case Shuffle::exclusive_or: return (lane ^ argument) < begin + width ? lane ^ argument : lane;
    case Shuffle::down: return lane + argument < begin + width ? lane + argument : lane;
    case Shuffle::up: return lane - argument >= begin ? lane - argument : lane;
  }
  return 0;
}

template <Shuffle shuffle, class T>
void expect_shuffle(int threads, std::initializer_list<int> arguments,
                    std::initializer_list<int> widths) {
  const auto size = static_cast<std::size_t>(threads);
  const std::vector<T> values = random_values<T>(size);
  const DeviceArray<T> from(values), to(size);
  for (const int width : widths) {
    for (const int argument : arguments) {
      launch<shuffle_kernel<shuffle, T>>({1, static_cast<unsigned>(threads)}, nullptr, from.data(),
                                         to.data(), 0xFFFFFFFFu, argument, width);
      std::vector<T> expected(size);
      for (int i = 0; i < threads; ++i) {
        expected[static_cast<std::size_t>(i)] = values[static_cast<std::size_t>(
            i / 32 * 32 + source(shuffle, i % 32, argument, width))];
      }
      EXPECT_EQ(to.values(), expected) << "by " << argument << " in segments of " << width;
    }
  }
}

TEST(EmulationLanguage, ShufflesReadTheLaneTheySay) {
  expect_shuffle<Shuffle::direct, int>(96, {0, 1, 5, 31, 33}, {32, 8, 2});
  expect_shuffle<Shuffle::exclusive_or, float>(96, {1, 2, 4, 8, 16, 31}, {32, 16, 4});
  expect_shuffle<Shuffle::down, double>(64, {1, 2, 16, 31, 32}, {32, 8});
  expect_shuffle<Shuffle::up, long long>(64, {1, 2, 16, 31}, {32, 8});
  expect_shuffle<Shuffle::down, std::uint8_t>(32, {3}, {32});
}

__global__ void partial_shuffle_kernel(const int* from, int* to) {
  const unsigned lanes = threadIdx.x < 5 ? 0x1Fu : 0x7E0u;  // 0 to 4, and 5 to 10
  int sum = from[threadIdx.x];
  for (int bits = 1; bits <= 2; bits *= 2) {
    if (threadIdx.x >= 4) break;
    sum += __shfl_xor_sync(0xFu, sum, bits);
  }
  __syncwarp(lanes);
  to[threadIdx.x] = sum + __any_sync(lanes, threadIdx.x == 7);
}

TEST(EmulationLanguage, PartsOfAWarpGoTheirOwnWay) {
  std::vector<int> values(11);
  std::iota(values.begin(), values.end(), 10);
  const DeviceArray<int> from(values), to(11);
  launch<partial_shuffle_kernel>({1, 11}, nullptr, from.data(), to.data());
  std::vector<int> expected = values;
  for (std::size_t i = 0; i < 4; ++i) expected[i] = 10 + 11 + 12 + 13;
  for (std::size_t i = 5; i < 11; ++i) expected[i] += 1;
  EXPECT_EQ(to.values(), expected);
}

/// Lanes of the mask alone vote; the others have gone.
__global__ void vote_kernel(const int* predicates, unsigned mask, unsigned* to) {
  const unsigned i = blockIdx.x * 32 + threadIdx.x;
  if ((mask >> threadIdx.x & 1u) == 0) return;
  to[i * 3] = __ballot_sync(mask, predicates[i]);
  to[i * 3 + 1] = static_cast<unsigned>(__any_sync(mask, predicates[i]));
  to[i * 3 + 2] = static_cast<unsigned>(__all_sync(mask, predicates[i]));
}

TEST(EmulationLanguage, VotesCountTheirLanes) {
  std::vector<int> predicates(32 * 4, 0);
  for (std::size_t i = 0; i < 32; ++i) {
    predicates[32 + i] = 1;
    predicates[64 + i] = i % 3 == 0 ? 2 : 0;
    predicates[96 + i] = i >= 4 ? -1 : 0;
  }
  const DeviceArray<int> from(predicates);
  for (const unsigned mask : {0xFFFFFFFFu, 0x0000000Fu, 0xFFFFFFF0u, 0x80000001u}) {
    const DeviceArray<unsigned> to(32 * 4 * 3, 99u);
    launch<vote_kernel>({4, 32}, nullptr, from.data(), mask, to.data());
    const std::vector<unsigned> actual = to.values();
    for (unsigned i = 0; i < 128; ++i) {
      if ((mask >> (i % 32) & 1u) == 0) continue;
      unsigned ballot = 0;
      for (unsigned lane = 0; lane < 32; ++lane) {
        if ((mask >> lane & 1u) != 0 && predicates[i / 32 * 32 + lane] != 0) ballot |= 1u << lane;
      }
      EXPECT_EQ(actual[i * 3], ballot);
      EXPECT_EQ(actual[i * 3 + 1], ballot != 0 ? 1u : 0u);
      EXPECT_EQ(actual[i * 3 + 2], ballot == mask ? 1u : 0u);
    }
  }
}

__global__ void barrier_votes_kernel(const int* predicates, int* to) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  to[i * 3] = __syncthreads_count(predicates[i]);
  to[i * 3 + 1] = __syncthreads_or(predicates[i]);
  to[i * 3 + 2] = __syncthreads_and(predicates[i]);
}

TEST(EmulationLanguage, BarriersCountTheirBlock) {
  std::vector<int> predicates(3 * 70, 0);
  std::fill_n(predicates.begin() + 70, 70, 5);
  predicates[150] = predicates[209] = 1;
  const DeviceArray<int> from(predicates), to(3 * 70 * 3);
  launch<barrier_votes_kernel>({3, 70}, nullptr, from.data(), to.data());
  const std::vector<int> actual = to.values();
  const int counts[] = {0, 70, 2};
  for (std::size_t i = 0; i < 3 * 70; ++i) {
    const int count = counts[i / 70];
    EXPECT_EQ(actual[i * 3], count);
    EXPECT_EQ(actual[i * 3 + 1], count > 0 ? 1 : 0);
    EXPECT_EQ(actual[i * 3 + 2], count == 70 ? 1 : 0);
  }
}

template <class T>
__global__ void atomics_kernel(const T* from, T* results) {
  const T value = from[blockIdx.x * blockDim.x + threadIdx.x];
  atomicAdd(&results[0], value);
  atomicMax(&results[1], value);
  atomicMin(&results[2], value);
  if constexpr (std::is_integral_v<T>) {
    atomicOr(&results[3], value);
    atomicAnd(&results[4], value);
  }
  atomicExch(&results[5], value);
  if (atomicCAS(&results[6], T(0), T(1)) == T(0)) atomicAdd(&results[7], T(1));
}

template <class T>
void expect_atomics() {
  const std::vector<T> values = random_values<T>(5 * 33);
  const DeviceArray<T> from(values);
  const DeviceArray<T> results(std::vector<T>{0, 0, 0, 0, static_cast<T>(-1), 0, 0, 0});
  launch<atomics_kernel<T>>({5, 33}, nullptr, from.data(), results.data());
  const std::vector<T> actual = results.values();
  T sum = 0, most = 0, least = 0;
  for (const T value : values) {
    sum += value;
    most = std::max(most, value);
    least = std::min(least, value);
  }
  EXPECT_EQ(actual[0], sum);
  EXPECT_EQ(actual[1], most);
  EXPECT_EQ(actual[2], least);
  if constexpr (std::is_integral_v<T>) {
    EXPECT_EQ(actual[3], std::accumulate(values.begin(), values.end(), T(0), std::bit_or<T>()));
    EXPECT_EQ(actual[4], std::accumulate(values.begin(), values.end(), T(-1), std::bit_and<T>()));
  }
  EXPECT_NE(std::ranges::find(values, actual[5]), values.end());
  EXPECT_EQ(actual[6], T(1));
  EXPECT_EQ(actual[7], T(1));
}

TEST(EmulationLanguage, AtomicsLoseNothing) {
  expect_atomics<int>();
  expect_atomics<long long>();
  expect_atomics<float>();
  expect_atomics<double>();
}

/// Sums over the block by shuffles, shared memory and barriers.
__global__ void block_sum_kernel(const int* from, int* to) {
  struct Sums {
    int of_warp[32];
  };
  Sums& sums = shared_memory<Sums>();
  int sum = from[blockIdx.x * blockDim.x + threadIdx.x];
  for (unsigned by = 16; by > 0; by /= 2) sum += __shfl_down_sync(0xFFFFFFFFu, sum, by);
  if (threadIdx.x % 32 == 0) sums.of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  int total = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) total += sums.of_warp[warp];
  to[blockIdx.x] = total;
}

TEST(EmulationLanguage, ABlockAddsUp) {
  const std::vector<int> values = random_values<int>(20 * 256);
  const DeviceArray<int> from(values), to(20);
  launch<block_sum_kernel>({20, 256}, nullptr, from.data(), to.data());
  const std::vector<int> actual = to.values();
  for (std::size_t block = 0; block < 20; ++block) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(block * 256);
    EXPECT_EQ(actual[block], std::accumulate(begin, begin + 256, 0));
  }
}

/// Each block adds its part in shared memory; between rounds all see all.
__global__ void grid_rounds_kernel(int* data, int rounds) {
  int* mine = dynamic_shared_memory<int>();
  const unsigned size = gridDim.x * blockDim.x;
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  for (int round = 0; round < rounds; ++round) {
    mine[threadIdx.x] = data[(i + 1) % size] + data[i];
    grid_barrier();
    data[i] = mine[threadIdx.x];
    grid_barrier();
  }
}

TEST(EmulationLanguage, AGridGoesRoundByRound) {
  for (const unsigned blocks : {1u, 3u, 8u}) {
    std::vector<int> values = random_values<int>(blocks * 40);
    const DeviceArray<int> data(values);
    launch<grid_rounds_kernel>({blocks, 40, 40 * sizeof(int), true}, nullptr, data.data(), 4);
    for (int round = 0; round < 4; ++round) {
      std::vector<int> next(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        next[i] = values[(i + 1) % values.size()] + values[i];
      }
      values = next;
    }
    EXPECT_EQ(data.values(), values) << blocks << " blocks";
  }
}

__global__ void exited_threads_kernel(int* to) {
  if (threadIdx.x >= 10) return;
  __syncwarp(0x3FFu);
  to[threadIdx.x] = __shfl_sync(0x3FFu, static_cast<int>(threadIdx.x), 9);
}

TEST(EmulationLanguage, ThreadsMayExitEarly) {
  const DeviceArray<int> to(10);
  launch<exited_threads_kernel>({1, 32}, nullptr, to.data());
  EXPECT_EQ(to.values(), std::vector<int>(10, 9));
}

}  // namespace
}  // namespace batchwise::emulation_testing
