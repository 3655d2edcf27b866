// Races on the emulated device: what orders two accesses and what does not.
#include <numeric>

#include "tests/kernels/emulation_testing.h"

namespace batchwise::emulation_testing {
namespace {

using namespace emulated;
using testing::AllOf;
using testing::HasSubstr;

std::string here(const std::string& mark) { return marked(__FILE__, mark); }

struct Row {
  int values[256];
};

// Every thread writes its element and reads its right neighbour's.
template <bool waits>
__global__ void neighbour_kernel(int* to) {
  Row& row = shared_memory<Row>();
  row.values[threadIdx.x] = 0;
  __syncthreads();
  row.values[threadIdx.x] = static_cast<int>(threadIdx.x);  // neighbour write
  if (waits) __syncthreads();
  to[threadIdx.x] = row.values[(threadIdx.x + 1) % blockDim.x];  // neighbour read
}

// The same within a warp.
template <unsigned mask>
__global__ void warp_neighbour_kernel(int* to) {
  Row& row = shared_memory<Row>();
  if (threadIdx.x == 1) row.values[0] = 4;
  __syncthreads();
  if (threadIdx.x == 1) row.values[0] = 5;  // lane write
  if (mask != 0 && (mask >> threadIdx.x & 1u) != 0) __syncwarp(mask);
  if (threadIdx.x == 0) to[0] = row.values[0];  // lane read
}

// A shuffle passes a value, not memory.
__global__ void shuffle_is_no_barrier_kernel(int* to) {
  Row& row = shared_memory<Row>();
  if (threadIdx.x == 1) row.values[0] = 4;
  __syncthreads();
  if (threadIdx.x == 1) row.values[0] = 5;  // write before shuffle
  const int lane = __shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x), 1);
  if (threadIdx.x == 0) to[0] = row.values[0] + lane;  // read behind shuffle
}

// Lane 2 knows of lane 0's write through lane 1.
__global__ void chain_of_lanes_kernel(int* to) {
  Row& row = shared_memory<Row>();
  if (threadIdx.x == 0) row.values[0] = 7;
  if (threadIdx.x < 2) __syncwarp(0x3u);
  if (threadIdx.x == 1 || threadIdx.x == 2) __syncwarp(0x6u);
  if (threadIdx.x == 2) to[0] = row.values[0];
}

// The buffer is written again before all have read it.
template <bool waits>
__global__ void reuse_kernel(int* to) {
  Row& row = shared_memory<Row>();
  int sum = 0;
  for (int round = 0; round < 3; ++round) {
    row.values[threadIdx.x] = round;  // write again
    __syncthreads();
    sum += row.values[(threadIdx.x + 40) % blockDim.x];  // read of the round
    if (waits) __syncthreads();
  }
  to[threadIdx.x] = sum;
}

// Many read what one then writes.
template <bool waits>
__global__ void read_then_write_kernel(const int* from, int* to) {
  Row& row = shared_memory<Row>();
  if (threadIdx.x == 0) row.values[0] = from[0];
  __syncthreads();
  to[threadIdx.x] = row.values[0];  // read by all
  if (waits) __syncthreads();
  if (threadIdx.x == 100) row.values[0] = 1;  // write by one
}

__global__ void all_write_one_kernel(int* to) {
  if (threadIdx.x == 3 || threadIdx.x == 70) *to = 1;  // write by two
}

__global__ void blocks_write_one_kernel(int* to) {
  to[blockIdx.x / 2] = 1;  // write by two blocks
}

__global__ void block_reads_another_kernel(int* data) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) data[0] = 3;        // write by one block
  if (blockIdx.x == 1) data[1] = data[0];  // read by another block
}

// Neighbouring bytes are not the same memory.
__global__ void bytes_kernel(std::uint8_t* to, unsigned stride) {
  to[threadIdx.x / stride] = static_cast<std::uint8_t>(threadIdx.x);  // write of a byte
}

