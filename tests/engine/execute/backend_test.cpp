// Which backends there are, what they have, and kernels that a user adds.
#include "engine/execute/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "engine/operations/operation.h"
#include "tests/engine/execute/allocation_counter.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::message_of;

TEST(Backend, IsFoundByItsDevicesName) {
  EXPECT_EQ(find_backend("cpu").name(), "cpu");
  EXPECT_EQ(find_backend("cpu").real(), ElementType::f32);
  EXPECT_EQ(find_backend("reference").name(), "reference");
  EXPECT_EQ(find_backend("reference").real(), ElementType::f64);
  EXPECT_EQ(&find_backend("cpu"), &find_backend("cpu"));
}

TEST(Backend, UnknownDeviceIsAnErrorThatListsThem) {
  EXPECT_THAT(message_of([] { (void)find_backend("tpu"); }),
              AllOf(HasSubstr("tpu"), HasSubstr("cpu"), HasSubstr("cuda")));
}

TEST(Backend, HasEveryKernelOfEveryRecord) {
  for (const char* device : {"cpu", "reference"}) {
    for (const Operation* operation : all_operations()) {
      for (const KernelRecord& record : operation->kernels) {
        EXPECT_NO_THROW((void)find_backend(device).kernel(record.name))
            << record.name << " on " << device;
      }
    }
  }
}

TEST(Backend, HasOneSetOfKernelsForBothModesOnTheHost) {
  for (const char* device : {"cpu", "emulated", "reference"}) {
    const Backend& backend = find_backend(device);
    for (const Operation* operation : all_operations()) {
      for (const KernelRecord& record : operation->kernels) {
        EXPECT_EQ(backend.fast_kernel(record.name), backend.kernel(record.name)) << record.name;
      }
    }
  }
}

TEST(Backend, MissingKernelNamesItselfAndTheBackend) {
  EXPECT_THAT(
      message_of<std::logic_error>([] { (void)find_backend("cpu").kernel("no_such_kernel"); }),
      AllOf(HasSubstr("cpu"), HasSubstr("no_such_kernel")));
}

TEST(Backend, GivesAlignedMemoryThatHoldsWhatIsUploaded) {
  const Backend& backend = find_backend("cpu");
  for (const std::int64_t bytes : {1, 255, 256, 257, 100000}) {
    std::byte* data = backend.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 256, 0u);
    std::vector<std::byte> written(static_cast<std::size_t>(bytes), std::byte{7});
    std::vector<std::byte> read(written.size());
    backend.upload(data, written.data(), bytes);
    backend.download(read.data(), data, bytes);
    EXPECT_EQ(read, written);
    backend.zero(data, bytes);
    backend.download(read.data(), data, bytes);
    EXPECT_EQ(read, std::vector<std::byte>(read.size()));
    backend.free(data, bytes);
  }
}

TEST(Backend, MemoryThatIsNotToBeHadIsAnErrorWithARemedy) {
  if (!testing_support::allocations_are_counted()) {
    GTEST_SKIP() << "this build's sanitizer ends the process instead";
  }
  const std::int64_t too_many = std::int64_t{1} << 60;
  EXPECT_THAT(message_of([&] { (void)find_backend("cpu").allocate(too_many); }),
              AllOf(HasSubstr(std::to_string(too_many)), HasSubstr("smaller batch")));
}

TEST(Backend, KnowsWhatIsFree) {
  EXPECT_GT(find_backend("cpu").free_bytes(), std::int64_t{1} << 20);
}

TEST(RegisterKernel, AddsToOneBackend) {
  const Kernel nothing = [](const KernelArguments&) {};
  register_kernel("cpu", "backend_test_nothing", nothing);
  EXPECT_EQ(find_backend("cpu").kernel("backend_test_nothing"), nothing);
  EXPECT_THROW((void)find_backend("reference").kernel("backend_test_nothing"), std::logic_error);
  EXPECT_THROW(register_kernel("gpu", "backend_test_nothing", nothing), std::logic_error);
}

}  // namespace
}  // namespace batchwise
