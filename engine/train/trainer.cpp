#include "engine/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "engine/data/shuffle.h"
#include "engine/files/durable_file.h"
#include "engine/report/html.h"
#include "engine/report/metrics.h"
#include "engine/report/run_report.h"

namespace batchwise {
namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string resume_hint(const RunFolder* folder) {
  if (folder == nullptr) return "";
  return fmt::format("; train --resume --out {} continues", folder->path().string());
}

}  // namespace

Trainer::Trainer(Session& session, const RunFolder* folder, TrainerOptions options)
    : session_(session),
      folder_(folder),
      options_(std::move(options)),
      experiment_(session.experiment()),
      batch_sizes_(planned_batch_sizes(experiment_, session.training_samples())),
      learning_rate_(experiment_, session.steps_per_epoch()),
      until_(parse_until(experiment_.training.until)),
      order_(static_cast<std::size_t>(session.training_samples())),
      started_(now_seconds() - options_.seconds_spent),
      checkpointed_(now_seconds()) {
  summary_.batch_size = experiment_.training.batch_size;
  summary_.micro_batch_size = session.micro_batch_size();
  summary_.learning_rate = learning_rate_.peak();
  if (experiment_.batch_schedule.kind == BatchScheduleKind::plateau &&
      session.validation_samples() == 0) {
    throw InputError(
        "batch_schedule watches the validation loss, but there are no validation samples; set "
        "data.validation_split");
  }
  if (folder_ != nullptr) checkpoints_.emplace(folder_->checkpoints());
}

TrainingSummary Trainer::run() {
  refuse_to_forget();
  if (folder_ != nullptr) {
    metrics_.emplace(folder_->metrics_file(), progress_.metrics_bytes);
    if (progress_.step == 0) save_checkpoint();
  }
  while (progress_.epoch <= experiment_.training.epochs && !progress_.stopped_early &&
         !progress_.reached_until) {
    if (progress_.samples_in_epoch == 0) {
      if (const Stop stop = limit_reached(); stop != Stop::none) return finish(stop);
      follow_batch_schedule();
    }
    begin_epoch();
    const Stop stop = train_epoch();
    if (stop != Stop::none) return finish(stop);
    end_epoch();
  }
  return finish(progress_.reached_until   ? Stop::until
                : progress_.stopped_early ? Stop::early_stopping
                                          : Stop::none);
}

/// Training anew into a folder with checkpoints would delete them.
void Trainer::refuse_to_forget() const {
  if (!checkpoints_ || restored_) return;
  const std::optional<CheckpointStore::Loaded> newest = checkpoints_->load_newest();
  if (newest && newest->step > 0) {
    throw std::logic_error("the run has checkpoints: call restore() before run()");
  }
}

void Trainer::follow_batch_schedule() {
  const std::int64_t before = experiment_.training.batch_size;
  const std::int64_t after = scheduled_batch_size(experiment_.batch_schedule, batch_sizes_, before,
                                                  progress_.epoch - 1, progress_.plateau);
  if (after != before) change_batch_size(after);
}

/// Takes the session to the batch size that progress_ has come to.
void Trainer::use_batch_size() {
  session_.change_batch_size(progress_.batch_size);
  learning_rate_ = LearningRate(experiment_, session_.steps_per_epoch(), progress_.batch_start);
  const std::vector<std::string> notes = session_.take_notes();
  if (options_.observer == nullptr) return;
  for (const std::string& note : notes) options_.observer->on_note(note);
}

/// Between two epochs, so the last checkpoint holds the state of this moment.
void Trainer::change_batch_size(std::int64_t batch_size) {
  const std::int64_t before = experiment_.training.batch_size;
  progress_.batch_size = batch_size;
  progress_.batch_start = {.steps = progress_.step, .epochs = progress_.epoch - 1};
  progress_.plateau.epochs_since_best = 0;
  try {
    use_batch_size();
  } catch (const InputError& error) {
    throw RunError(fmt::format(
        "epoch {}: the batch cannot grow from {} to {}: {}; the weights are those of step {}, "
        "which the last checkpoint holds. Free memory, or choose another --device{}",
        progress_.epoch, before, batch_size, error.what(), progress_.step, resume_hint(folder_)));
  }
  tell_batch_size(before);
}

void Trainer::tell_batch_size(std::int64_t before) {
  const BatchSizeMetrics metrics{.epoch = progress_.epoch,
                                 .step = progress_.step,
                                 .batch_size = experiment_.training.batch_size,
                                 .micro_batch_size = session_.micro_batch_size(),
                                 .learning_rate = learning_rate_.at(progress_.step + 1),
                                 .planned_bytes = session_.memory_plan().total_bytes()};
  if (metrics_) log(batch_size_metrics_line(metrics));
  if (options_.observer == nullptr) return;
  options_.observer->on_note(
      fmt::format("epoch {}: batch {} -> {} in passes of {}, learning rate {:g}, planned {}",
                  metrics.epoch, before, metrics.batch_size, metrics.micro_batch_size,
                  metrics.learning_rate, bytes_text(metrics.planned_bytes)));
}

