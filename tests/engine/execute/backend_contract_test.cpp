// What every backend promises of its memory and transfers, on each that is here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "engine/memory/arena.h"
#include "tests/engine/devices.h"
#include "tests/engine/small_runs.h"

namespace batchwise {
namespace {

std::vector<std::byte> random_bytes(std::int64_t count) {
  std::mt19937 generator(static_cast<unsigned>(count));
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(generator());
  return bytes;
}

class BackendContract : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] std::vector<std::byte> downloaded(const std::byte* device,
                                                  std::int64_t bytes) const {
    std::vector<std::byte> host(static_cast<std::size_t>(bytes), std::byte{0xA5});
    backend_.download(host.data(), device, bytes);
    return host;
  }

  const Backend& backend_ = find_backend(GetParam());
  MemoryMeter meter_;
};

TEST_P(BackendContract, IsFoundByItsOwnName) {
  EXPECT_EQ(backend_.name(), GetParam());
  EXPECT_EQ(&find_backend(backend_.name()), &backend_);
}

TEST_P(BackendContract, MemoryIsAlignedAndHoldsWhatIsUploaded) {
  for (const std::int64_t bytes : {1, 3, 255, 256, 257, 4095, 100003, 9000001}) {
    const DeviceBuffer buffer(backend_, bytes, meter_);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0u) << bytes;
    std::vector<std::byte> host = random_bytes(bytes);
    const std::vector<std::byte> sent = host;
    backend_.upload(buffer.data(), host.data(), bytes);
    host.assign(host.size(), std::byte{0x5A});  // the backend has taken its copy
    EXPECT_EQ(downloaded(buffer.data(), bytes), sent) << bytes;
  }
  EXPECT_EQ(meter_.current_bytes, 0);
}

TEST_P(BackendContract, ABufferStartsAsZeros) {
  for (const std::int64_t bytes : {1, 257, 5000000}) {
    { const DeviceBuffer dirty(backend_, bytes, meter_); }
    const DeviceBuffer buffer(backend_, bytes, meter_);
    EXPECT_EQ(downloaded(buffer.data(), bytes), std::vector<std::byte>(std::size_t(bytes)));
  }
}

TEST_P(BackendContract, PartsAreMovedByOddOffsetsAndTheRestStays) {
  constexpr std::int64_t kBytes = 2000;
  const DeviceBuffer buffer(backend_, kBytes, meter_);
  std::vector<std::byte> expected = random_bytes(kBytes);
  backend_.upload(buffer.data(), expected.data(), kBytes);
  const std::vector<std::byte> part = random_bytes(701);
  backend_.upload(buffer.data() + 13, part.data(), 701);
  std::copy(part.begin(), part.end(), expected.begin() + 13);
  backend_.zero(buffer.data() + 1501, 99);
  std::fill_n(expected.begin() + 1501, 99, std::byte{});
  EXPECT_EQ(downloaded(buffer.data(), kBytes), expected);
  EXPECT_EQ(downloaded(buffer.data() + 7, 1001),
            std::vector<std::byte>(expected.begin() + 7, expected.begin() + 1008));
}

TEST_P(BackendContract, TransfersTakeEffectInTheirOrder) {
  constexpr std::int64_t kBytes = 64;
  const DeviceBuffer buffer(backend_, kBytes, meter_);
  std::vector<std::byte> host(kBytes);
  for (int round = 0; round < 3000; ++round) {
    host.assign(kBytes, static_cast<std::byte>(round % 251));
    backend_.upload(buffer.data(), host.data(), kBytes);
    if (round % 7 == 0) backend_.zero(buffer.data(), kBytes / 2);
  }
  std::vector<std::byte> expected(kBytes, static_cast<std::byte>(2999 % 251));
  EXPECT_EQ(downloaded(buffer.data(), kBytes), expected);
}

TEST_P(BackendContract, BlocksAliveTogetherAreApart) {
  std::vector<DeviceBuffer> buffers;
  for (int index = 0; index < 20; ++index) {
    buffers.emplace_back(backend_, 300 + index, meter_);
    const std::vector<std::byte> host(std::size_t(300 + index), static_cast<std::byte>(index + 1));
    backend_.upload(buffers.back().data(), host.data(), 300 + index);
  }
  for (int index = 0; index < 20; index += 2) buffers[std::size_t(index)] = DeviceBuffer();
  for (int index = 1; index < 20; index += 2) {
    EXPECT_EQ(downloaded(buffers[std::size_t(index)].data(), 300 + index),
              std::vector<std::byte>(std::size_t(300 + index), static_cast<std::byte>(index + 1)));
  }
}

TEST_P(BackendContract, KnowsWhatIsFree) {
  EXPECT_GT(backend_.free_bytes(), std::int64_t{1} << 20);
}

TEST_P(BackendContract, AFailureNamesTheDeviceAndTheStep) {
  const std::runtime_error cause("the cause");
  const std::string message =
      testing_support::message_of<RunError>([&] { backend_.fail("dense_1 dense_forward", cause); });
  for (const std::string& part :
       {GetParam(), std::string("dense_1 dense_forward"), std::string("the cause")}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST_P(BackendContract, TakesAUsersKernels) {
  const Kernel nothing = [](const KernelArguments&) {};
  const std::string name = GetParam().substr(0, GetParam().find(':'));
  register_kernel(name, "backend_contract_nothing", nothing);
  EXPECT_EQ(backend_.kernel("backend_contract_nothing"), nothing);
}

INSTANTIATE_TEST_SUITE_P(Device, BackendContract,
                         ::testing::ValuesIn(testing_support::all_backends()),
                         [](const auto& instance) {
                           return instance.param.substr(0, instance.param.find(':'));
                         });

TEST(CudaBackend, IsAmongTheDevicesTested) {
  std::string missing;
  try {
    (void)find_backend("cuda");
  } catch (const InputError& error) {
    missing = error.what();
  }
  if (!missing.empty()) GTEST_SKIP() << missing;
  EXPECT_THAT(testing_support::other_devices(), ::testing::Contains("cuda:0"));
}

TEST(CudaBackend, TakesAUsersKernelsWithoutAGpu) {
  EXPECT_NO_THROW(register_kernel("cuda", "no_gpu_needed", [](const KernelArguments&) {}));
}

TEST(CudaBackend, AnIndexThatIsNoNumberIsAnError) {
  for (const char* device : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999"}) {
    const std::string message = testing_support::message_of([&] { (void)find_backend(device); });
    EXPECT_NE(message.find(device), std::string::npos) << message;
    EXPECT_NE(message.find("cuda:0"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace batchwise
