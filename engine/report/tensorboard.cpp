// The format: TFRecord framing (tensorflow/core/lib/io/record_writer.cc) around Event messages of
// protocol buffers (tensorflow/core/util/event.proto, framework/summary.proto), written by hand:
// five fields do not need a library.
#include "engine/report/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "engine/analysis/gradient_noise.h"
#include "engine/error.h"
#include "engine/files/durable_file.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;

struct Scalar {
  std::string_view tag;
  std::int64_t step = 0;
  double value = 0.0;
  double seconds = 0.0;  ///< of training, since the run began
};

// Protocol buffers: a field is its number and wire type in a varint, then the value.
enum class Wire : std::uint8_t { varint = 0, eight_bytes = 1, length = 2, four_bytes = 5 };

template <class Unsigned>
void append_little_endian(std::string& bytes, Unsigned value) {
  for (std::size_t place = 0; place < sizeof(Unsigned); ++place) {
    bytes += static_cast<char>((value >> (8 * place)) & 0xFFU);
  }
}

void append_varint(std::string& bytes, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  bytes += static_cast<char>(value);
}

void append_key(std::string& bytes, int field, Wire wire) {
  bytes += static_cast<char>((field << 3) | static_cast<int>(wire));
}

void append_text(std::string& bytes, int field, std::string_view text) {
  append_key(bytes, field, Wire::length);
  append_varint(bytes, text.size());
  bytes += text;
}

/// Event { double wall_time = 1; int64 step = 2; }
std::string event_head(double wall_time, std::int64_t step) {
  std::string event;
  append_key(event, 1, Wire::eight_bytes);
  append_little_endian(event, std::bit_cast<std::uint64_t>(wall_time));
  if (step == 0) return event;  // the default is not written
  append_key(event, 2, Wire::varint);
  append_varint(event, static_cast<std::uint64_t>(step));
  return event;
}

/// Event { Summary summary = 5 { Value value = 1 { string tag = 1; float simple_value = 2; } } }
std::string scalar_event(const Scalar& scalar) {
  std::string value;
  append_text(value, 1, scalar.tag);
  append_key(value, 2, Wire::four_bytes);
  append_little_endian(value, std::bit_cast<std::uint32_t>(static_cast<float>(scalar.value)));
  std::string summary;
  append_text(summary, 1, value);
  std::string event = event_head(scalar.seconds, scalar.step);
  append_text(event, 5, summary);
  return event;
}

/// So that a checksum of data that holds checksums is a sound one too.
std::uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
}

void append_record(std::string& file, std::string_view data) {
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(data.size()));
  file += length;
  append_little_endian(file, masked_crc32c(length));
  file += data;
  append_little_endian(file, masked_crc32c(data));
}

/// The scalars of the lines of a metrics.jsonl. Seconds are known at the end of an epoch, so its
/// scalars wait until then.
class ScalarReader {
 public:
  void read(const std::string& text) {
    const Json line = Json::parse(text, nullptr, false);
    if (!line.is_object()) return;  // torn by a kill
    const auto found = line.find("kind");
    const std::string kind = found != line.end() && found->is_string() ? *found : Json("");
    const auto step = line.find("step");
    if (step != line.end() && step->is_number_integer()) step_ = step->get<std::int64_t>();
    if (kind == "step") {
      add("train/loss", line, "loss");
      add("train/learning_rate", line, "learning_rate");
    } else if (kind == "validation") {
      add_validation(line);
    } else if (kind == "batch_size") {
      add("train/batch_size", line, "batch_size");
    } else if (kind == "epoch") {
      add("train/accuracy", line, "train_accuracy");
      add_validation(line);
      add("throughput/samples_per_second", line, "samples_per_second");
      end_epoch(line.contains("seconds") && line["seconds"].is_number()
                    ? line["seconds"].get<double>()
                    : 0.0);
    }
  }

  /// Of all lines, each at its time; those after the last epoch at the end of that.
  [[nodiscard]] std::vector<Scalar> take() {
    end_epoch(0.0);
    return std::move(scalars_);
  }