void Trainer::begin_epoch() {
  if (experiment_.data.shuffle) {
    epoch_order(experiment_.seed, progress_.epoch, order_);
  } else {
    std::iota(order_.begin(), order_.end(), 0);
  }
}

std::int64_t Trainer::next_batch_size() const {
  const std::int64_t left = session_.training_samples() - progress_.samples_in_epoch;
  const std::int64_t batch = experiment_.training.batch_size;
  if (left >= batch) return batch;
  return experiment_.data.drop_last ? 0 : left;
}

Trainer::Stop Trainer::train_epoch() {
  for (std::int64_t batch = next_batch_size(); batch > 0; batch = next_batch_size()) {
    if (const Stop stop = limit_reached(); stop != Stop::none) return stop;
    update(batch);
    const std::int64_t every = experiment_.training.validate_every_steps;
    if (every > 0 && progress_.step % every == 0) {
      validate(false);
      if (progress_.reached_until) {
        // At the end of an epoch it is a whole one.
        return next_batch_size() > 0 ? Stop::until : Stop::none;
      }
      if (progress_.stopped_early) return Stop::early_stopping;
    }
    const int signal = options_.interrupted ? options_.interrupted() : 0;
    if (signal != 0) {
      save_checkpoint();
      throw Interrupted(signal, fmt::format("stopped by signal {} after step {}{}", signal,
                                            progress_.step, resume_hint(folder_)));
    }
    const double between = experiment_.training.checkpoint_seconds;
    if (between > 0.0 && now_seconds() - checkpointed_ >= between) save_checkpoint();
  }
  return Stop::none;
}

Trainer::Stop Trainer::limit_reached() const {
  const TrainingConfig& training = experiment_.training;
  if (training.max_steps > 0 && progress_.step >= training.max_steps) return Stop::max_steps;
  if (training.max_seconds > 0.0 && seconds_now() >= training.max_seconds) {
    return Stop::max_seconds;
  }
  return Stop::none;
}

void Trainer::update(std::int64_t batch) {
  const auto ids = std::span<const std::int32_t>(order_).subspan(
      static_cast<std::size_t>(progress_.samples_in_epoch), static_cast<std::size_t>(batch));
  const std::int64_t step = progress_.step + 1;
  const double rate = learning_rate_.at(step);
  const double began = now_seconds();
  const bool measured = measures_gradients(step, batch);
  GradientNorms norms;
  const UpdateStatus status = session_.update(ids, step, rate, measured ? &norms : nullptr);
  const double took = now_seconds() - began;
  if (status.finite == 0.0) handle_nonfinite(ids);

  progress_.step = step;
  progress_.samples_in_epoch += batch;
  progress_.trained_samples += batch;
  progress_.epoch_loss_sum += status.loss_sum;
  progress_.epoch_correct += status.correct;
  progress_.epoch_training_seconds += took;
  progress_.training_seconds += took;
  const double loss = status.loss_sum / static_cast<double>(batch);
  if (metrics_) {
    log(step_metrics_line({.step = step,
                           .epoch = progress_.epoch,
                           .samples = batch,
                           .loss = loss,
                           .learning_rate = rate}));
  }
  if (options_.observer != nullptr) options_.observer->on_step(progress_, loss);
  if (!measured || status.finite == 0.0) return;
  if (metrics_) log(noise_metrics_line({.epoch = progress_.epoch, .norms = norms}));
  if (options_.observer != nullptr) options_.observer->on_gradient_norms(norms);
}

/// A single sample says nothing of how samples differ.
bool Trainer::measures_gradients(std::int64_t step, std::int64_t batch) const {
  const std::int64_t every = experiment_.measure.noise_scale_every_steps;
  return every > 0 && step % every == 0 && batch >= 2 && session_.measures_gradients();
}

void Trainer::handle_nonfinite(std::span<const std::int32_t> ids) {
  const std::int64_t step = progress_.step + 1;
  const std::string found = session_.describe_nonfinite(ids);
  if (experiment_.training.on_nonfinite == OnNonfinite::skip) {
    ++progress_.skipped_updates;
    if (options_.observer != nullptr) {
      options_.observer->on_note(fmt::format("step {} skipped: {} not finite", step, found));
    }
    return;
  }
  // The weights are those after the last good update; keep them.
  if (metrics_) save_checkpoint();
  throw Diverged(fmt::format(
      "step {}, epoch {}: not finite: {}; the weights are those of step {}, which the last "
      "checkpoint holds. A lower learning rate, clipping (optimizer.clip_global_norm) or clean "
      "data "
      "may help; --on-nonfinite skip leaves such updates out",
      step, progress_.epoch, found, progress_.step));
}

/// Makes validation_ that of the present weights.
void Trainer::measure_validation() {
  if (measured_step_ == progress_.step) return;
  validation_ = session_.evaluate_validation();
  measured_step_ = progress_.step;
}

