// Device and shared memory of the emulated device: what a kernel may read and write, and that the
// host cannot.
#include <cstring>
#include <numeric>

#include "tests/kernels/emulation_testing.h"

namespace batchwise::emulation_testing {
namespace {

using namespace emulated;
using testing::AllOf;
using testing::HasSubstr;

__global__ void copy_kernel(const float* from, float* to, int size) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= size) return;
  to[i] = from[i];
}

__global__ void write_at_kernel(float* to, std::int64_t index) {
  if (threadIdx.x != 1) return;
  to[index] = 1.0f;  // write at index
}

__global__ void read_at_kernel(const float* from, std::int64_t index, float* to) {
  to[threadIdx.x] = from[index];  // read at index
}

__global__ void write_bytes_kernel(std::uint8_t* to, int size) {
  for (int i = static_cast<int>(threadIdx.x); i < size; i += static_cast<int>(blockDim.x)) {
    to[i] = static_cast<std::uint8_t>(i);  // write byte
  }
}

__global__ void read_byte_kernel(const std::uint8_t* from, int index, int* to) {
  *to = from[index];  // read byte
}

__global__ void read_wide_kernel(const double* from, double* to) {
  *to = *from;  // read eight
}

__global__ void read_vector_kernel(const float* from, float* to) {
  *to = as_vector<const float4>(from).y;  // read vector
}

__device__ __forceinline__ float inlined_load(const float* from) {
  return from[0];  // inlined load
}

__global__ void inlined_read_kernel(const float* from, float* to) {
  to[0] = inlined_load(from + 7) + 1.0f;  // caller of inlined load
}

struct Tile {
  float values[10];
};

__global__ void shared_overrun_kernel(int index) {
  float* values = shared_memory<Tile>().values;
  values[index] = 0.0f;  // shared write
}

__global__ void dynamic_overrun_kernel(int index) {
  dynamic_shared_memory<float>()[index] = 0.0f;  // dynamic write
}

__global__ void shared_never_written_kernel(float* to) {
  Tile& tile = shared_memory<Tile>();
  if (threadIdx.x < 9) tile.values[threadIdx.x] = 1.0f;
  __syncthreads();
  if (threadIdx.x < 10) to[threadIdx.x] = tile.values[threadIdx.x];  // shared read
}

__global__ void shared_of_each_block_kernel(float* to) {
  Tile& tile = shared_memory<Tile>();
  if (blockIdx.x == 0) tile.values[0] = 1.0f;
  to[blockIdx.x] = tile.values[0];  // read of another block's value
}

/// Bits, since the poison is a NaN.
__global__ void shared_poison_kernel(unsigned* to) {
  std::memcpy(&to[threadIdx.x], &shared_memory<Tile>().values[threadIdx.x], sizeof(unsigned));
}

__global__ void other_stack_kernel(const float** address, float* to) {
  float mine[2] = {static_cast<float>(threadIdx.x), 2.0f};
  if (threadIdx.x == 0) *address = mine;
  __syncthreads();
  if (threadIdx.x == 1) *to = (*address)[1];  // read of another stack
  __syncthreads();
  mine[0] = mine[1];
}

constexpr float kTable[] = {1.0f, 2.0f, 4.0f, 8.0f};

__global__ void constant_table_kernel(const int* indices, float* to) {
  to[threadIdx.x] = kTable[indices[threadIdx.x]];
}

struct Parameters {
  float values[20];
};

__global__ void parameter_kernel(Parameters parameters, float* to) {
  to[threadIdx.x] = parameters.values[threadIdx.x];
}

std::string here(const std::string& mark) { return marked(__FILE__, mark); }

TEST(EmulationMemory, TransfersKeepTheirBytes) {
  std::vector<float> values(1000);
  std::iota(values.begin(), values.end(), 0.0f);
  const DeviceArray<float> from(values), to(1000);
  launch<copy_kernel>({8, 128}, nullptr, from.data(), to.data(), 1000);
  EXPECT_EQ(to.values(), values);
}

TEST(EmulationMemory, AllocationsAreAlignedAndFilledWithOnes) {
  for (const std::size_t size : {1, 3, 255, 256, 257, 5000}) {
    const DeviceArray<std::uint8_t> array(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data()) % 256, 0u);
    EXPECT_EQ(array.values(), std::vector<std::uint8_t>(size, 0xFF));
  }
}

