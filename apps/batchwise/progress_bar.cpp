#include "apps/batchwise/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace batchwise::app {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kPlainLine{10};

}  // namespace

std::string human_duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::lround(std::max(0.0, seconds)));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

TrainingProgress::TrainingProgress(const CommonOptions& options, const Session& session)
    : mode_(options.progress),
      terminal_(options.progress == ProgressMode::automatic && isatty(STDERR_FILENO) == 1),
      epochs_(session.experiment().training.epochs),
      samples_(session.training_samples()),
      max_steps_(session.experiment().training.max_steps),
      steps_per_epoch_(session.steps_per_epoch()),
      bytes_(session.memory_plan().total_bytes()) {}

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

void TrainingProgress::draw(const Progress& progress, double loss) {
  const double elapsed = std::chrono::duration<double>(Clock::now() - started_).count();
  const auto done = static_cast<double>(progress.trained_samples - samples_at_start_);
  const double speed = elapsed > 0.0 ? done / elapsed : 0.0;
  double left =
      static_cast<double>((epochs_ - progress.epoch + 1) * samples_ - progress.samples_in_epoch);
  if (max_steps_ > 0) {
    const double per_step = static_cast<double>(samples_) / static_cast<double>(steps_per_epoch_);
    left = std::min(left, static_cast<double>(max_steps_ - progress.step) * per_step);
  }
  const double share =
      static_cast<double>(progress.samples_in_epoch) / static_cast<double>(samples_);
  const std::string tail =
      fmt::format("{:3.0f}%  loss {:.4f}  {:.0f} samples/s  {}  ETA {}", 100.0 * share, loss, speed,
                  human_bytes(bytes_), speed > 0.0 ? human_duration(left / speed) : "-");
  const std::string head = fmt::format("epoch {}/{}", progress.epoch, epochs_);
  if (!terminal_) {
    print_line(head + "  " + tail);
    return;
  }
  constexpr int kWidth = 24;
  const int filled = std::clamp(static_cast<int>(share * kWidth), 0, kWidth);
  fmt::print(stderr, "\r\033[K{}  [{}{}]  {}", head, std::string(filled, '='),
             std::string(kWidth - filled, ' '), tail);
  std::fflush(stderr);
  line_open_ = true;
}

void TrainingProgress::on_epoch(const Progress& progress, double train_loss, double train_accuracy,
                                const std::optional<SplitResult>& validation) {
  if (mode_ == ProgressMode::none) return;
  std::string line = fmt::format("epoch {}/{}  train loss {:.4f}  accuracy {:.4f}", progress.epoch,
                                 epochs_, train_loss, train_accuracy);
  if (validation) {
    line += fmt::format("  validation loss {:.4f}  accuracy {:.4f}", validation->loss,
                        validation->accuracy);
  }
  line += fmt::format("  {:.2f} s  {:.0f} samples/s", progress.epoch_training_seconds,
                      static_cast<double>(progress.samples_in_epoch) /
                          std::max(1e-9, progress.epoch_training_seconds));
  print_line(line);
}

void TrainingProgress::on_note(const std::string& note) {
  if (mode_ != ProgressMode::none) print_line(note);
}

void TrainingProgress::clear_line() {
  if (!line_open_) return;
  std::fputs("\r\033[K", stderr);
  line_open_ = false;
}

void TrainingProgress::print_line(const std::string& line) {
  clear_line();
  std::fputs((line + "\n").c_str(), stderr);
}

}  // namespace batchwise::app
