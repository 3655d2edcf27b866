// The memory pool and guarded memory, on every backend that is here.
#include "engine/memory/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "engine/error.h"
#include "engine/memory/arena.h"
#include "engine/plan/parameter_layout.h"
#include "tests/engine/devices.h"
#include "tests/engine/execute/allocation_counter.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::allocations;
using testing_support::message_of;

/// Writes bytes to memory of a space, and reads them, whatever it is.
class Memory {
 public:
  Memory(const Backend& backend, MemorySpace space) : backend_(backend), space_(space) {}

  void write(std::byte* to, const std::vector<std::byte>& bytes) const {
    if (space_ == MemorySpace::host) {
      std::copy(bytes.begin(), bytes.end(), to);
    } else {
      backend_.upload(to, bytes.data(), static_cast<std::int64_t>(bytes.size()));
    }
  }
  [[nodiscard]] std::vector<std::byte> read(const std::byte* from, std::int64_t bytes) const {
    std::vector<std::byte> result(static_cast<std::size_t>(bytes));
    if (space_ == MemorySpace::host) {
      std::copy_n(from, bytes, result.begin());
    } else {
      backend_.download(result.data(), from, bytes);
    }
    return result;
  }

 private:
  const Backend& backend_;
  MemorySpace space_;
};

class PoolContract : public ::testing::TestWithParam<std::tuple<std::string, MemorySpace>> {
 protected:
  [[nodiscard]] MemoryPool pool(MemoryForm form = MemoryForm::plain) {
    return {backend_, space_, meter_, form};
  }
  [[nodiscard]] std::int64_t rounded(std::int64_t bytes) const {
    return round_up(bytes, backend_.memory_granularity());
  }
  /// Whether it can be counted what the process takes from the heap for this pool.
  [[nodiscard]] bool is_counted() const {
    const bool on_heap = space_ == MemorySpace::host || !backend_.emulates();
    return testing_support::allocations_are_counted() && on_heap && backend_.hardware().empty();
  }
  [[nodiscard]] static std::vector<std::byte> bytes_of(std::int64_t count, int value) {
    return std::vector<std::byte>(static_cast<std::size_t>(count), static_cast<std::byte>(value));
  }

  const Backend& backend_ = find_backend(std::get<0>(GetParam()));
  MemorySpace space_ = std::get<1>(GetParam());
  Memory memory_{backend_, space_};
  MemoryMeter meter_;
};

TEST_P(PoolContract, HoldsWhatIsWrittenToAnAlignedBlock) {
  MemoryPool pool = this->pool();
  for (const std::int64_t bytes : {1, 100, 255, 256, 257, 100003, 9000001}) {
    std::byte* const data = pool.require(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0u);
    memory_.write(data, bytes_of(bytes, 0x5A));
    EXPECT_EQ(memory_.read(data, bytes), bytes_of(bytes, 0x5A)) << bytes;
  }
}

TEST_P(PoolContract, NothingIsTakenBeforeItIsAskedFor) {
  MemoryPool pool = this->pool();
  EXPECT_EQ(pool.reserved_bytes(), 0);
  EXPECT_EQ(pool.require(0), nullptr);
  EXPECT_EQ(pool.reserved_bytes(), 0);
  EXPECT_EQ(meter_.peak_bytes, 0);
  EXPECT_NO_THROW(pool.check());
}

TEST_P(PoolContract, ASmallerRequestTakesNothingAndReturnsNothing) {
  MemoryPool pool = this->pool();
  std::byte* const largest = pool.require(3000000);
  const std::int64_t reserved = pool.reserved_bytes();
  EXPECT_EQ(reserved, rounded(3000000));
  const testing_support::Allocations before = allocations();
  for (const std::int64_t bytes : {1, 2000000, 0, 300, 3000000}) {
    std::byte* const data = pool.require(bytes);
    EXPECT_EQ(data, bytes == 0 ? nullptr : largest) << bytes;
    EXPECT_EQ(pool.reserved_bytes(), reserved) << bytes;
  }
  EXPECT_EQ(allocations().aligned_calls, before.aligned_calls);
  EXPECT_EQ(meter_.current_bytes, reserved);
}