TEST(EmulationMemory, ZeroAndEmptyAllocations) {
  const DeviceArray<int> array(3, 7), empty(0);
  emulation::zero(reinterpret_cast<std::byte*>(array.data()), 8);
  EXPECT_EQ(array.values(), (std::vector<int>{0, 0, 7}));
  EXPECT_NE(empty.data(), nullptr);
  emulation::free(nullptr);
}

TEST(EmulationMemory, MemoryIsUsedAgain) {
  const std::byte* first = emulation::allocate(1 << 20);
  emulation::free(const_cast<std::byte*>(first));
  std::byte* second = emulation::allocate(1 << 20);
  EXPECT_EQ(first, second);
  emulation::free(second);
}

TEST(EmulationMemory, ATransferBeyondAnAllocationIsRefused) {
  const DeviceArray<float> array(10);
  auto* data = reinterpret_cast<std::byte*>(array.data());
  std::vector<float> host(11);
  EXPECT_THROW(emulation::download(host.data(), data, 44), std::out_of_range);
  EXPECT_THROW(emulation::upload(data + 4, host.data(), 40), std::out_of_range);
  EXPECT_THROW(emulation::zero(data - 4, 4), std::out_of_range);
}

TEST(EmulationMemory, MoreThanThereIsIsRefused) {
  EXPECT_THROW((void)emulation::allocate(std::int64_t{1} << 50), std::bad_alloc);
}

TEST(EmulationMemoryDeathTest, TheHostCannotFollowAnAddressOfTheDevice) {
  const DeviceArray<float> array(10, 1.0f);
  const float* address = array.data();
  EXPECT_DEATH({ [[maybe_unused]] const volatile float value = address[3]; },
               "the host followed an address of device memory: 0x[0-9a-f]+, byte 12 of an "
               "allocation of 40 bytes");
}

TEST(EmulationMemoryDeathTest, NorAfterAKernelHasRun) {
  const DeviceArray<float> from(10, 1.0f), to(10);
  launch<copy_kernel>({1, 32}, nullptr, from.data(), to.data(), 10);
  EXPECT_DEATH({ *reinterpret_cast<volatile float*>(to.data()) = 0.0f; },
               "the host followed an address of device memory");
}

TEST(EmulationMemory, AWriteBehindAnAllocationIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> array(10);
  const auto message = fault_of(FaultKind::outside_memory, [&] {
    launch<write_at_kernel>({1, 2}, nullptr, array.data(), 10);
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("write_at_kernel: "), HasSubstr("write of 4 bytes"),
                    HasSubstr("byte 40 of an allocation of 40 bytes"),
                    HasSubstr("block (0,0,0) thread (1,0,0) at " + here("write at index"))));
  launch<write_at_kernel>({1, 2}, nullptr, array.data(), 9);
}

TEST(EmulationMemory, AWriteBeforeAnAllocationIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> array(10);
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<write_at_kernel>({1, 2}, nullptr, array.data(), -1);
                       }),
              HasSubstr("byte -4 of an allocation of 40 bytes"));
}

TEST(EmulationMemory, AnAllocationEndsAtItsLastByte) {
  BATCHWISE_NEEDS_CHECKS();
  for (const int size : {1, 2, 3, 5, 255, 257}) {
    const DeviceArray<std::uint8_t> array(static_cast<std::size_t>(size));
    launch<write_bytes_kernel>({1, 32}, nullptr, array.data(), size);
    EXPECT_THAT(fault_of(FaultKind::outside_memory,
                         [&] {
                           launch<write_bytes_kernel>({1, 32}, nullptr, array.data(), size + 1);
                         }),
                AllOf(HasSubstr("write of 1 byte "), HasSubstr(here("write byte")),
                      HasSubstr("byte " + std::to_string(size) + " of an allocation of")));
  }
}

TEST(EmulationMemory, AWideReadAcrossTheEndIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<std::uint8_t> array(12, 0);
  const DeviceArray<double> to(1);
  const auto* wide = reinterpret_cast<const double*>(array.data() + 8);
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<read_wide_kernel>({1, 1}, nullptr, wide, to.data());
                       }),
              AllOf(HasSubstr("read of 8 bytes"), HasSubstr("byte 12 of an allocation of 12 bytes"),
                    HasSubstr(here("read eight"))));
}

TEST(EmulationMemory, AMisalignedReadIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<std::uint8_t> array(20, 0);
  const DeviceArray<double> to(1);
  const auto* wide = reinterpret_cast<const double*>(array.data() + 4);
  EXPECT_THAT(fault_of(FaultKind::misaligned,
                       [&] {
                         launch<read_wide_kernel>({1, 1}, nullptr, wide, to.data());
                       }),
              AllOf(HasSubstr("byte 4 of"), HasSubstr(here("read eight"))));
}

