// Progress of a sweep on standard error: runs done, time left, best so far.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "apps/batchwise/command.h"
#include "engine/sweep/sweep_runner.h"

namespace batchwise::app {

class SweepProgress final : public SweepObserver {
 public:
  /// `ended`: is called after each run, with how many have ended.
  SweepProgress(const CommonOptions& options, const SweepPlan& plan, std::int64_t devices,
                std::function<void()> ended);
  ~SweepProgress() override { clear_line(); }

  void on_begin(const Run& run, bool resumed) override;
  void on_progress(const Run& run, const Progress& progress) override;
  void on_note(const Run& run, const std::string& note) override;
  void on_end(const Run& run, const SweepRun& result, double seconds) override;

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::string time_left() const;
  [[nodiscard]] std::string result_text(const SweepRun& result) const;
  void note_best(const Run& run, const SweepRun& result);
  void draw(const std::string& line);
  void clear_line();
  void print_line(const std::string& line);

  const CommonOptions& options_;
  const SweepPlan& plan_;
  std::int64_t devices_;
  std::function<void()> ended_;
  bool terminal_;
  bool line_open_ = false;
  Clock::time_point drawn_{};
  std::int64_t runs_;
  std::int64_t done_ = 0;
  std::int64_t timed_ = 0;  ///< runs of this process
  double seconds_ = 0.0;    ///< that those took
  double best_ = 0.0;       ///< as the sweep judges; higher is better
  std::string best_text_;
};

}  // namespace batchwise::app
