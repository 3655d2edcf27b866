// The training loop: one batch after another from shuffled sample ids to a weight update, with
// validation, metrics, checkpoints and limits.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/files/line_log.h"
#include "engine/model/until.h"
#include "engine/train/checkpoint.h"
#include "engine/train/progress.h"
#include "engine/train/run_folder.h"
#include "engine/train/session.h"

namespace batchwise {

/// What a finished run reports; summary.json holds the same fields.
struct TrainingSummary {
  std::optional<SplitResult> test;
  std::vector<ClassMetrics> test_classes;  ///< precision, recall and F1; empty without test
  std::optional<SplitResult> validation;   ///< of the weights that are kept
  Progress progress;
  std::string stopped_by;  ///< epochs | max_steps | max_seconds | early_stopping | until
  std::string weights_sha256;
  std::int64_t planned_bytes = 0;
  std::int64_t peak_bytes = 0;
  // With batch_schedule these are of the start of the run; progress and the session have the last.
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;
  double learning_rate = 0.0;  ///< the peak
};

/// What the loop tells while it runs; every call is from the training thread.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  virtual void on_step(const Progress&, double /*loss*/) {}
  /// After the update's on_step.
  virtual void on_gradient_norms(const GradientNorms&) {}
  virtual void on_epoch(const Progress&, double /*train_loss*/, double /*train_accuracy*/,
                        const std::optional<SplitResult>& /*validation*/) {}
  virtual void on_note(const std::string&) {}
};

struct TrainerOptions {
  TrainingObserver* observer = nullptr;
  /// Asked after every update; a number other than 0 stops the run with a checkpoint.
  std::function<int()> interrupted;
  /// What this run took before the trainer was made (reading data, planning); counts as its
  /// seconds.
  double seconds_spent = 0.0;
};

/// Thrown when options.interrupted stopped the run; the checkpoint is written.
class Interrupted : public RunError {
 public:
  Interrupted(int number, const std::string& message) : RunError(message), signal(number) {}
  int signal;
};

/// Thrown when an update is not finite and on_nonfinite is "stop"; the checkpoint is written.
class Diverged : public RunError {
 public:
  using RunError::RunError;
};

class Trainer {
 public:
  /// folder: where the run is written, or null: nothing is. Both must outlive the trainer.
  Trainer(Session& session, const RunFolder* folder, TrainerOptions options = {});

  /// Continues from the newest whole checkpoint of the folder; from the start where there is none.
  void restore();
  /// Trains to the end and returns the summary. Throws Diverged when an update is not finite
  /// (on_nonfinite = "stop"), RunError when a file cannot be written or there is no memory for a
  /// larger batch, Interrupted when asked to stop.
  TrainingSummary run();

 private:
  enum class Stop { none, max_steps, max_seconds, early_stopping, until };

  void refuse_to_forget() const;
  void follow_batch_schedule();
  void change_batch_size(std::int64_t batch_size);
  void use_batch_size();
  void tell_batch_size(std::int64_t before);
  void begin_epoch();
  [[nodiscard]] Stop train_epoch();
  [[nodiscard]] std::int64_t next_batch_size() const;
  void update(std::int64_t batch);
  [[nodiscard]] bool measures_gradients(std::int64_t step, std::int64_t batch) const;
  void handle_nonfinite(std::span<const std::int32_t> ids);
  [[nodiscard]] Stop limit_reached() const;
  void measure_validation();
  void validate(bool end_of_epoch);
  void end_epoch();
  void write_epoch_metrics();
  TrainingSummary finish(Stop stop);

  void log(std::string line);
  void flush_metrics();
  void save_checkpoint();
  [[nodiscard]] double seconds_now() const;

  Session& session_;
  const RunFolder* folder_;
  TrainerOptions options_;
  const Experiment& experiment_;  ///< of the session: with the present batch size
  std::vector<std::int64_t> batch_sizes_;
  LearningRate learning_rate_;
  std::optional<Until> until_;
  TrainingSummary summary_;  ///< filled in as it becomes known
  Progress progress_;
  std::vector<std::int32_t> order_;
  std::optional<SplitResult> validation_;  ///< of the weights after step measured_step_
  std::int64_t measured_step_ = -1;
  std::vector<std::byte> best_weights_;  ///< the parameter arena, with early stopping
  std::optional<LineLog> metrics_;
  std::string pending_metrics_;
  std::optional<CheckpointStore> checkpoints_;
  bool restored_ = false;
  double seconds_before_ = 0.0;  ///< of earlier processes of this run
  double started_ = 0.0;
  double checkpointed_ = 0.0;
};

/// Everything that resuming the run exactly from here needs. best_weights: bytes of the parameter
/// arena, or empty.
[[nodiscard]] Checkpoint make_checkpoint(const Session& session, const Progress& progress,
                                         std::span<const std::byte> best_weights = {});

/// One JSON object: what summary.json holds.
[[nodiscard]] std::string to_json(const TrainingSummary& summary, const Session& session);

/// Which of the levels of docs/numerics.md a run with these settings promises, for summaries.
[[nodiscard]] std::vector<int> numerics_levels(const Experiment& experiment);

}  // namespace batchwise