TEST(EmulationMemory, AMisalignedVectorIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> array(8, 0.0f), to(1);
  launch<read_vector_kernel>({1, 1}, nullptr, array.data() + 4, to.data());
  EXPECT_THAT(fault_of(FaultKind::misaligned,
                       [&] {
                         launch<read_vector_kernel>({1, 1}, nullptr, array.data() + 2, to.data());
                       }),
              AllOf(HasSubstr("byte 8 of"), HasSubstr(here("read vector"))));
}

TEST(EmulationMemory, FreedMemoryIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> to(1);
  auto* freed = reinterpret_cast<float*>(emulation::allocate(4));
  emulation::free(reinterpret_cast<std::byte*>(freed));
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<read_at_kernel>({1, 1}, nullptr, freed, 0, to.data());
                       }),
              HasSubstr(here("read at index")));
}

TEST(EmulationMemory, HostMemoryIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  std::vector<float> host(4, 1.0f);
  const DeviceArray<float> array(4, 1.0f);
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<read_at_kernel>({1, 1}, nullptr, host.data(), 1, array.data());
                       }),
              AllOf(HasSubstr("read of 4 bytes at an address that is not the device's"),
                    HasSubstr(here("read at index"))));
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<write_at_kernel>({1, 2}, nullptr, host.data(), 1);
                       }),
              HasSubstr(here("write at index")));
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<read_at_kernel>({1, 1}, nullptr, static_cast<const float*>(nullptr),
                                                1, array.data());
                       }),
              HasSubstr("a null pointer"));
}

TEST(EmulationMemory, ConstantsOfTheProgramMayBeRead) {
  const DeviceArray<int> indices(std::vector<int>{3, 1, 0, 2});
  const DeviceArray<float> to(4);
  launch<constant_table_kernel>({1, 4}, nullptr, indices.data(), to.data());
  EXPECT_EQ(to.values(), (std::vector<float>{8.0f, 2.0f, 1.0f, 4.0f}));
}

TEST(EmulationMemory, ParametersMayBeRead) {
  const DeviceArray<float> to(20);
  Parameters parameters{};
  std::iota(std::begin(parameters.values), std::end(parameters.values), 1.0f);
  launch<parameter_kernel>({1, 20}, nullptr, parameters, to.data());
  EXPECT_EQ(to.values(),
            std::vector<float>(std::begin(parameters.values), std::end(parameters.values)));
}

TEST(EmulationMemory, ALineInlinedIntoAKernelIsNamedWithItsCaller) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> from(7, 1.0f), to(1);
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<inlined_read_kernel>({1, 1}, nullptr, from.data(), to.data());
                       }),
              HasSubstr(here("inlined load") + ", inlined at " + here("caller of inlined load")));
}

TEST(EmulationMemory, AnotherThreadsStackIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<const float*> address(1);
  const DeviceArray<float> to(1);
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<other_stack_kernel>({1, 2}, nullptr, address.data(), to.data());
                       }),
              AllOf(HasSubstr("the stack of another thread"), HasSubstr("thread (1,0,0)"),
                    HasSubstr(here("read of another stack"))));
}

TEST(EmulationMemory, AReadOfDeviceMemoryNeverWrittenIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> from(3), to(3);
  auto* bytes = reinterpret_cast<std::byte*>(from.data());
  emulation::zero(bytes, 8);
  launch<read_at_kernel>({1, 1}, nullptr, from.data(), 1, to.data());
  EXPECT_THAT(fault_of(FaultKind::never_written,
                       [&] {
                         launch<read_at_kernel>({1, 1}, nullptr, from.data(), 2, to.data());
                       }),
              AllOf(HasSubstr("read_at_kernel: "), HasSubstr("byte 8 of an allocation of 12 bytes"),
                    HasSubstr(here("read at index"))));
  launch<write_at_kernel>({1, 2}, nullptr, from.data(), 2);
  launch<read_at_kernel>({1, 1}, nullptr, from.data(), 2, to.data());
}

