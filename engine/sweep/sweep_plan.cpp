#include "engine/sweep/sweep_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "engine/analysis/memory_profile.h"
#include "engine/error.h"
#include "engine/execute/backend.h"
#include "engine/model/experiment_file.h"
#include "engine/model/until.h"
#include "engine/train/learning_rate.h"
#include "engine/train/session.h"
#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMostCells = 100'000;
constexpr std::int64_t kUnlimitedEpochs = 2147483647;

constexpr const char* kBatchSizeKey = "training.batch_size";
constexpr const char* kLearningRateKey = "optimizer.learning_rate";

/// One axis of the grid: a heading, the key it sets and the values.
struct Axis {
  std::string heading;
  std::string key;
  std::vector<std::string> values;
};

std::string number_text(double value) { return fmt::format("{}", value); }

template <class Range, class Text>
std::vector<std::string> texts_of(const Range& values, Text&& text) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(text(value));
  return texts;
}

std::vector<Axis> axes_of(const SweepRequest& request) {
  const auto same = [](const std::string& text) { return text; };
  std::vector<Axis> axes;
  const auto add = [&](const char* heading, const char* key, std::vector<std::string> values) {
    if (!values.empty()) axes.push_back({heading, key, std::move(values)});
  };
  add("batch", kBatchSizeKey,
      texts_of(request.batch_sizes, [](std::int64_t size) { return std::to_string(size); }));
  add("optimizer", "optimizer.name", texts_of(request.optimizers, same));
  add("rule", "optimizer.learning_rate_scaling", texts_of(request.rules, same));
  add("warm-up", "schedule.warmup_epochs", texts_of(request.warmup_epochs, number_text));
  for (const SweptKey& key : request.keys) axes.push_back({key.key, key.key, key.values});
  add("rate", kLearningRateKey, texts_of(request.learning_rates, number_text));
  return axes;
}

void check_axes(const std::vector<Axis>& axes, const SweepRequest& request) {
  std::set<std::string> keys;
  double cells = static_cast<double>(std::max<std::int64_t>(1, request.trials));
  for (const Axis& axis : axes) {
    cells *= static_cast<double>(axis.values.size());
    if (!keys.insert(axis.key).second) {
      throw InputError(fmt::format("{} is swept twice; give all its values once", axis.key));
    }
    const std::set<std::string> distinct(axis.values.begin(), axis.values.end());
    if (distinct.size() < axis.values.size()) {
      throw InputError(
          fmt::format("{}: a value is given twice in {}", axis.key, fmt::join(axis.values, ", ")));
    }
    if (axis.values.empty()) throw InputError(fmt::format("{}: no values to sweep", axis.key));
  }
  for (const SearchedKey& searched : request.searched) {
    if (!keys.insert(searched.key).second) {
      throw InputError(fmt::format("{} is swept or searched twice", searched.key));
    }
    if (!(searched.low > 0.0) || !(searched.high > searched.low) || !std::isfinite(searched.high)) {
      throw InputError(
          fmt::format("{}: the range {}:{} cannot be searched; expected LOW:HIGH with "
                      "0 < LOW < HIGH",
                      searched.key, searched.low, searched.high));
    }
  }
  if (request.trials > 0 && request.searched.empty()) {
    throw InputError("a search needs a range, such as --range optimizer.learning_rate=1e-3:1");
  }
  if (request.trials == 0 && !request.searched.empty()) {
    throw InputError("--range needs --search N, the number of trials");
  }
  if (!(cells <= static_cast<double>(kMostCells))) {
    throw InputError(
        fmt::format("the sweep has {:.0f} cells; at most {} are taken", cells, kMostCells));
  }
}

