#include "engine/report/tensorboard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "engine/error.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

/// An event as a reader of protocol buffers sees it.
struct Event {
  double wall_time = 0.0;
  std::int64_t step = 0;
  std::string version, tag;
  float value = 0.0F;
};

template <class Value>
Value take(std::string_view& bytes) {
  EXPECT_GE(bytes.size(), sizeof(Value));
  Value value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof(Value), bytes.size()));
  bytes.remove_prefix(std::min(sizeof(Value), bytes.size()));
  return value;
}

std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if ((byte & 0x80U) == 0) break;
  }
  return value;
}

std::string_view take_text(std::string_view& bytes) {
  const auto size = static_cast<std::size_t>(take_varint(bytes));
  EXPECT_LE(size, bytes.size());
  const std::string_view text = bytes.substr(0, size);
  bytes.remove_prefix(std::min(size, bytes.size()));
  return text;
}

Event parsed(std::string_view message) {
  Event event;
  while (!message.empty()) {
    switch (take_varint(message)) {
      case 1U << 3U | 1U: event.wall_time = take<double>(message); break;
      case 2U << 3U: event.step = static_cast<std::int64_t>(take_varint(message)); break;
      case 3U << 3U | 2U: event.version = take_text(message); break;
      case 5U << 3U | 2U: {
        std::string_view summary = take_text(message);
        EXPECT_EQ(take_varint(summary), 1U << 3U | 2U);
        std::string_view value = take_text(summary);
        EXPECT_TRUE(summary.empty());
        EXPECT_EQ(take_varint(value), 1U << 3U | 2U);
        event.tag = take_text(value);
        EXPECT_EQ(take_varint(value), 2U << 3U | 5U);
        event.value = take<float>(value);
        break;
      }
      default: ADD_FAILURE() << "an unknown field"; return event;
    }
  }
  return event;
}

/// The inverse of the mask: subtract, then turn back.
std::uint32_t unmasked(std::uint32_t masked) { return std::rotl(masked - 0xA282EAD8U, 15); }

std::vector<Event> read_events(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  std::string_view rest = content;
  std::vector<Event> events;
  while (!rest.empty()) {
    const std::string_view head = rest.substr(0, 8);
    const auto size = static_cast<std::size_t>(take<std::uint64_t>(rest));
    EXPECT_EQ(unmasked(take<std::uint32_t>(rest)), crc32c(head));
    const std::string_view data = rest.substr(0, size);
    rest.remove_prefix(std::min(size, rest.size()));
    EXPECT_EQ(unmasked(take<std::uint32_t>(rest)), crc32c(data));
    events.push_back(parsed(data));
  }
  return events;
}

TEST(Crc32c, HasTheValuesOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  std::string counting;
  for (int byte = 0; byte < 32; ++byte) counting += static_cast<char>(byte);
  EXPECT_EQ(crc32c(counting), 0x46DD794EU);
  EXPECT_EQ(crc32c(""), 0U);
}

class TensorboardTest : public ::testing::Test {
 protected:
  TensorboardTest() {
    std::filesystem::create_directory(run_);
    std::ofstream file(run_ / "metrics.jsonl");
    for (int step = 1; step <= 200; ++step) {
      file << R"({"kind":"step","step":)" << step << R"(,"epoch":1,"samples":32,"loss":)"
           << 0.25 * step << R"(,"learning_rate":0.125})"
           << "\n";
      file << R"({"kind":"noise","step":)" << step
           << R"(,"epoch":1,"samples":32,"mean_squared_norm":)" << 33.0 + step % 3
           << R"(,"squared_norm_of_mean":2.0})"
           << "\n";
    }
    file << R"({"kind":"epoch","epoch":1,"step":200,"train_loss":1,"train_accuracy":0.5,)"
         << R"("validation_loss":null,"validation_accuracy":0.75,"seconds":8,)"
         << R"("samples_per_second":800})"
         << "\n"
         << R"({"kind":"batch_size","epoch":2,"step":200,"batch_size":64})"
         << "\n"
         << R"({"kind":"step","step":201,"epoch":2,"loss":null,"learning_rate":0.0625})"
         << "\n"
         << R"({"kind":"epoch","epoch":2,"step":202,"seconds":2,"validation_loss":0.5})"
         << "\n"
         << R"({"kind":"step","st)";
  }

  /// The values of a tag by step.
  static std::map<std::int64_t, Event> with_tag(const std::vector<Event>& events,
                                                std::string_view tag) {
    std::map<std::int64_t, Event> found;
    for (const Event& event : events) {
      if (event.tag == tag) found[event.step] = event;
    }
    return found;
  }

  TemporaryFolder folder_;
  std::filesystem::path run_ = folder_ / "run-007";
};