 private:
  void add(std::string_view tag, const Json& line, const char* key) {
    const auto found = line.find(key);
    if (found == line.end() || !found->is_number()) return;
    scalars_.push_back({.tag = tag, .step = step_, .value = found->get<double>()});
  }

  void add_validation(const Json& line) {
    add("validation/loss", line, "validation_loss");
    add("validation/accuracy", line, "validation_accuracy");
  }

  void end_epoch(double seconds) {
    const auto updates = static_cast<double>(std::max<std::int64_t>(step_ - epoch_start_, 1));
    for (; timed_ < scalars_.size(); ++timed_) {
      Scalar& scalar = scalars_[timed_];
      const double share = static_cast<double>(scalar.step - epoch_start_) / updates;
      scalar.seconds = seconds_ + seconds * std::clamp(share, 0.0, 1.0);
    }
    seconds_ += seconds;
    epoch_start_ = step_;
  }

  std::vector<Scalar> scalars_;
  std::size_t timed_ = 0;  ///< scalars whose seconds are known
  std::int64_t step_ = 0;
  std::int64_t epoch_start_ = 0;  ///< the last step before this epoch
  double seconds_ = 0.0;          ///< of the epochs that ended
};

std::vector<Scalar> read_scalars(const std::filesystem::path& metrics_file) {
  errno = 0;
  std::ifstream file(metrics_file);
  ScalarReader reader;
  std::string line;
  while (std::getline(file, line)) {
    if (!line.empty()) reader.read(line);
  }
  if (!file.eof()) {
    throw InputError(fmt::format("cannot read {}: {}", metrics_file.string(),
                                 std::generic_category().message(errno)));
  }
  return reader.take();
}

/// In order of the steps; a window's time is that of the first other scalar at its last step.
void add_noise_scale(const std::filesystem::path& metrics_file, std::vector<Scalar>& scalars) {
  const auto before = [](const Scalar& scalar, std::int64_t step) { return scalar.step < step; };
  std::vector<Scalar> noise;
  for (const NoiseWindow& window : noise_scale_over_training(read_gradient_norms(metrics_file))) {
    const auto at = std::lower_bound(scalars.begin(), scalars.end(), window.last_step, before);
    noise.push_back({.tag = "noise/scale",
                     .step = window.last_step,
                     .value = window.scale.value,
                     .seconds = at != scalars.end() ? at->seconds
                                : scalars.empty()   ? 0.0
                                                    : scalars.back().seconds});
  }
  scalars.insert(scalars.end(), noise.begin(), noise.end());
  std::stable_sort(scalars.begin(), scalars.end(),
                   [](const Scalar& left, const Scalar& right) { return left.step < right.step; });
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t index = 0; index < entries.size(); ++index) {
      std::uint32_t remainder = index;
      for (int bit = 0; bit < 8; ++bit) {
        remainder = (remainder >> 1U) ^ ((remainder & 1U) != 0 ? 0x82F63B78U : 0U);
      }
      entries[index] = remainder;
    }
    return entries;
  }();
  std::uint32_t remainder = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    remainder = (remainder >> 8U) ^ table[(remainder ^ static_cast<unsigned char>(byte)) & 0xFFU];
  }
  return ~remainder;
}

void write_tensorboard_events(const std::filesystem::path& metrics_file,
                              const std::filesystem::path& directory) {
  std::vector<Scalar> scalars = read_scalars(metrics_file);
  add_noise_scale(metrics_file, scalars);
  std::string file;
  std::string version = event_head(0.0, 0);
  append_text(version, 3, "brain.Event:2");
  append_record(file, version);
  for (const Scalar& scalar : scalars) {
    if (std::isfinite(scalar.value)) append_record(file, scalar_event(scalar));
  }
  const std::string run = std::filesystem::absolute(metrics_file).parent_path().filename().string();
  std::error_code failed;  // then writing says what is wrong
  std::filesystem::create_directories(directory, failed);
  write_durably(directory / ("events.out.tfevents." + (run.empty() ? "run" : run)), file);
}

}  // namespace batchwise