__global__ void bytes_then_word_kernel(std::uint8_t* bytes, unsigned* to, bool waits) {
  bytes[threadIdx.x] = 1;  // byte of a word
  if (waits) __syncthreads();
  if (threadIdx.x == 0) *to = *reinterpret_cast<const unsigned*>(bytes);  // word of bytes
}

__global__ void count_kernel(int* counter) { atomicAdd(counter, 1); }

__global__ void count_and_read_kernel(int* counter, int* to) {
  atomicAdd(counter, 1);                   // atomic before read
  if (threadIdx.x == 5) to[0] = *counter;  // read beside atomics
}

__global__ void count_and_write_kernel(int* counter) {
  if (threadIdx.x == 5) *counter = 0;            // write beside atomics
  if (threadIdx.x == 40) atomicAdd(counter, 1);  // atomic beside write
}

__global__ void count_in_shared_kernel(int* to) {
  Row& row = shared_memory<Row>();
  if (threadIdx.x == 0) row.values[0] = 0;
  __syncthreads();
  atomicAdd(&row.values[0], 2);
  __syncthreads();
  to[threadIdx.x] = row.values[0];
}

// The last block to finish adds up what all have left (threadFenceReduction of NVIDIA's samples).
template <bool releases, bool acquires>
__global__ void last_block_kernel(int* parts, int* counter, int* to) {
  parts[blockIdx.x * blockDim.x + threadIdx.x] = 1;  // part
  struct Last {
    bool is;
  };
  Last& last = shared_memory<Last>();
  __syncthreads();
  if (threadIdx.x == 0) {
    if (releases) __threadfence();
    last.is = atomicAdd(counter, 1) == static_cast<int>(gridDim.x) - 1;
    if (acquires) __threadfence();
  }
  __syncthreads();
  if (!last.is) return;
  int sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x * blockDim.x; i += blockDim.x) {
    sum += parts[i];  // sum of parts
  }
  atomicAdd(to, sum);
}

template <bool waits>
__global__ void grid_neighbour_kernel(int* data, int* to) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  data[i] = static_cast<int>(i);  // grid write
  if (waits) grid_barrier();
  to[i] = data[(i + blockDim.x) % (gridDim.x * blockDim.x)];  // grid read
}

// A barrier of one block says nothing about another that runs beside it.
__global__ void block_barrier_in_grid_kernel(int* data, int* to) {
  if (blockIdx.x == 0 && threadIdx.x == 0) data[0] = 1;  // write of block 0
  __syncthreads();
  if (blockIdx.x == 1 && threadIdx.x == 0) to[0] = data[0];  // read of block 1
  grid_barrier();
}

TEST(EmulationRace, AMissingBarrierIsReportedWithBothLines) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(256);
  launch<neighbour_kernel<true>>({1, 256}, nullptr, to.data());
  const auto message = fault_of(FaultKind::race, [&] {
    launch<neighbour_kernel<false>>({1, 256}, nullptr, to.data());
  });
  EXPECT_THAT(
      message,
      AllOf(HasSubstr("neighbour_kernel<false>: race: "),
            HasSubstr("a shared object of 1024 bytes"), HasSubstr("by block (0,0,0) thread ("),
            HasSubstr(here("neighbour write")), HasSubstr(here("neighbour read"))));
}

TEST(EmulationRace, TheEarlierThreadIsNamed) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(1);
  const auto message = fault_of(FaultKind::race, [&] {
    launch<all_write_one_kernel>({1, 128}, nullptr, to.data());
  });
  EXPECT_THAT(message, AllOf(HasSubstr("write of 4 bytes at byte 0 of an allocation of 4 bytes"),
                             HasSubstr("thread (3,0,0) at " + here("write by two")),
                             HasSubstr("thread (70,0,0) at " + here("write by two")),
                             HasSubstr("not ordered behind the write by block (0,0,0)")));
}

