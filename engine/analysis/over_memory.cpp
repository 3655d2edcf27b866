#include "engine/analysis/over_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/error.h"
#include "engine/stopwatch.h"
#include "engine/train/learning_rate.h"
#include "engine/train/session.h"

namespace batchwise {
namespace {

OverMemoryWay measure(std::string name, const Experiment& experiment, const Dataset& dataset,
                      int updates) {
  OverMemoryWay way;
  way.name = std::move(name);
  Session session(experiment, dataset);
  const LearningRate rate(session.experiment(), session.steps_per_epoch());
  std::vector<std::int32_t> ids(static_cast<std::size_t>(
      std::min(session.experiment().training.batch_size, session.training_samples())));
  std::iota(ids.begin(), ids.end(), 0);
  (void)session.update(ids, 1, rate.at(1));
  std::vector<double> seconds;
  for (int step = 2; step < 2 + updates; ++step) {
    const Stopwatch stopwatch;
    (void)session.update(ids, step, rate.at(step));
    seconds.push_back(stopwatch.seconds());
  }
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  way.seconds_per_sample = *middle / static_cast<double>(ids.size());
  way.planned_bytes = session.memory_plan().total_bytes();
  way.host_bytes = session.memory_plan().host_bytes;
  way.weights_sha256 = session.weights_sha256();
  if (session.micro_batch_size() < session.experiment().training.batch_size) {
    way.name += fmt::format(" of {}", session.micro_batch_size());
  }
  const std::size_t again = session.experiment().training.checkpoint.names.size();
  if (again > 0) way.name += fmt::format(", {} activation{} again", again, again == 1 ? "" : "s");
  return way;
}

}  // namespace

std::vector<OverMemoryWay> measure_over_memory(const Experiment& experiment, const Dataset& dataset,
                                               std::int64_t budget_bytes, int updates) {
  if (experiment.training.batch_size == 0) {
    throw InputError(
        "what exceeds memory has a batch size of its own; set training.batch_size, not \"auto\"");
  }
  Experiment unlimited = experiment;
  unlimited.training.micro_batch_size = 0;
  unlimited.training.memory_budget = {};
  unlimited.training.checkpoint = {};
  unlimited.training.offload_activations = false;
  std::vector<OverMemoryWay> ways{measure("no limit", unlimited, dataset, updates)};
  const auto add = [&](std::string name, auto&& change) {
    Experiment within = unlimited;
    change(within.training);
    within.training.memory_budget = {budget_bytes};
    try {
      ways.push_back(measure(name, within, dataset, updates));
    } catch (const InputError& error) {
      const std::string message = error.what();
      OverMemoryWay& way = ways.emplace_back();
      way.name = std::move(name);
      way.refused = message.substr(0, message.find(';'));
    }
  };
  add("as it stands", [&](TrainingConfig& training) { training = experiment.training; });
  add("micro-batches", [](TrainingConfig& training) { training.micro_batch_size = kAutomatic; });
  add("checkpointing", [](TrainingConfig& training) { training.checkpoint.automatic = true; });
  add("activations in host memory",
      [](TrainingConfig& training) { training.offload_activations = true; });
  return ways;
}

}  // namespace batchwise