TEST_P(PoolContract, TheMeterIsWhatTheAllocatorGave) {
  for (const MemoryForm form : {MemoryForm::plain, MemoryForm::guarded}) {
    meter_ = {};
    const testing_support::Allocations before = allocations();
    MemoryPool pool = this->pool(form);
    (void)pool.require(100003);
    EXPECT_EQ(pool.reserved_bytes(), rounded(100003 + guard_bytes(form)));
    EXPECT_EQ(meter_.current_bytes, pool.reserved_bytes());
    const testing_support::Allocations after = allocations();
    if (is_counted()) {
      EXPECT_EQ(after.aligned_calls - before.aligned_calls, 1);
      EXPECT_EQ(after.aligned_bytes - before.aligned_bytes, meter_.current_bytes);
    }
    (void)pool.require(7000000);
    EXPECT_EQ(meter_.current_bytes, rounded(7000000 + guard_bytes(form)));
    EXPECT_EQ(meter_.peak_bytes, meter_.current_bytes);  // the smaller block went first
    if (is_counted()) {
      EXPECT_EQ(allocations().aligned_bytes - after.aligned_bytes, meter_.current_bytes);
    }
    pool.release();
    EXPECT_EQ(meter_.current_bytes, 0);
    EXPECT_EQ(pool.reserved_bytes(), 0);
    EXPECT_NE(pool.require(1), nullptr);
  }
  EXPECT_EQ(meter_.current_bytes, 0);  // each pool's end gave back
}

TEST_P(PoolContract, RandomSizesEndAtTheLargest) {
  std::mt19937 generator(7);
  for (const MemoryForm form : {MemoryForm::plain, MemoryForm::guarded}) {
    MemoryPool pool = this->pool(form);
    std::int64_t largest = 0;
    for (int request = 0; request < 100; ++request) {
      const auto bytes = static_cast<std::int64_t>(generator() % (std::size_t{1} << 18));
      largest = std::max(largest, bytes);
      std::byte* const data = pool.require(bytes);
      if (bytes == 0) continue;
      memory_.write(data, bytes_of(bytes, request));
      EXPECT_EQ(memory_.read(data + bytes - 1, 1), bytes_of(1, request));
    }
    EXPECT_EQ(pool.reserved_bytes(), rounded(largest + guard_bytes(form)));
    EXPECT_EQ(meter_.current_bytes, pool.reserved_bytes());
  }
}

TEST_P(PoolContract, ARefusalLeavesItEmptyAndUsable) {
  if (!testing_support::allocations_are_counted()) {
    GTEST_SKIP() << "this build's sanitizer ends the process instead";
  }
  constexpr std::int64_t kTooMany = std::int64_t{1} << 60;
  MemoryPool pool = this->pool();
  (void)pool.require(5000);
  try {
    (void)pool.require(kTooMany);
    FAIL() << "an exbibyte was to be had";
  } catch (const OutOfMemory& error) {
    EXPECT_GE(error.bytes, kTooMany);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr(std::to_string(kTooMany)), HasSubstr(std::get<0>(GetParam())),
                      HasSubstr("smaller batch or micro-batch")));
  }
  EXPECT_EQ(pool.reserved_bytes(), 0);
  EXPECT_EQ(meter_.current_bytes, 0);
  std::byte* const data = pool.require(6000);
  memory_.write(data, bytes_of(6000, 3));
  EXPECT_EQ(memory_.read(data, 6000), bytes_of(6000, 3));
  EXPECT_EQ(meter_.current_bytes, rounded(6000));
}

TEST_P(PoolContract, MovesWithItsBlock) {
  MemoryPool first = pool(MemoryForm::guarded);
  std::byte* const data = first.require(1000);
  memory_.write(data, bytes_of(1000, 9));
  const std::int64_t reserved = first.reserved_bytes();
  MemoryPool second = std::move(first);
  EXPECT_EQ(memory_.read(data, 1000), bytes_of(1000, 9));
  EXPECT_EQ(second.reserved_bytes(), reserved);
  // NOLINTNEXTLINE(bugprone-use-after-move): it is an empty pool
  EXPECT_EQ(first.reserved_bytes(), 0);
  EXPECT_NE(first.require(10), nullptr);
  first = std::move(second);
  EXPECT_EQ(meter_.current_bytes, reserved);
  EXPECT_EQ(memory_.read(data, 1000), bytes_of(1000, 9));
  EXPECT_EQ(first.require(900), data);
}