TEST(EmulationRace, SyncwarpOrdersItsLanesAlone) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(1);
  launch<warp_neighbour_kernel<0xFFFFFFFFu>>({1, 32}, nullptr, to.data());
  launch<warp_neighbour_kernel<0x3u>>({1, 32}, nullptr, to.data());
  EXPECT_EQ(to.values(), std::vector<int>{5});
  EXPECT_THAT(fault_of(FaultKind::race,
                       [&] {
                         launch<warp_neighbour_kernel<0u>>({1, 32}, nullptr, to.data());
                       }),
              AllOf(HasSubstr(here("lane read")), HasSubstr(here("lane write"))));
  EXPECT_THAT(fault_of(FaultKind::race,
                       [&] {
                         launch<warp_neighbour_kernel<0xFFFFFFFDu>>({1, 32}, nullptr, to.data());
                       }),
              AllOf(HasSubstr(here("lane read")), HasSubstr(here("lane write"))));
}

TEST(EmulationRace, AShuffleOrdersNoMemory) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(1);
  EXPECT_THAT(
      fault_of(FaultKind::race,
               [&] {
                 launch<shuffle_is_no_barrier_kernel>({1, 32}, nullptr, to.data());
               }),
      AllOf(HasSubstr(here("write before shuffle")), HasSubstr(here("read behind shuffle"))));
}

TEST(EmulationRace, SyncwarpPassesOnWhatItsLanesKnow) {
  const DeviceArray<int> to(1);
  launch<chain_of_lanes_kernel>({1, 32}, nullptr, to.data());
  EXPECT_EQ(to.values(), std::vector<int>{7});
}

TEST(EmulationRace, ABufferUsedAgainTooSoonIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(256);
  launch<reuse_kernel<true>>({1, 256}, nullptr, to.data());
  EXPECT_EQ(to.values(), std::vector<int>(256, 3));
  EXPECT_THAT(fault_of(FaultKind::race,
                       [&] {
                         launch<reuse_kernel<false>>({1, 256}, nullptr, to.data());
                       }),
              AllOf(HasSubstr(here("write again")), HasSubstr(here("read of the round"))));
}

TEST(EmulationRace, AWriteIsHeldAgainstManyReads) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> from(1, 3), to(256);
  launch<read_then_write_kernel<true>>({1, 256}, nullptr, from.data(), to.data());
  EXPECT_EQ(to.values(), std::vector<int>(256, 3));
  for (int seed = 0; seed < 5; ++seed) {
    EXPECT_THAT(
        fault_of(FaultKind::race,
                 [&] {
                   launch<read_then_write_kernel<false>>({1, 256}, nullptr, from.data(), to.data());
                 }),
        AllOf(HasSubstr(here("read by all")), HasSubstr(here("write by one"))));
  }
}

TEST(EmulationRace, BlocksAreNotOrdered) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> to(4);
  EXPECT_THAT(fault_of(FaultKind::race,
                       [&] {
                         launch<blocks_write_one_kernel>({8, 1}, nullptr, to.data());
                       }),
              HasSubstr(here("write by two blocks")));
  const DeviceArray<int> data(2, 0);
  const auto message = fault_of(FaultKind::race, [&] {
    launch<block_reads_another_kernel>({2, 64}, nullptr, data.data());
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("block (0,0,0) thread (0,0,0) at " + here("write by one block")),
                    HasSubstr("block (1,0,0) thread (0,0,0) at " + here("read by another block"))));
}

TEST(EmulationRace, LaunchesAreOrdered) {
  const DeviceArray<int> to(4);
  launch<blocks_write_one_kernel>({1, 1}, nullptr, to.data());
  launch<blocks_write_one_kernel>({1, 1}, nullptr, to.data());
  EXPECT_EQ(to.values()[0], 1);
}

