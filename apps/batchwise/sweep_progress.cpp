#include "apps/batchwise/sweep_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>

namespace batchwise::app {
namespace {

std::string duration_text(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

SweepProgress::SweepProgress(const CommonOptions& options, const SweepPlan& plan,
                             std::int64_t devices, std::function<void()> ended)
    : options_(options),
      plan_(plan),
      devices_(std::max<std::int64_t>(1, devices)),
      ended_(std::move(ended)),
      terminal_(options.progress == ProgressMode::automatic && isatty(STDERR_FILENO) != 0),
      runs_(static_cast<std::int64_t>(plan.cells.size() * plan.seeds.size())) {}

void SweepProgress::on_begin(const Run& run, bool resumed) {
  if (resumed) {
    print_line(fmt::format("continuing {}, seed {}", run.cell->name, run.seed));
  }
}

void SweepProgress::on_progress(const Run& run, const Progress& progress) {
  if (!terminal_ || Clock::now() - drawn_ < std::chrono::milliseconds(200)) return;
  drawn_ = Clock::now();
  const std::int64_t epochs = run.cell->experiment.training.epochs;
  draw(fmt::format("run {}/{}: {}, seed {}: epoch {}/{}, step {}{}", done_ + 1, runs_,
                   run.cell->name, run.seed, std::min(progress.epoch, epochs), epochs,
                   progress.step, time_left()));
}

void SweepProgress::on_note(const Run& run, const std::string& note) {
  print_line(fmt::format("{}, seed {}: {}", run.cell->name, run.seed, note));
}

void SweepProgress::on_end(const Run& run, const SweepRun& result, double seconds) {
  ++done_;
  note_best(run, result);
  if (seconds > 0.0) {
    ++timed_;
    seconds_ += seconds;
    print_line(fmt::format("{}/{} {}, seed {}: {}, {:.1f} s{}{}", done_, runs_, run.cell->name,
                           run.seed, result_text(result), seconds, time_left(),
                           best_text_.empty() ? "" : "; best so far " + best_text_));
  }
  ended_();
}

std::string SweepProgress::time_left() const {
  if (timed_ == 0 || done_ == runs_) return "";
  const double each = seconds_ / static_cast<double>(timed_) / static_cast<double>(devices_);
  return fmt::format("; about {} left", duration_text(each * static_cast<double>(runs_ - done_)));
}

std::string SweepProgress::result_text(const SweepRun& result) const {
  if (result.state == RunState::diverged) return "diverged";
  if (!plan_.until.empty()) {
    return result.reached ? fmt::format("target after {} steps", result.steps)
                          : fmt::format("target not reached in {} steps", result.steps);
  }
  if (std::isfinite(result.test_accuracy)) {
    return fmt::format("test accuracy {:.4f}", result.test_accuracy);
  }
  if (std::isfinite(result.validation_accuracy)) {
    return fmt::format("validation accuracy {:.4f}", result.validation_accuracy);
  }
  return fmt::format("train loss {:.4f}", result.train_loss);
}

void SweepProgress::note_best(const Run& run, const SweepRun& result) {
  if (result.state != RunState::done) return;
  double merit = -result.train_loss;
  if (!plan_.until.empty()) {
    if (!result.reached) return;
    merit = -static_cast<double>(result.steps) *
            static_cast<double>(run.cell->experiment.training.batch_size);
  } else if (std::isfinite(result.validation_accuracy)) {
    merit = result.validation_accuracy;
  } else if (std::isfinite(result.test_accuracy)) {
    merit = result.test_accuracy;
  }
  if (!best_text_.empty() && !(merit > best_)) return;
  best_ = merit;
  const std::string what =
      plan_.until.empty()
          ? (std::isfinite(result.validation_accuracy)
                 ? fmt::format("validation accuracy {:.4f}", result.validation_accuracy)
                 : result_text(result))
          : fmt::format("{:.2f} epochs to the target", result.epochs);
  best_text_ = fmt::format("{} ({})", run.cell->name, what);
}

void SweepProgress::draw(const std::string& line) {
  put(stderr, "\r\x1b[K" + line);
  line_open_ = true;
}

void SweepProgress::clear_line() {
  if (line_open_) put(stderr, "\r\x1b[K");
  line_open_ = false;
}

void SweepProgress::print_line(const std::string& line) {
  clear_line();
  say(options_, line);
}

}  // namespace batchwise::app
