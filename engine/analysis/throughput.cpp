#include "engine/analysis/throughput.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include "engine/data/shuffle.h"
#include "engine/error.h"
#include "engine/stopwatch.h"
#include "engine/train/trainer.h"

namespace batchwise {
namespace {

/// Updates are timed together until they take this long: several turns of a scheduler that shares
/// the machine out, so that a repetition does not depend on whose turn it falls in.
constexpr double kTimedSeconds = 0.1;
constexpr std::int64_t kMostUpdates = 1000;
constexpr int kLeastRepetitions = 3;
/// Repetitions that there shall be time for; where there is little, each is shorter.
constexpr double kUsualRepetitions = 10.0;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kLearningRate = 0.0;  // weights stay as they are

class ThroughputMeter {
 public:
  ThroughputMeter(const Experiment& experiment, const Dataset& dataset,
                  std::int64_t training_samples, const ThroughputQuestion& question)
      : experiment_(experiment),
        dataset_(dataset),
        question_(question),
        order_(static_cast<std::size_t>(training_samples)) {
    experiment_.measure.noise_scale_every_steps = 0;
    epoch_order(experiment.seed, 1, order_);
    for (const std::int64_t size : question.batch_sizes) {
      rows_.push_back({.row = {.batch_size = size}, .updates = 1});
    }
  }

  std::vector<MeasuredBatch> measure() {
    first_round();
    for (bool up = false; round(up); up = !up) {
    }
    std::vector<MeasuredBatch> batches;
    for (Row& each : rows_) batches.push_back(std::move(each.row));
    return batches;
  }

 private:
  struct Row {
    MeasuredBatch row;
    std::int64_t updates = 1;  ///< timed together
    int repetitions = 0;
    double seconds = 0.0;  ///< that these took
  };

  [[nodiscard]] double share() const {
    return question_.seconds / static_cast<double>(rows_.size());
  }

  /// Each size has the same share of the time, and no repetition begins that there is no time for.
  [[nodiscard]] bool wants_more(const Row& row) const {
    if (!row.row.refused.empty()) return false;
    const double expected = row.seconds / row.repetitions;
    if (stopwatch_.seconds() + expected > question_.seconds) return false;
    return row.repetitions < kLeastRepetitions || row.seconds + expected <= share();
  }

  /// Whether any size was repeated. Those that are not have no number in this round.
  bool round(bool up) {
    bool any = false;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      Row& row = rows_[up ? i : rows_.size() - 1 - i];
      if (wants_more(row) && start(row.row)) {
        const Stopwatch taken;
        update(row.row.batch_size);
        note(row, timed(row), taken.seconds());
        any = true;
      } else if (row.row.refused.empty()) {
        row.row.repetitions.push_back(kNone);
      }
    }
    return any;
  }

  static void note(Row& row, double seconds_per_update, double taken) {
    row.row.repetitions.push_back(seconds_per_update);
    row.seconds += taken;
    ++row.repetitions;
  }

  /// From small to large, as long as every size can be repeated.
  void first_round() {
    const Row* before = nullptr;
    double sum = 0.0;  // seconds of a repetition of all so far
    for (Row& each : rows_) {
      if (each.row.batch_size > static_cast<std::int64_t>(order_.size())) {
        each.row.refused = fmt::format("there are {} training samples", order_.size());
        continue;
      }
      if (before != nullptr) {
        const double factor =
            static_cast<double>(each.row.batch_size) / static_cast<double>(before->row.batch_size);
        // One update to warm up, one that counts.
        const double expected =
            std::max(before->seconds, 2.0 * factor * before->row.repetitions[0]);
        const double needed = (sum + expected) * (kLeastRepetitions - 1) + expected;
        if (stopwatch_.seconds() + needed > question_.seconds) {
          each.row.refused = "there was no time";
          continue;
        }
      }
      if (!start(each.row)) continue;
      update(each.row.batch_size);
      const Stopwatch taken;
      const double seconds = update(each.row.batch_size);
      const double timed_seconds = std::min(kTimedSeconds, share() / kUsualRepetitions);
      each.updates = std::clamp(static_cast<std::int64_t>(timed_seconds / seconds), std::int64_t{1},
                                kMostUpdates);
      note(each, each.updates > 1 ? timed(each) : seconds, taken.seconds());
      sum += taken.seconds();
      before = &each;
    }
  }

  double timed(const Row& row) {
    double seconds = 0.0;
    for (std::int64_t i = 0; i < row.updates; ++i) seconds += update(row.row.batch_size);
    return seconds / static_cast<double>(row.updates);
  }

  /// Makes the session one of this batch size; says in the row why where it cannot be.
  bool start(MeasuredBatch& row) {
    try {
      if (!session_) {
        experiment_.training.batch_size = row.batch_size;
        session_ = std::make_unique<Session>(experiment_, dataset_);
      } else if (session_->experiment().training.batch_size != row.batch_size) {
        session_->change_batch_size(row.batch_size);
      }
    } catch (const OutOfMemory& error) {
      row.refused = error.what();
      row.repetitions.clear();
      session_.reset();  // no update can be made with what is left of it
      return false;
    } catch (const InputError& error) {
      row.refused = error.what();
      row.repetitions.clear();
      return false;
    }
    row.micro_batch_size = session_->micro_batch_size();
    row.planned_bytes = session_->memory_plan().total_bytes();
    return true;
  }

  /// Of the next samples in order; returns its seconds.
  double update(std::int64_t batch_size) {
    const auto batch = static_cast<std::size_t>(batch_size);
    if (next_ + batch > order_.size()) next_ = 0;
    const auto ids = std::span<const std::int32_t>(order_).subspan(next_, batch);
    next_ += batch;
    const Stopwatch taken;
    (void)session_->update(ids, ++step_, kLearningRate);
    const double seconds = taken.seconds();
    const int signal = question_.interrupted ? question_.interrupted() : 0;
    if (signal != 0) throw Interrupted(signal, fmt::format("stopped by signal {}", signal));
    return seconds;
  }

  Experiment experiment_;
  const Dataset& dataset_;
  const ThroughputQuestion& question_;
  std::vector<std::int32_t> order_;
  std::vector<Row> rows_;
  std::unique_ptr<Session> session_;
  std::size_t next_ = 0;
  std::int64_t step_ = 0;
  Stopwatch stopwatch_;
};

}  // namespace

std::vector<MeasuredBatch> measure_throughput(const Experiment& experiment, const Dataset& dataset,
                                              std::int64_t training_samples,
                                              const ThroughputQuestion& question) {
  return ThroughputMeter(experiment, dataset, training_samples, question).measure();
}

}  // namespace batchwise