TEST_F(TensorboardTest, WritesWhatTheMetricsHold) {
  write_tensorboard_events(run_ / "metrics.jsonl", folder_.path());
  const auto events = read_events(folder_ / "events.out.tfevents.run-007");
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.front().version, "brain.Event:2");
  const auto losses = with_tag(events, "train/loss");
  ASSERT_EQ(losses.size(), 200u);  // the null one is left out
  EXPECT_FLOAT_EQ(losses.at(6).value, 1.5F);
  EXPECT_DOUBLE_EQ(losses.at(50).wall_time, 2.0);  // a quarter of 8 seconds
  const auto rates = with_tag(events, "train/learning_rate");
  EXPECT_FLOAT_EQ(rates.at(201).value, 0.0625F);
  EXPECT_DOUBLE_EQ(rates.at(201).wall_time, 9.0);
  EXPECT_FLOAT_EQ(with_tag(events, "train/batch_size").at(200).value, 64.0F);
  EXPECT_EQ(with_tag(events, "validation/loss").size(), 1u);
  EXPECT_FLOAT_EQ(with_tag(events, "validation/accuracy").at(200).value, 0.75F);
  EXPECT_FLOAT_EQ(with_tag(events, "throughput/samples_per_second").at(200).value, 800.0F);
  EXPECT_DOUBLE_EQ(with_tag(events, "validation/loss").at(202).wall_time, 10.0);
}

TEST_F(TensorboardTest, WritesTheNoiseScaleOfWindows) {
  write_tensorboard_events(run_ / "metrics.jsonl", folder_.path());
  const auto scales = with_tag(read_events(folder_ / "events.out.tfevents.run-007"), "noise/scale");
  ASSERT_EQ(scales.size(), 6u);  // of the 200 measurements
  // noise about 32 / 31 * 32, signal about 2 - 33 / 32
  EXPECT_NEAR(scales.at(200).value, 33.0 / (2.0 - 33.0 / 32.0), 2.5);
  EXPECT_DOUBLE_EQ(scales.at(100).wall_time, 4.0);
}

TEST_F(TensorboardTest, IsInOrderAndTheSameEachTime) {
  const auto path = folder_ / "events.out.tfevents.run-007";
  write_tensorboard_events(run_ / "metrics.jsonl", folder_.path());
  const auto size = std::filesystem::file_size(path);
  std::vector<Event> events = read_events(path);
  write_tensorboard_events(run_ / "metrics.jsonl", folder_.path());
  EXPECT_EQ(std::filesystem::file_size(path), size);
  for (std::size_t index = 1; index < events.size(); ++index) {
    EXPECT_GE(events[index].step, events[index - 1].step);
    EXPECT_GE(events[index].wall_time, events[index - 1].wall_time);
  }
}

TEST_F(TensorboardTest, SaysWhatCannotBeReadOrWritten) {
  EXPECT_THROW(write_tensorboard_events(folder_ / "none.jsonl", folder_.path()), InputError);
  EXPECT_THROW(write_tensorboard_events(run_ / "metrics.jsonl", run_ / "metrics.jsonl" / "below"),
               RunError);
}

/// For tests/report/tensorboard_test.py: BATCHWISE_SAMPLES names the folder it goes to.
TEST_F(TensorboardTest, WritesSamples) {
  const char* wanted = std::getenv("BATCHWISE_SAMPLES");
  const std::filesystem::path folder = wanted != nullptr ? wanted : folder_.path();
  write_tensorboard_events(run_ / "metrics.jsonl", folder);
  EXPECT_TRUE(std::filesystem::exists(folder / "events.out.tfevents.run-007"));
}

}  // namespace
}  // namespace batchwise
