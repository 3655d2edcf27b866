// The staging ring in front of a device that copies as late as it may.
#include "engine/execute/staging_ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <vector>

namespace batchwise {
namespace {

constexpr std::int64_t kSegmentBytes = 1024;
constexpr int kSegments = 3;

/// Runs nothing until it is waited for, and then only as far as it must: whoever overwrites a
/// segment too early, or reads one too early, gets other bytes.
class LateQueue final : public TransferQueue {
 public:
  void queue_upload(std::byte* device, const std::byte* pinned, std::int64_t bytes) override {
    ++uploads;
    queued_.push_back([=] { std::memcpy(device, pinned, static_cast<std::size_t>(bytes)); });
  }
  void queue_download(std::byte* pinned, const std::byte* device, std::int64_t bytes) override {
    queued_.push_back([=] { std::memcpy(pinned, device, static_cast<std::size_t>(bytes)); });
  }
  void mark(int segment) override { marks_[static_cast<std::size_t>(segment)] = queued_.size(); }
  void wait(int segment) override {
    const std::size_t until = marks_[static_cast<std::size_t>(segment)];
    if (until > run_) ++pauses;
    run_until(until);
  }
  void finish() { run_until(queued_.size()); }

  int uploads = 0;
  int pauses = 0;  ///< waits for something that had not run yet

 private:
  void run_until(std::size_t end) {
    for (; run_ < end; ++run_) queued_[run_]();
  }

  std::vector<std::function<void()>> queued_;
  std::size_t run_ = 0;
  std::vector<std::size_t> marks_ = std::vector<std::size_t>(kSegments, 0);
};

class StagingRingTest : public ::testing::Test {
 protected:
  [[nodiscard]] static std::vector<std::byte> random_bytes(std::int64_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::vector<std::byte> bytes(static_cast<std::size_t>(count));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(generator());
    return bytes;
  }

  std::vector<std::byte> pinned_ = std::vector<std::byte>(kSegments * kSegmentBytes);
  LateQueue queue_;
  StagingRing ring_{pinned_.data(), kSegments, kSegmentBytes};
};

TEST_F(StagingRingTest, RoundTripsOfEverySizeHoldTheirBytes) {
  for (const std::int64_t size :
       {1, 40, 255, 256, 257, 1023, 1024, 1025, 2048, 3072, 3073, 20001}) {
    const std::vector<std::byte> sent = random_bytes(size, static_cast<unsigned>(size));
    std::vector<std::byte> device(sent.size()), received(sent.size());
    std::vector<std::byte> host = sent;
    ring_.upload(queue_, device.data(), host.data(), size);
    host.assign(host.size(), std::byte{0xEE});  // the caller may change them at once
    ring_.download(queue_, received.data(), device.data(), size);
    EXPECT_EQ(received, sent) << size << " bytes";
  }
}

TEST_F(StagingRingTest, NothingMovesForNoBytes) {
  ring_.upload(queue_, nullptr, nullptr, 0);
  ring_.download(queue_, nullptr, nullptr, 0);
  EXPECT_EQ(queue_.uploads, 0);
  EXPECT_EQ(queue_.pauses, 0);
}

TEST_F(StagingRingTest, ASegmentInFlightIsNotOverwritten) {
  // Forty times what the ring holds, in pieces of odd sizes, none of which has been copied when the
  // next is handed over.
  std::vector<std::vector<std::byte>> sent, device;
  for (unsigned index = 0; index < 400; ++index) {
    sent.push_back(random_bytes(1 + index * 37 % 700, index));
    device.emplace_back(sent.back().size());
  }
  for (std::size_t index = 0; index < sent.size(); ++index) {
    ring_.upload(queue_, device[index].data(), sent[index].data(),
                 static_cast<std::int64_t>(sent[index].size()));
  }
  EXPECT_GT(queue_.pauses, 0);
  queue_.finish();
  EXPECT_EQ(device, sent);
}

TEST_F(StagingRingTest, AStepsUploadsDoNotWait) {
  // 64 bytes of scalars take a place of 256: twelve fit before the device must have copied any, and
  // a download frees them all.
  std::vector<std::byte> device(64);
  const std::vector<std::byte> scalars = random_bytes(64, 5);
  std::vector<std::byte> status(40);
  for (int step = 0; step < 50; ++step) {
    for (int pass = 0; pass < 11; ++pass) ring_.upload(queue_, device.data(), scalars.data(), 64);
    EXPECT_EQ(queue_.pauses, step) << "an upload of step " << step << " waited";
    ring_.download(queue_, status.data(), device.data(), 40);
    EXPECT_EQ(queue_.pauses, step + 1) << "a download waits once";
    EXPECT_EQ(std::memcmp(status.data(), scalars.data(), 40), 0);
  }
}

}  // namespace
}  // namespace batchwise