TEST_P(PoolContract, AGuardedBlockIsPoisonedAtEveryRequest) {
  MemoryPool pool = this->pool(MemoryForm::guarded);
  for (const std::int64_t bytes : {4000000, 17, 4000000}) {
    std::byte* const data = pool.require(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0u);
    EXPECT_EQ(memory_.read(data, bytes), bytes_of(bytes, 0xFF));
    memory_.write(data, bytes_of(bytes, 0));
    EXPECT_NO_THROW(pool.check());
  }
}

TEST_P(PoolContract, AWriteOutsideAGuardedBlockIsReported) {
  struct Write {
    std::int64_t at, count;
    const char* message;
  };
  constexpr std::int64_t kBytes = 1001;
  for (const auto& [at, count, message] :
       {Write{-1, 1, "1 of the 256 bytes before"}, Write{-256, 4, "the nearest 253 from its start"},
        Write{kBytes, 1, "1 of the 256 bytes behind"},
        Write{kBytes + 252, 4, "the nearest 253 from its end"}}) {
    MemoryPool pool = this->pool(MemoryForm::guarded);
    (void)pool.require(5000);  // of which the smaller block leaves a part
    std::byte* const data = pool.require(kBytes);
    const std::vector<std::byte> intact = memory_.read(data + at, count);
    memory_.write(data + at, bytes_of(count, 0));
    const auto report = [&] { pool.check(); };
    EXPECT_THAT(message_of<RunError>(report),
                AllOf(HasSubstr(message), HasSubstr("a block of 1001 bytes"),
                      HasSubstr(space_ == MemorySpace::host ? "host memory" : "device memory"),
                      HasSubstr(std::get<0>(GetParam()))));
    EXPECT_THROW((void)pool.require(10), RunError);
    memory_.write(data + at, intact);  // or its end would end the test
    EXPECT_NO_THROW(pool.check());
  }
}

std::string name_of_contract(const auto& instance) {
  const auto& [device, space] = instance.param;
  return device.substr(0, device.find(':')) + (space == MemorySpace::host ? "Host" : "");
}

INSTANTIATE_TEST_SUITE_P(Device, PoolContract,
                         ::testing::Combine(::testing::ValuesIn(testing_support::all_backends()),
                                            ::testing::Values(MemorySpace::device,
                                                              MemorySpace::host)),
                         [](const auto& instance) { return name_of_contract(instance); });

class GuardedBuffer : public ::testing::TestWithParam<std::string> {
 protected:
  const Backend& backend_ = find_backend(GetParam());
  MemoryMeter meter_;
};

TEST_P(GuardedBuffer, StartsAsZerosAndIsCountedWithItsGuards) {
  const std::int64_t unit = backend_.memory_granularity();
  {
    const DeviceBuffer plain(backend_, 1000, meter_, MemoryForm::plain);
    EXPECT_EQ(meter_.current_bytes, round_up(1000, unit));
    EXPECT_NO_THROW(plain.check());
    const DeviceBuffer guarded(backend_, 1000, meter_, MemoryForm::guarded);
    EXPECT_EQ(meter_.current_bytes, round_up(1000, unit) + round_up(1000 + 2 * kGuardBytes, unit));
    EXPECT_EQ(guarded.bytes(), 1000);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(guarded.data()) % 256, 0u);
    EXPECT_EQ(Memory(backend_, MemorySpace::device).read(guarded.data(), 1000),
              std::vector<std::byte>(1000));
    EXPECT_NO_THROW(guarded.check());
  }
  EXPECT_EQ(meter_.current_bytes, 0);
}