TEST(EmulationRace, BytesOfAWordAreApart) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<std::uint8_t> bytes(64);
  launch<bytes_kernel>({1, 64}, nullptr, bytes.data(), 1u);
  EXPECT_THAT(fault_of(FaultKind::race,
                       [&] {
                         launch<bytes_kernel>({1, 64}, nullptr, bytes.data(), 2u);
                       }),
              AllOf(HasSubstr("write of 1 byte "), HasSubstr(here("write of a byte"))));
  const DeviceArray<unsigned> to(1);
  launch<bytes_then_word_kernel>({1, 4}, nullptr, bytes.data(), to.data(), true);
  EXPECT_EQ(to.values(), std::vector<unsigned>{0x01010101u});
  EXPECT_THAT(
      fault_of(FaultKind::race,
               [&] {
                 launch<bytes_then_word_kernel>({1, 4}, nullptr, bytes.data(), to.data(), false);
               }),
      AllOf(HasSubstr(here("byte of a word")), HasSubstr(here("word of bytes"))));
}

TEST(EmulationRace, AtomicsDoNotRaceWithEachOther) {
  const DeviceArray<int> counter(1, 0), to(96);
  launch<count_kernel>({7, 100}, nullptr, counter.data());
  EXPECT_EQ(counter.values(), std::vector<int>{700});
  launch<count_in_shared_kernel>({1, 96}, nullptr, to.data());
  EXPECT_EQ(to.values(), std::vector<int>(96, 192));
}

TEST(EmulationRace, AtomicsRaceWithPlainAccesses) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> counter(1, 0), to(1);
  EXPECT_THAT(fault_of(FaultKind::race,
                       [&] {
                         launch<count_and_read_kernel>({1, 64}, nullptr, counter.data(), to.data());
                       }),
              AllOf(HasSubstr("atomic operation"), HasSubstr(here("atomic before read")),
                    HasSubstr(here("read beside atomics"))));
  EXPECT_THAT(
      fault_of(FaultKind::race,
               [&] {
                 launch<count_and_write_kernel>({1, 64}, nullptr, counter.data());
               }),
      AllOf(HasSubstr(here("write beside atomics")), HasSubstr(here("atomic beside write"))));
}

TEST(EmulationRace, FencesAndAtomicsOrderBlocks) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> parts(9 * 64, 0), to(1, 0);
  {
    const DeviceArray<int> counter(1, 0);
    launch<last_block_kernel<true, true>>({9, 64}, nullptr, parts.data(), counter.data(),
                                          to.data());
    EXPECT_EQ(to.values(), std::vector<int>{9 * 64});
  }
  const auto without = [&](auto run) {
    const DeviceArray<int> counter(1, 0);
    return fault_of(FaultKind::race, [&] { run(counter.data()); });
  };
  for (
      const std::string& message :
      {without([&](int* counter) {
         launch<last_block_kernel<false, true>>({9, 64}, nullptr, parts.data(), counter, to.data());
       }),
       without([&](int* counter) {
         launch<last_block_kernel<true, false>>({9, 64}, nullptr, parts.data(), counter, to.data());
       })}) {
    EXPECT_THAT(message, AllOf(HasSubstr(here("part")), HasSubstr(here("sum of parts"))));
  }
}

TEST(EmulationRace, TheGridsBarrierOrdersBlocks) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<int> data(8 * 64, 0), to(8 * 64);
  launch<grid_neighbour_kernel<true>>({8, 64, 0, true}, nullptr, data.data(), to.data());
  std::vector<int> expected(8 * 64);
  for (int i = 0; i < 8 * 64; ++i) expected[static_cast<std::size_t>(i)] = (i + 64) % (8 * 64);
  EXPECT_EQ(to.values(), expected);
  EXPECT_THAT(
      fault_of(
          FaultKind::race,
          [&] {
            launch<grid_neighbour_kernel<false>>({8, 64, 0, true}, nullptr, data.data(), to.data());
          }),
      AllOf(HasSubstr(here("grid write")), HasSubstr(here("grid read"))));
  EXPECT_THAT(
      fault_of(
          FaultKind::race,
          [&] {
            launch<block_barrier_in_grid_kernel>({2, 64, 0, true}, nullptr, data.data(), to.data());
          }),
      AllOf(HasSubstr("block (0,0,0) thread (0,0,0) at " + here("write of block 0")),
            HasSubstr("block (1,0,0) thread (0,0,0) at " + here("read of block 1"))));
}

}  // namespace
}  // namespace batchwise::emulation_testing
