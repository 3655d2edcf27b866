// Progress of a training run on standard error: a bar that redraws itself on a terminal, plain
// lines elsewhere.
#pragma once

#include <chrono>
#include <string>

#include "apps/batchwise/command.h"
#include "engine/train/trainer.h"

namespace batchwise::app {

class TrainingProgress final : public TrainingObserver {
 public:
  /// The session must outlive this; its batch size may change.
  TrainingProgress(const CommonOptions& options, const Session& session);
  ~TrainingProgress() override;

  void on_step(const Progress& progress, double loss) override;
  void on_epoch(const Progress& progress, double train_loss, double train_accuracy,
                const std::optional<SplitResult>& validation) override;
  void on_note(const std::string& note) override;

 private:
  using Clock = std::chrono::steady_clock;

  void draw(const Progress& progress, double loss);
  [[nodiscard]] double samples_left(const Progress& progress) const;
  void clear_line();
  void print_line(const std::string& line);

  ProgressMode mode_;
  bool terminal_;
  const Session& session_;
  std::int64_t samples_;
  TrainingConfig training_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point drawn_ = started_;
  std::int64_t samples_at_start_ = -1;
  bool line_open_ = false;
};

}  // namespace batchwise::app