TEST(EmulationMemory, WhatIsWrittenIsKnownToTheByte) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<std::uint8_t> from(8);
  const DeviceArray<int> to(1);
  launch<write_bytes_kernel>({1, 4}, nullptr, from.data(), 6);
  launch<read_byte_kernel>({1, 1}, nullptr, from.data(), 5, to.data());
  EXPECT_EQ(to.values(), std::vector<int>{5});
  EXPECT_THAT(fault_of(FaultKind::never_written,
                       [&] {
                         launch<read_byte_kernel>({1, 1}, nullptr, from.data(), 6, to.data());
                       }),
              AllOf(HasSubstr("byte 6 of"), HasSubstr(here("read byte"))));
  const std::uint8_t value = 9;
  emulation::upload(reinterpret_cast<std::byte*>(from.data()) + 6, &value, 1);
  launch<read_byte_kernel>({1, 1}, nullptr, from.data(), 6, to.data());
  EXPECT_EQ(to.values(), std::vector<int>{9});
}

TEST(EmulationMemory, AnAccessBeyondASharedObjectIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  launch<shared_overrun_kernel>({1, 1}, nullptr, 9);
  EXPECT_THAT(
      fault_of(FaultKind::outside_memory,
               [&] {
                 launch<shared_overrun_kernel>({1, 1}, nullptr, 10);
               }),
      AllOf(HasSubstr("byte 40 of a shared object of 40 bytes"), HasSubstr(here("shared write"))));
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<shared_overrun_kernel>({1, 1}, nullptr, -1);
                       }),
              HasSubstr("byte -4 of a shared object of 40 bytes"));
}

TEST(EmulationMemory, AnAccessBeyondDynamicSharedMemoryIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  launch<dynamic_overrun_kernel>({1, 1, 100}, nullptr, 24);
  EXPECT_THAT(fault_of(FaultKind::outside_memory,
                       [&] {
                         launch<dynamic_overrun_kernel>({1, 1, 100}, nullptr, 25);
                       }),
              AllOf(HasSubstr("byte 100 of dynamic shared memory of 100 bytes"),
                    HasSubstr(here("dynamic write"))));
}

TEST(EmulationMemory, AReadOfSharedMemoryNeverWrittenIsReported) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> to(10);
  launch<shared_never_written_kernel>({1, 9}, nullptr, to.data());
  EXPECT_THAT(fault_of(FaultKind::never_written,
                       [&] {
                         launch<shared_never_written_kernel>({1, 10}, nullptr, to.data());
                       }),
              AllOf(HasSubstr("byte 36 of a shared object of 40 bytes"),
                    HasSubstr("thread (9,0,0)"), HasSubstr(here("shared read"))));
}

TEST(EmulationMemory, ABlockDoesNotSeeWhatAnotherLeftInSharedMemory) {
  BATCHWISE_NEEDS_CHECKS();
  const DeviceArray<float> to(8);
  launch<shared_of_each_block_kernel>({1, 1}, nullptr, to.data());
  EXPECT_THAT(fault_of(FaultKind::never_written,
                       [&] {
                         launch<shared_of_each_block_kernel>({8, 1}, nullptr, to.data());
                       }),
              HasSubstr(here("read of another block's value")));
}

TEST(EmulationMemory, SharedMemoryStartsAsNotANumber) {
  if (emulation::sees_accesses()) GTEST_SKIP() << "the read is reported";
  const DeviceArray<unsigned> to(10);
  launch<shared_poison_kernel>({1, 10}, nullptr, to.data());
  EXPECT_EQ(to.values(), std::vector<unsigned>(10, 0xFFFFFFFFu));
}

// The sanitizer's half: red zones to the byte.

TEST(EmulationMemoryDeathTest, TheSanitizerSeesTheEndsOfObjects) {
#ifndef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "not a build with AddressSanitizer";
#endif
  const DeviceArray<float> array(10, 1.0f), to(2);
  const DeviceArray<std::uint8_t> bytes(13);
  EXPECT_DEATH(launch<write_at_kernel>({1, 2}, nullptr, array.data(), 10), "use-after-poison");
  EXPECT_DEATH(launch<write_at_kernel>({1, 2}, nullptr, array.data(), -1), "use-after-poison");
  EXPECT_DEATH(launch<write_bytes_kernel>({1, 1}, nullptr, bytes.data(), 14), "use-after-poison");
  EXPECT_DEATH(launch<shared_overrun_kernel>({1, 1}, nullptr, 10), "use-after-poison");
  EXPECT_DEATH((launch<dynamic_overrun_kernel>({1, 1, 100}, nullptr, 25)), "use-after-poison");
  auto* freed = reinterpret_cast<float*>(emulation::allocate(4));
  emulation::free(reinterpret_cast<std::byte*>(freed));
  EXPECT_DEATH(launch<read_at_kernel>({1, 1}, nullptr, freed, 0, to.data()), "use-after-poison");
}

}  // namespace
}  // namespace batchwise::emulation_testing