TEST_P(GuardedBuffer, ReportsAWriteOnEachSide) {
  const Memory memory(backend_, MemorySpace::device);
  DeviceBuffer buffer(backend_, 100, meter_, MemoryForm::guarded);
  for (const std::int64_t at : {-256, -1, 100, 355}) {
    const std::vector<std::byte> intact = memory.read(buffer.data() + at, 1);
    memory.write(buffer.data() + at, {std::byte{1}});
    EXPECT_THAT(message_of<RunError>([&] { buffer.check(); }),
                HasSubstr(at < 0 ? "before a block of 100" : "behind a block of 100"));
    memory.write(buffer.data() + at, intact);
  }
  const DeviceBuffer moved = std::move(buffer);
  EXPECT_NO_THROW(moved.check());
}

INSTANTIATE_TEST_SUITE_P(Device, GuardedBuffer,
                         ::testing::ValuesIn(testing_support::all_backends()),
                         [](const auto& instance) {
                           return instance.param.substr(0, instance.param.find(':'));
                         });

/// The end of a block of the cpu that something was written behind.
void end_a_block_that_was_overrun(MemoryForm form) {
  MemoryMeter meter;
  const Backend& cpu = find_backend("cpu");
  const DeviceBuffer buffer(cpu, 100, meter, form);
  // Within the allocation in either form, as the cpu rounds it to 256 bytes.
  cpu.zero(buffer.data() + 100, 4);
}

void end_a_pool_that_was_overrun(MemoryForm form) {
  MemoryMeter meter;
  const Backend& cpu = find_backend("cpu");
  MemoryPool pool(cpu, MemorySpace::device, meter, form);
  cpu.zero(pool.require(100) + 100, 4);
}

TEST(GuardDeathTest, TheEndOfAnOverrunBlockEndsTheProcess) {
  EXPECT_DEATH(end_a_block_that_was_overrun(MemoryForm::guarded),
               "batchwise: 4 of the 256 bytes behind a block of 100 bytes of device memory on cpu");
  EXPECT_DEATH(end_a_pool_that_was_overrun(MemoryForm::guarded),
               "batchwise: 4 of the 256 bytes behind a block of 100 bytes");
}

TEST(GuardDeathTest, AnEnvironmentVariableChoosesTheForm) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process that has not chosen yet
  const auto overrun = [](const char* setting) {
    setenv("BATCHWISE_GUARD_MEMORY", setting, 1);
    end_a_block_that_was_overrun(memory_form());
    MemoryMeter meter;
    std::exit(DeviceBuffer(find_backend("cpu"), 8, meter).data() != nullptr &&
                      meter.current_bytes == 256
                  ? 0
                  : 1);
  };
  EXPECT_DEATH(overrun("1"), "were written over");
  EXPECT_EXIT(overrun("0"), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(overrun(""), ::testing::ExitedWithCode(0), "");
}

TEST(CudaPool, GrowsInPlace) {
  std::string missing;
  try {
    (void)find_backend("cuda");
  } catch (const InputError& error) {
    missing = error.what();
  }
  if (!missing.empty()) GTEST_SKIP() << missing;
  const Backend& cuda = find_backend("cuda");
  MemoryMeter meter;
  const std::int64_t before = cuda.free_bytes();
  {
    MemoryPool pool(cuda, MemorySpace::device, meter, MemoryForm::plain);
    std::byte* const data = pool.require(1);
    for (const std::int64_t mebibytes : {5, 64, 65, 400}) {
      EXPECT_EQ(pool.require(mebibytes << 20), data) << mebibytes;
      EXPECT_EQ(pool.reserved_bytes(), (mebibytes + 1) / 2 * (2 << 20));
      cuda.zero(data, mebibytes << 20);
      cuda.wait();
    }
    EXPECT_THROW((void)pool.require(std::int64_t{1} << 50), OutOfMemory);
    EXPECT_GE(cuda.free_bytes(), before - (std::int64_t{64} << 20));
    EXPECT_NE(pool.require(1000), nullptr);
  }
  EXPECT_EQ(meter.current_bytes, 0);
}

}  // namespace
}  // namespace batchwise