/// Every combination of one value an axis, the last axis fastest.
std::vector<std::vector<std::size_t>> combinations(const std::vector<Axis>& axes) {
  std::vector<std::vector<std::size_t>> all{{}};
  for (const Axis& axis : axes) {
    std::vector<std::vector<std::size_t>> longer;
    for (const std::vector<std::size_t>& begun : all) {
      for (std::size_t value = 0; value < axis.values.size(); ++value) {
        longer.push_back(begun);
        longer.back().push_back(value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

/// Two significant digits more than a reader needs; the same value in the name and in the run.
double drawn_value(const SearchedKey& searched, double coordinate) {
  const double value = searched.low * std::pow(searched.high / searched.low, coordinate);
  return std::stod(fmt::format("{:.4g}", value));
}

std::string file_name_of(int index, std::string_view name) {
  std::string text = fmt::format("{:03}-", index);
  for (const char character : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(character)) != 0 ||
                       character == '.' || character == '_';
    if (plain) {
      text += character;
    } else if (text.back() != '-') {
      text += '-';
    }
  }
  while (text.back() == '-') text.pop_back();
  return text.substr(0, 120);
}

/// A cell as far as it is only a list of settings.
struct Draft {
  std::vector<std::string> overrides;
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<std::string> name_parts, group_parts;
  bool checks_plan = true;  ///< not where the one before has the same batch and network

  void set(const Axis& axis, const std::string& value) {
    overrides.push_back(axis.key + "=" + value);
    if (axis.values.size() < 2) return;
    settings.emplace_back(axis.heading, value);
    const std::string part =
        axis.key == "optimizer.name" ? value : fmt::format("{} {}", axis.heading, value);
    name_parts.push_back(part);
    if (axis.key != kBatchSizeKey && axis.key != kLearningRateKey) group_parts.push_back(part);
  }
  /// A key of the search: cells that differ in it are trials of one group.
  void draw(const SearchedKey& searched, double value) {
    const std::string heading = searched.key == kLearningRateKey ? "rate" : searched.key;
    overrides.push_back(fmt::format("{}={}", searched.key, value));
    settings.emplace_back(heading, number_text(value));
    name_parts.push_back(fmt::format("{} {}", heading, value));
  }
};

std::vector<Draft> drafts_of(const SweepRequest& request) {
  const std::vector<Axis> axes = axes_of(request);
  check_axes(axes, request);
  std::vector<Draft> drafts;
  for (const std::vector<std::size_t>& combination : combinations(axes)) {
    Draft draft;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      draft.set(axes[axis], axes[axis].values[combination[axis]]);
    }
    if (request.trials == 0) drafts.push_back(draft);
    for (std::int64_t trial = 0; trial < request.trials; ++trial) {
      Draft drawn = draft;
      drawn.checks_plan = trial == 0;
      const std::vector<double> point =
          search_point(trial, request.searched.size(), request.seeds.front());
      for (std::size_t key = 0; key < point.size(); ++key) {
        drawn.draw(request.searched[key], drawn_value(request.searched[key], point[key]));
      }
      drafts.push_back(std::move(drawn));
    }
  }
  return drafts;
}

std::int64_t steps_per_epoch(const Experiment& experiment, std::int64_t samples) {
  const std::int64_t batch = experiment.training.batch_size;
  return std::max<std::int64_t>(
      1, experiment.data.drop_last ? samples / batch : (samples + batch - 1) / batch);
}

void refuse_schedules_to_an_end(const Experiment& experiment) {
  if (experiment.schedule.kind != ScheduleKind::cosine &&
      experiment.schedule.kind != ScheduleKind::one_cycle) {
    return;
  }
  throw InputError(
      "a cosine or one_cycle schedule ends with the last epoch, where runs of equal updates or "
      "seconds do not end; use --epochs or another schedule");
}

/// The limit that all runs share, and the target.
void set_limits(Experiment& experiment, const SweepRequest& request, std::int64_t samples) {
  TrainingConfig& training = experiment.training;
  const auto amount = static_cast<std::int64_t>(request.amount);
  switch (request.compared_at) {
    case ComparedAt::experiment: break;
    case ComparedAt::epochs:
      training.epochs = amount;
      training.max_steps = 0;
      training.max_seconds = 0.0;
      break;
    case ComparedAt::updates: {
      refuse_schedules_to_an_end(experiment);
      const bool grows = experiment.batch_schedule.kind != BatchScheduleKind::constant;
      const std::int64_t steps = steps_per_epoch(experiment, samples);
      training.max_steps = amount;
      training.max_seconds = 0.0;
      training.epochs = grows ? kUnlimitedEpochs : (amount + steps - 1) / steps;
      break;
    }
    case ComparedAt::seconds:
      refuse_schedules_to_an_end(experiment);
      training.max_seconds = request.amount;
      training.max_steps = 0;
      training.epochs = kUnlimitedEpochs;
      break;
  }
  if (request.until) training.until = *request.until;
  if (request.validate_every_samples > 0) {
    training.validate_every_steps =
        std::max<std::int64_t>(1, request.validate_every_samples / training.batch_size);
  }
}

std::string compared_text(const SweepRequest& request, const Experiment& experiment) {
  switch (request.compared_at) {
    case ComparedAt::epochs: return fmt::format("{} epochs", request.amount);
    case ComparedAt::updates: return fmt::format("{} weight updates", request.amount);
    case ComparedAt::seconds: return fmt::format("{} seconds of training", request.amount);
    case ComparedAt::experiment: break;
  }
  const TrainingConfig& training = experiment.training;
  std::string text = fmt::format("{} epochs", training.epochs);
  if (training.max_steps > 0)
    text += fmt::format(", at most {} weight updates", training.max_steps);
  if (training.max_seconds > 0) text += fmt::format(", at most {} seconds", training.max_seconds);
  return text;
}

/// How exactly steps to the target are known.
std::string resolution_text(const std::vector<PlannedCell>& cells, const DataSource& data) {
  std::int64_t least = 0, most = 0;
  for (const PlannedCell& cell : cells) {
    const TrainingConfig& training = cell.experiment.training;
    const std::int64_t samples =
        training_part(data(cell.experiment)->train.count, cell.experiment.data.validation_split);
    const bool of_validation = parse_until(training.until)->of_validation();
    const std::int64_t every = of_validation && training.validate_every_steps > 0
                                   ? training.validate_every_steps * training.batch_size
                                   : samples;
    least = least == 0 ? every : std::min(least, every);
    most = std::max(most, every);
  }
  const std::string range =
      least == most ? std::to_string(least) : fmt::format("{} to {}, by batch size", least, most);
  return fmt::format(
      "The target is looked for every {} samples: steps to it are known to within "
      "that, and too large rather than too small.",
      range);
}

/// Keys that the sweep sets itself have no values of their own.
void check_keys(const SweepRequest& request) {
  std::set<std::string> taken{"seed", "device"};
  if (request.compared_at != ComparedAt::experiment) {
    taken.insert({"training.epochs", "training.max_steps", "training.max_seconds"});
  }
  if (request.until) taken.insert("training.until");
  if (request.validate_every_samples > 0) taken.insert("training.validate_every_steps");
  const auto check = [&](const std::string& key) {
    if (!taken.contains(key)) return;
    throw InputError(fmt::format("{} cannot be swept: {}", key,
                                 key == "seed" ? "--seeds gives the seeds of every setting"
                                               : "the sweep itself sets it in every run"));
  };
  for (const SweptKey& swept : request.keys) check(swept.key);
  for (const SearchedKey& searched : request.searched) check(searched.key);
}

void check_request(const SweepRequest& request) {
  check_keys(request);
  if (request.seeds.empty()) throw InputError("a sweep needs at least one seed");
  const std::set<std::uint64_t> distinct(request.seeds.begin(), request.seeds.end());
  if (distinct.size() < request.seeds.size()) throw InputError("a seed is given twice");
  if (request.compared_at != ComparedAt::experiment && !(request.amount > 0.0)) {
    throw InputError("what runs are compared at must be above 0");
  }
}

/// Bytes of the cell's plan. Refuses what cannot be planned or does not fit before the first run
/// begins.
std::int64_t checked_bytes(const Experiment& experiment, const Dataset& dataset) {
  const Session session(experiment, dataset, SessionUse::plan_only);
  const std::int64_t needed = session.memory_plan().total_bytes();
  const std::int64_t budget = experiment.training.memory_budget.count;
  const std::int64_t there_is = budget > 0 ? budget : session.backend().free_bytes();
  if (needed <= there_is) return needed;
  throw InputError(
      fmt::format("its plan needs {} bytes, but there are {}; leave the size out, or let "
                  "--set training.micro_batch_size=auto find passes that fit",
                  needed, there_is));
}

/// most_bytes: of the plans so far, by batch size.
PlannedCell cell_of(const SweepRequest& request, const Draft& draft, int index,
                    const DataSource& data, std::map<std::int64_t, std::int64_t>& most_bytes) {
  std::vector<std::string> overrides = request.overrides;
  overrides.insert(overrides.end(), draft.overrides.begin(), draft.overrides.end());
  PlannedCell cell;
  cell.index = index;
  cell.name = draft.name_parts.empty() ? request.name
                                       : fmt::format("{}", fmt::join(draft.name_parts, ", "));
  cell.settings = draft.settings;
  cell.group = fmt::format("{}", fmt::join(draft.group_parts, ", "));
  cell.folder = file_name_of(index, cell.name);
  try {
    cell.experiment =
        parse_experiment(request.experiment_text, request.name, request.base_folder, overrides);
    Experiment& experiment = cell.experiment;
    if (experiment.training.batch_size == 0) {
      throw InputError("training.batch_size is \"auto\"; a sweep needs sizes, see --batch-sizes");
    }
    experiment.seed = request.seeds.front();
    const std::shared_ptr<const Dataset> dataset = data(experiment);
    set_limits(experiment, request,
               training_part(dataset->train.count, experiment.data.validation_split));
    // Once more through the file, so that its rules judge the limits too.
    experiment = parse_experiment(to_toml(experiment), request.name, request.base_folder, {});
    if (draft.checks_plan) {
      std::int64_t& most = most_bytes[experiment.training.batch_size];
      most = std::max(most, checked_bytes(experiment, *dataset));
    }
  } catch (const InputError& error) {
    throw InputError(fmt::format("cell {} ({}): {}", index, cell.name, error.what()));
  }
  return cell;
}

/// Bytes by batch size; inference and the largest batch that fits are of the first cell's settings
/// otherwise.
void plan_memory(SweepPlan& plan, const std::map<std::int64_t, std::int64_t>& most_bytes,
                 const DataSource& data) {
  Experiment experiment = plan.cells.front().experiment;
  const PlannedDevice device = planned_device(experiment, false);
  const std::shared_ptr<const Dataset> dataset = data(experiment);
  const std::int64_t budget = experiment.training.memory_budget.count;
  plan.memory_bytes = budget > 0 ? budget : find_backend(device.name).free_bytes();
  std::vector<std::int64_t> sizes;
  for (const auto& [size, bytes] : most_bytes) sizes.push_back(size);
  const MemoryReport report =
      profile_memory(experiment, examine(experiment, *dataset),
                     {.batch_sizes = sizes,
                      .budget = MemoryBudget{.bytes = plan.memory_bytes, .source = "the device"},
                      .device = device});
  for (const MemoryRow& row : report.rows) {
    if (!row.refused.empty()) continue;
    plan.planned.push_back({.batch_size = row.batch_size,
                            .training = most_bytes.at(row.batch_size),
                            .inference = row.inference_bytes});
  }
  plan.largest_batch_size = report.largest_training_batch;
  plan.parameters = report.parameters;
  plan.training_samples = training_part(dataset->train.count, experiment.data.validation_split);
  const Backend& backend = find_backend(device.name);
  plan.device = backend.name();
  plan.hardware = backend.hardware();
}

}  // namespace

std::vector<double> search_point(std::int64_t trial, std::size_t keys, std::uint64_t seed) {
  constexpr std::array kPrimes{2, 3, 5, 7, 11, 13, 17, 19};
  if (keys > kPrimes.size()) {
    throw InputError(
        fmt::format("{} keys are searched; at most {} are taken", keys, kPrimes.size()));
  }
  std::vector<double> point;
  for (std::size_t key = 0; key < keys; ++key) {
    double value = 0.0;
    double digit = 1.0 / kPrimes[key];
    for (std::int64_t rest = trial; rest > 0; rest /= kPrimes[key]) {
      value += digit * static_cast<double>(rest % kPrimes[key]);
      digit /= kPrimes[key];
    }
    const PhiloxBlock block = philox({static_cast<std::uint32_t>(key), 0, 0, 0}, seed);
    value += block[0] * 0x1p-32;
    point.push_back(value - std::floor(value));
  }
  return point;
}

SweepPlan plan_sweep(const SweepRequest& request, const DataSource& data) {
  check_request(request);
  SweepPlan plan;
  plan.name = request.name;
  plan.command = request.command;
  plan.seeds = request.seeds;
  for (const SearchedKey& searched : request.searched) plan.searched_keys.push_back(searched.key);
  std::map<std::int64_t, std::int64_t> most_bytes;
  std::set<std::string> files;
  for (const Draft& draft : drafts_of(request)) {
    plan.cells.push_back(
        cell_of(request, draft, static_cast<int>(plan.cells.size()) + 1, data, most_bytes));
    const std::vector<std::string> read = data(plan.cells.back().experiment)->files();
    files.insert(read.begin(), read.end());
  }
  const Experiment& first = plan.cells.front().experiment;
  plan.compared_at = compared_text(request, first);
  if (first.training.until != "none") {
    plan.until = first.training.until;
    plan.resolution = resolution_text(plan.cells, data);
  }
  plan.data_files = hash_files({files.begin(), files.end()});
  plan_memory(plan, most_bytes, data);
  return plan;
}

}  // namespace batchwise