/// Counts for early stopping once a step, also when the run was resumed after it had counted.
void Trainer::validate(bool end_of_epoch) {
  if (session_.validation_samples() == 0) return;
  measure_validation();
  if (progress_.validated_step == progress_.step) return;
  progress_.validated_step = progress_.step;
  if (metrics_ && !end_of_epoch) {
    log(validation_metrics_line(progress_, *validation_));
  }
  if (until_ && until_->of_validation()) {
    const bool accuracy = until_->metric == Until::Metric::validation_accuracy;
    progress_.reached_until =
        until_->reached_by(accuracy ? validation_->accuracy : validation_->loss);
  }
  const EarlyStoppingConfig& config = experiment_.training.early_stopping;
  if (config.patience == 0) return;
  if (progress_.early_stopping.note(validation_->loss, progress_.epoch, progress_.step, config)) {
    best_weights_ = download_bytes(session_.weights());
  }
  progress_.stopped_early = progress_.early_stopping.should_stop(config);
}

void Trainer::end_epoch() {
  validate(true);
  if (experiment_.batch_schedule.kind == BatchScheduleKind::plateau) {
    progress_.plateau.note(validation_->loss, experiment_.batch_schedule.min_delta);
  }
  write_epoch_metrics();
  if (until_ && !until_->of_validation()) {
    const bool accuracy = until_->metric == Until::Metric::train_accuracy;
    progress_.reached_until =
        until_->reached_by(accuracy ? progress_.train_accuracy : progress_.train_loss);
  }
  progress_.epoch += 1;
  progress_.samples_in_epoch = 0;
  progress_.epoch_loss_sum = 0.0;
  progress_.epoch_correct = 0.0;
  progress_.epoch_training_seconds = 0.0;
  save_checkpoint();
}

void Trainer::write_epoch_metrics() {
  const auto samples = static_cast<double>(progress_.samples_in_epoch);
  progress_.train_loss = progress_.epoch_loss_sum / samples;
  progress_.train_accuracy = progress_.epoch_correct / samples;
  if (metrics_) {
    const Backend& backend = session_.backend();
    log(epoch_metrics_line(
        progress_, progress_.train_loss, progress_.train_accuracy, validation_,
        {.memory_bytes = backend.used_bytes(), .utilization = backend.utilization()}));
  }
  if (options_.observer != nullptr) {
    options_.observer->on_epoch(progress_, progress_.train_loss, progress_.train_accuracy,
                                validation_);
  }
}

TrainingSummary Trainer::finish(Stop stop) {
  if (progress_.samples_in_epoch > 0) {
    // A limit cut the epoch short: resuming continues from here, so the checkpoint comes before
    // the epoch's line, which resuming cuts off again.
    save_checkpoint();
    validate(true);
    write_epoch_metrics();
  }
  // At a target the weights are kept that reached it.
  if (!best_weights_.empty() && stop != Stop::until) {
    upload_bytes(session_.weights(), best_weights_);
    measured_step_ = -1;
  }
  measure_validation();
  TrainingSummary summary = summary_;
  summary.test = session_.evaluate_test();
  if (summary.test) summary.test_classes = session_.classify_test().classes;
  summary.validation = validation_;
  summary.stopped_by = stop == Stop::max_steps        ? "max_steps"
                       : stop == Stop::max_seconds    ? "max_seconds"
                       : stop == Stop::early_stopping ? "early_stopping"
                       : stop == Stop::until          ? "until"
                                                      : "epochs";
  summary.weights_sha256 = session_.weights_sha256();
  summary.planned_bytes = session_.memory_plan().total_bytes();
  summary.peak_bytes = session_.peak_bytes();
  progress_.seconds = seconds_now();
  summary.progress = progress_;
  if (folder_ != nullptr) {
    flush_metrics();
    metrics_->flush_to_disk();
    const Dimensions& input = session_.graph().input_shape();
    folder_->write_weights({.tensors = as_f32(download_tensors(session_.weights())),
                            .normalization = session_.normalization(),
                            .input_shape = {input.begin(), input.end()}});
    const std::string json = to_json(summary, session_);
    write_durably(folder_->summary_file(), json + "\n");
    write_durably(folder_->report_file(), run_report(folder_->metrics_file(), json));
  }
  return summary;
}

double Trainer::seconds_now() const { return seconds_before_ + now_seconds() - started_; }

void Trainer::log(std::string line) {
  constexpr std::size_t kFlushBytes = 16 * 1024;
  pending_metrics_ += line;
  if (pending_metrics_.size() >= kFlushBytes) {
    flush_metrics();
  } else {
    pending_metrics_ += '\n';
  }
}

void Trainer::flush_metrics() {
  if (!metrics_ || pending_metrics_.empty()) return;
  if (pending_metrics_.back() == '\n') pending_metrics_.pop_back();  // append() adds the last one
  metrics_->append(pending_metrics_);
  pending_metrics_.clear();
}

void Trainer::save_checkpoint() {
  if (!checkpoints_) return;
  flush_metrics();
  metrics_->flush_to_disk();
  progress_.metrics_bytes = metrics_->bytes();
  progress_.seconds = seconds_now();
  checkpoints_->save(progress_.step, make_checkpoint(session_, progress_, best_weights_));
  checkpointed_ = now_seconds();
}

}  // namespace batchwise
