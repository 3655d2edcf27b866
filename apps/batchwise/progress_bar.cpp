#include "apps/batchwise/progress_bar.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace batchwise::app {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kPlainLine{10};
constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

/// Columns a line may take. The last one stays free: some terminals wrap when it is written.
std::size_t line_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - 1u : 79u;
}

/// The parts with two spaces between, as many from the start as fit.
std::string join_fitting(const std::vector<std::string>& parts, std::size_t width) {
  std::string line = parts.front().substr(0, width);
  for (std::size_t index = 1; index < parts.size(); ++index) {
    if (line.size() + 2 + parts[index].size() > width) break;
    line += "  " + parts[index];
  }
  return line;
}

/// "1:02:03", "2:03", "0:03".
std::string human_duration(double seconds) {
  constexpr double kLongest = 3600.0 * 1000.0;
  if (!(seconds <= kLongest)) return "long";
  const auto whole = static_cast<std::int64_t>(std::lround(std::max(0.0, seconds)));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// "850", "12.3k", "5.1M".
std::string human_count(double count) {
  if (count >= 1e6) return fmt::format("{:.1f}M", count / 1e6);
  if (count >= 1e4) return fmt::format("{:.1f}k", count / 1e3);
  return fmt::format("{:.0f}", count);
}

/// The bar takes what the text leaves free, within limits.
std::string with_bar(const std::string& head, double share, const std::vector<std::string>& tail,
                     std::size_t width) {
  constexpr std::size_t kNarrowest = 8, kWidest = 24;
  std::size_t text = head.size() + 4;  // two spaces and the brackets
  for (const std::string& part : tail) text += 2 + part.size();
  const std::size_t bar =
      std::clamp(width > text ? width - text : std::size_t{0}, kNarrowest, kWidest);
  const auto filled =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(bar));
  std::vector<std::string> parts{
      head, fmt::format("[{}{}]", std::string(filled, '='), std::string(bar - filled, ' '))};
  parts.insert(parts.end(), tail.begin(), tail.end());
  return join_fitting(parts, width);
}

}  // namespace

TrainingProgress::TrainingProgress(const CommonOptions& options, const Session& session)
    : mode_(options.progress),
      terminal_(options.progress == ProgressMode::automatic && isatty(STDERR_FILENO) == 1),
      session_(session),
      samples_(session.training_samples()),
      training_(session.experiment().training) {}

TrainingProgress::~TrainingProgress() { clear_line(); }

void TrainingProgress::on_step(const Progress& progress, double loss) {
  if (samples_at_start_ < 0) {
    // The first update may resume an earlier process: speed counts from here.
    samples_at_start_ = progress.trained_samples;
    started_ = Clock::now();
  }
  if (mode_ == ProgressMode::none) return;
  const auto now = Clock::now();
  if (now - drawn_ < (terminal_ ? Clock::duration(kRedraw) : Clock::duration(kPlainLine))) return;
  drawn_ = now;
  draw(progress, loss);
}

double TrainingProgress::samples_left(const Progress& progress) const {
  const auto left = static_cast<double>((training_.epochs - progress.epoch + 1) * samples_ -
                                        progress.samples_in_epoch);
  if (training_.max_steps == 0) return left;
  const double per_step =
      static_cast<double>(samples_) / static_cast<double>(session_.steps_per_epoch());
  return std::min(left, static_cast<double>(training_.max_steps - progress.step) * per_step);
}

void TrainingProgress::draw(const Progress& progress, double loss) {
  const double elapsed = std::chrono::duration<double>(Clock::now() - started_).count();
  const auto done = static_cast<double>(progress.trained_samples - samples_at_start_);
  const double speed = elapsed > 0.0 ? done / elapsed : 0.0;
  double seconds_left = samples_left(progress) / speed;
  if (training_.max_seconds > 0.0) {
    seconds_left = std::min(seconds_left, training_.max_seconds - elapsed);
  }
  const double share =
      static_cast<double>(progress.samples_in_epoch) / static_cast<double>(samples_);
  const std::string head = fmt::format("epoch {}/{}", progress.epoch, training_.epochs);
  std::vector<std::string> tail{fmt::format("{:3.0f}%", 100.0 * share),
                                fmt::format("loss {:.4f}", loss),
                                fmt::format("ETA {}", human_duration(seconds_left)),
                                fmt::format("{} samples/s", human_count(speed)),
                                human_bytes(session_.memory_plan().total_bytes())};
  if (const std::optional<double> busy = session_.backend().utilization()) {
    tail.push_back(fmt::format("GPU {:.0f}%", 100.0 * *busy));
  }
  if (!terminal_) {
    print_line(fmt::format("{}  {}", head, fmt::join(tail, "  ")));
    return;
  }
  put(stderr, "\r\033[K" + with_bar(head, share, tail, line_width()));
  line_open_ = true;
}

void TrainingProgress::on_epoch(const Progress& progress, double train_loss, double train_accuracy,
                                const std::optional<SplitResult>& validation) {
  if (mode_ == ProgressMode::none) return;
  std::vector<std::string> parts{
      fmt::format("epoch {}/{}", progress.epoch, training_.epochs),
      fmt::format("loss {:.4f} accuracy {:.4f}", train_loss, train_accuracy)};
  if (validation) {
    parts.push_back(
        fmt::format("validation {:.4f}, {:.4f}", validation->loss, validation->accuracy));
  }
  const double speed = static_cast<double>(progress.samples_in_epoch) /
                       std::max(1e-9, progress.epoch_training_seconds);
  parts.push_back(fmt::format("{:.2f} s", progress.epoch_training_seconds));
  parts.push_back(fmt::format("{} samples/s", human_count(speed)));
  print_line(join_fitting(parts, terminal_ ? line_width() : kUnlimited));
}

void TrainingProgress::on_note(const std::string& note) {
  if (mode_ != ProgressMode::none) print_line(note);
}

void TrainingProgress::clear_line() {
  if (!line_open_) return;
  put(stderr, "\r\033[K");
  line_open_ = false;
}

void TrainingProgress::print_line(const std::string& line) {
  clear_line();
  put(stderr, line + "\n");
}

}  // namespace batchwise::app
