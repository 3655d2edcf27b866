#include "engine/sweep/sweep_results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "engine/execute/backend.h"
#include "engine/sweep/comparisons.h"
#include "engine/sweep/sweep_runner.h"
#include "engine/train/learning_rate.h"
#include "engine/version.h"

namespace batchwise {
namespace {

std::int64_t cell_count(const std::vector<SweepRun>& runs) {
  return std::count_if(runs.begin(), runs.end(),
                       [](const SweepRun& run) { return run.state == RunState::done; });
}

/// Where one run has none the others count; an infinite one makes the mean infinite.
template <class Figure>
Estimate mean_over(const std::vector<SweepRun>& runs, Figure&& figure) {
  std::vector<double> values;
  for (const SweepRun& run : runs) {
    if (run.state != RunState::done) continue;
    const double value = figure(run);
    if (std::isinf(value)) {
      return {.value = value, .low = -INFINITY, .high = INFINITY, .count = cell_count(runs)};
    }
    if (!std::isnan(value)) values.push_back(value);
  }
  return mean_estimate(values);
}

Estimate mean_over(const std::vector<SweepRun>& runs, double SweepRun::*member) {
  return mean_over(runs, [member](const SweepRun& run) { return run.*member; });
}

/// Of the runs that reached the target.
template <class Figure>
Estimate mean_to_target(const std::vector<SweepRun>& runs, Figure&& figure) {
  return mean_over(runs, [&](const SweepRun& run) { return run.reached ? figure(run) : kUnknown; });
}

/// In the full space, at the first epsilon.
double sharpness_of(const SweepRun& run) {
  if (!run.measured) return kUnknown;
  for (const SharpnessResult& result : run.measured->sharpness) {
    if (result.dimensions == 0) return result.sharpness;
  }
  return kUnknown;
}

double noise_scale_of(const SweepRun& run) {
  return run.measured && run.measured->noise_scale ? run.measured->noise_scale->value : kUnknown;
}

void summarize(SweepCell& cell) {
  const std::vector<SweepRun>& runs = cell.runs;
  for (const SweepRun& run : runs) {
    cell.done += run.state == RunState::done ? 1 : 0;
    cell.diverged += run.state == RunState::diverged ? 1 : 0;
    cell.reached += run.reached ? 1 : 0;
  }
  cell.train_loss = mean_over(runs, &SweepRun::train_loss);
  cell.validation_loss = mean_over(runs, &SweepRun::validation_loss);
  cell.validation_accuracy = mean_over(runs, &SweepRun::validation_accuracy);
  cell.test_loss = mean_over(runs, &SweepRun::test_loss);
  cell.test_accuracy = mean_over(runs, &SweepRun::test_accuracy);
  cell.accuracy_gap = mean_over(runs, &SweepRun::accuracy_gap);
  cell.steps_to_target =
      mean_to_target(runs, [](const SweepRun& run) { return static_cast<double>(run.steps); });
  cell.epochs_to_target = mean_to_target(runs, [](const SweepRun& run) { return run.epochs; });
  cell.seconds_to_target =
      mean_to_target(runs, [](const SweepRun& run) { return run.training_seconds; });
  cell.training_seconds = mean_over(runs, &SweepRun::training_seconds);
  cell.samples_per_second = mean_over(runs, &SweepRun::samples_per_second);
  cell.noise_scale = mean_over(runs, noise_scale_of);
  cell.sharpness = mean_over(runs, sharpness_of);
}

std::string_view rule_name(LearningRateScaling scaling) {
  return scaling == LearningRateScaling::linear ? "linear"
         : scaling == LearningRateScaling::sqrt ? "sqrt"
                                                : "none";
}

std::string_view optimizer_name(OptimizerName name) {
  constexpr std::string_view kNames[] = {"sgd", "adam", "adamw", "rmsprop"};
  return kNames[static_cast<std::size_t>(name)];
}

SweepCell cell_of(const PlannedCell& planned) {
  const Experiment& experiment = planned.experiment;
  SweepCell cell;
  cell.index = planned.index;
  cell.name = planned.name;
  cell.settings = planned.settings;
  cell.group = planned.group;
  cell.batch_size = experiment.training.batch_size;
  cell.optimizer = optimizer_name(experiment.optimizer.name);
  cell.rule = rule_name(experiment.optimizer.learning_rate_scaling);
  cell.learning_rate = LearningRate(experiment, 1).peak();
  return cell;
}

double or_least(double value) { return std::isnan(value) ? -INFINITY : value; }

/// Higher is better, the first entry first: runs that did not fail, steps to the target, accuracy,
/// loss.
std::array<double, 4> merit(const SweepCell& cell, bool has_target) {
  const auto ended = static_cast<double>(std::max<std::int64_t>(1, cell.done + cell.diverged));
  const Estimate& accuracy =
      std::isnan(cell.validation_accuracy.value) ? cell.test_accuracy : cell.validation_accuracy;
  return {static_cast<double>(has_target ? cell.reached : cell.done) / ended,
          has_target ? or_least(-cell.steps_to_target.value) : 0.0, or_least(accuracy.value),
          or_least(-cell.train_loss.value)};
}

void choose_best(SweepResults& results) {
  std::map<std::pair<std::int64_t, std::string>, int> best;
  for (const SweepCell& cell : results.cells) {
    if (cell.done + cell.diverged == 0) continue;
    const auto [found, first] = best.try_emplace({cell.batch_size, cell.group}, cell.index);
    if (first) continue;
    const SweepCell& so_far = results.cells[static_cast<std::size_t>(found->second - 1)];
    if (merit(cell, !results.until.empty()) > merit(so_far, !results.until.empty())) {
      found->second = cell.index;
    }
  }
  for (const auto& [key, index] : best) results.best_cells.push_back(index);
}

/// Where the best learning rate is the lowest or highest tried: the true best may lie beyond.
void note_edges(SweepResults& results) {
  for (const int index : results.best_cells) {
    const SweepCell& best = results.cells[static_cast<std::size_t>(index - 1)];
    double lowest = best.learning_rate, highest = best.learning_rate;
    int tried = 0;
    for (const SweepCell& cell : results.cells) {
      if (cell.batch_size != best.batch_size || cell.group != best.group) continue;
      ++tried;
      lowest = std::min(lowest, cell.learning_rate);
      highest = std::max(highest, cell.learning_rate);
    }
    if (!results.until.empty() && best.reached == 0) continue;
    const bool edge = best.learning_rate == lowest || best.learning_rate == highest;
    if (tried < 3 || !edge || lowest == highest) continue;
    results.notes.push_back(
        fmt::format("{} is best at the {} learning rate tried ({:g}): a {} one may be better",
                    best.name, best.learning_rate == lowest ? "lowest" : "highest",
                    best.learning_rate, best.learning_rate == lowest ? "lower" : "higher"));
  }
}

void note_failures(SweepResults& results) {
  for (const SweepCell& cell : results.cells) {
    if (cell.diverged > 0 && !results.searched) {
      results.notes.push_back(fmt::format("{}: {} of {} runs diverged", cell.name, cell.diverged,
                                          cell.done + cell.diverged));
    }
  }
  for (const int index : results.best_cells) {
    const SweepCell& cell = results.cells[static_cast<std::size_t>(index - 1)];
    if (results.until.empty() || cell.reached == cell.done + cell.diverged) continue;
    results.notes.push_back(fmt::format("{}: {} of {} runs reached the target", cell.name,
                                        cell.reached, cell.done + cell.diverged));
  }
  const std::int64_t missing = results.runs_asked() - results.runs_done();
  if (missing > 0) {
    results.notes.push_back(
        fmt::format("{} of {} runs are not done yet", missing, results.runs_asked()));
  }
}

/// Those that runs were on; before the first run, the one that was planned for.
std::string devices_text(const SweepResults& results, const std::string& planned) {
  std::set<std::string> devices;
  for (const SweepCell& cell : results.cells) {
    for (const SweepRun& run : cell.runs) {
      if (!run.device.empty()) devices.insert(run.device);
    }
  }
  if (devices.empty()) return planned;
  return fmt::format("{}", fmt::join(devices, ", "));
}

}  // namespace

std::int64_t SweepResults::runs_done() const {
  std::int64_t runs = 0;
  for (const SweepCell& cell : cells) runs += cell.done + cell.diverged;
  return runs;
}

std::int64_t SweepResults::runs_asked() const {
  std::int64_t runs = 0;
  for (const SweepCell& cell : cells) runs += static_cast<std::int64_t>(cell.runs.size());
  return runs;
}

SweepResults collect_results(const SweepFolder& folder, const SweepPlan& plan) {
  SweepResults results;
  results.name = plan.name;
  results.compared_at = plan.compared_at;
  results.until = plan.until;
  results.resolution = plan.resolution;
  results.searched = !plan.searched_keys.empty();
  results.command = plan.command;
  results.version = version();
  results.seeds = plan.seeds;
  results.planned = plan.planned;
  results.memory_bytes = plan.memory_bytes;
  results.largest_batch_size = plan.largest_batch_size;
  results.training_samples = plan.training_samples;
  results.parameters = plan.parameters;
  results.hardware = plan.hardware;
  const Experiment& first = plan.cells.front().experiment;
  results.precision = "fp32";
  results.numerics = first.numerics == Numerics::fast ? "fast" : "invariant";
  for (const PlannedCell& planned : plan.cells) {
    SweepCell cell = cell_of(planned);
    for (const std::uint64_t seed : plan.seeds) {
      cell.runs.push_back(read_run(folder.run_folder(planned, seed), seed));
    }
    summarize(cell);
    results.cells.push_back(std::move(cell));
  }
  results.device = devices_text(results, plan.device);
  choose_best(results);
  note_edges(results);
  note_failures(results);
  results.comparisons = compare_cells(results);
  return results;
}

}  // namespace batchwise
