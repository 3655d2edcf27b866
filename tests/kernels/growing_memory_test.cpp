// Device memory that grows in place. What can be told without a GPU is that nothing is promised.
#include "kernels/cuda/growing_memory.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/cuda/device.h"

namespace batchwise::cuda {
namespace {

TEST(GrowingMemory, IsNotPromisedWithoutAGpu) {
  if (count_devices().count > 0) GTEST_SKIP() << "there is a GPU here";
  EXPECT_EQ(growth_granularity(0), 0);
}

class GrowingMemoryOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    const DeviceCount devices = count_devices();
    if (devices.count == 0) GTEST_SKIP() << devices.missing;
    make_current(0);
    if (growth_granularity(0) == 0) GTEST_SKIP() << "the GPU or its driver maps no memory";
    stream_ = make_stream();
  }
  /// The first byte of each part as it is on the device.
  [[nodiscard]] std::byte byte_at(const std::byte* device) const {
    const PinnedMemory pinned = allocate_pinned(1);
    copy_to_host(pinned.get(), device, 1, stream_.get());
    wait(stream_.get());
    return pinned[0];
  }
  void set_byte(std::byte* device, std::byte value) const {
    const PinnedMemory pinned = allocate_pinned(1);
    pinned[0] = value;
    copy_to_device(device, pinned.get(), 1, stream_.get());
    wait(stream_.get());
  }

  Stream stream_;
};

TEST_F(GrowingMemoryOnGpu, KeepsItsAddressAndWhatItHolds) {
  const std::int64_t granularity = growth_granularity(0);
  GrowingMemory memory(0, memory_use().total_bytes);
  std::byte* const data = memory.data();
  EXPECT_EQ(memory.bytes(), 0);
  std::vector<std::int64_t> ends;
  for (const std::int64_t pages : {1, 2, 5, 40}) {
    memory.grow(pages * granularity);
    EXPECT_EQ(memory.data(), data);
    EXPECT_EQ(memory.bytes(), pages * granularity);
    zero(data + (ends.empty() ? 0 : ends.back()),
         pages * granularity - (ends.empty() ? 0 : ends.back()), stream_.get());
    ends.push_back(pages * granularity);
    set_byte(data + ends.back() - 1, static_cast<std::byte>(pages));
  }
  for (const std::int64_t end : ends) {
    EXPECT_EQ(byte_at(data + end - 1), static_cast<std::byte>(end / granularity));
  }
  zero(data, memory.bytes(), stream_.get());  // one call over all mappings
  for (const std::int64_t end : ends) EXPECT_EQ(byte_at(data + end - 1), std::byte{0});
}

TEST_F(GrowingMemoryOnGpu, ARefusedGrowthLeavesEverythingAsItWas) {
  const std::int64_t granularity = growth_granularity(0);
  const MemoryUse use = memory_use();
  GrowingMemory memory(0, 2 * use.total_bytes);
  memory.grow(granularity);
  set_byte(memory.data(), std::byte{42});
  for (const std::int64_t bytes : {use.total_bytes, 3 * use.total_bytes}) {
    try {
      memory.grow((bytes + granularity - 1) / granularity * granularity);
      FAIL() << "more than the GPU has was to be had";
    } catch (const CudaError& error) {
      EXPECT_EQ(error.code(), cudaErrorMemoryAllocation) << error.what();
    }
  }
  EXPECT_EQ(memory.bytes(), granularity);
  EXPECT_EQ(byte_at(memory.data()), std::byte{42});
  memory.grow(3 * granularity);
  EXPECT_EQ(byte_at(memory.data()), std::byte{42});
}

TEST_F(GrowingMemoryOnGpu, GivesEverythingBack) {
  const std::int64_t granularity = growth_granularity(0);
  constexpr std::int64_t kPages = 100;
  const std::int64_t before = memory_use().free_bytes;
  for (int round = 0; round < 3; ++round) {
    GrowingMemory memory(0, memory_use().total_bytes);
    memory.grow(granularity);
    memory.grow(kPages * granularity);
    EXPECT_LE(memory_use().free_bytes, before - (kPages - 1) * granularity);
  }
  EXPECT_GE(memory_use().free_bytes, before - granularity);
}

}  // namespace
}  // namespace batchwise::cuda
