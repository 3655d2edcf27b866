#include "engine/train/batch_schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"

namespace batchwise {
namespace {

/// How many of these are behind a run of `epochs_done` whole epochs.
std::int64_t epochs_passed(const std::vector<std::int64_t>& at, std::int64_t epochs_done) {
  return std::upper_bound(at.begin(), at.end(), epochs_done) - at.begin();
}

/// How often the batch grows at most. Nothing follows the last epoch, so it does not count.
std::int64_t most_changes(const BatchScheduleConfig& schedule, std::int64_t epochs) {
  const std::int64_t chances = std::max<std::int64_t>(0, epochs - 1);
  switch (schedule.kind) {
    case BatchScheduleKind::constant: return 0;
    case BatchScheduleKind::step: return epochs_passed(schedule.at, chances);
    case BatchScheduleKind::plateau: return chances / schedule.patience;
  }
  return 0;
}

}  // namespace

std::vector<std::int64_t> planned_batch_sizes(const Experiment& experiment,
                                              std::int64_t training_samples) {
  const BatchScheduleConfig& schedule = experiment.batch_schedule;
  std::vector<std::int64_t> sizes{experiment.training.batch_size};
  if (schedule.kind == BatchScheduleKind::constant) return sizes;
  if (schedule.max_batch_size > 0 && schedule.max_batch_size < sizes.front()) {
    throw InputError(fmt::format(
        "batch_schedule.max_batch_size = {} is below training.batch_size = {}, where the batch "
        "begins; expected at least that, or 0 for the training set",
        schedule.max_batch_size, sizes.front()));
  }
  const std::int64_t largest = schedule.max_batch_size > 0
                                   ? std::min(schedule.max_batch_size, training_samples)
                                   : training_samples;
  std::int64_t changes = most_changes(schedule, experiment.training.epochs);
  for (; changes > 0 && sizes.back() < largest; --changes) {
    sizes.push_back(std::min(sizes.back() * schedule.factor, largest));
  }
  return sizes;
}

void Plateau::note(double loss, double min_delta) {
  if (loss < best_loss - min_delta) {
    best_loss = loss;
    epochs_since_best = 0;
  } else {
    ++epochs_since_best;
  }
}

std::int64_t scheduled_batch_size(const BatchScheduleConfig& schedule,
                                  std::span<const std::int64_t> sizes, std::int64_t present,
                                  std::int64_t epochs_done, const Plateau& plateau) {
  switch (schedule.kind) {
    case BatchScheduleKind::constant: return present;
    case BatchScheduleKind::step: {
      const auto last = static_cast<std::int64_t>(sizes.size()) - 1;
      return sizes[static_cast<std::size_t>(
          std::min(epochs_passed(schedule.at, epochs_done), last))];
    }
    case BatchScheduleKind::plateau: {
      if (plateau.epochs_since_best < schedule.patience) return present;
      const auto larger = std::upper_bound(sizes.begin(), sizes.end(), present);
      return larger == sizes.end() ? present : *larger;
    }
  }
  return present;
}

}  // namespace batchwise
