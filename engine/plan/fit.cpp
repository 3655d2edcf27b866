#include "engine/plan/fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "engine/error.h"
#include "engine/memory/free_memory.h"
#include "engine/plan/checkpointing.h"

namespace batchwise {
namespace {

constexpr std::size_t kWaysOut = 3;

}  // namespace

bool splits_freely(const Experiment& experiment) {
  return experiment.numerics == Numerics::invariant &&
         experiment.training.accumulation == Accumulation::mean;
}

std::int64_t pass_granularity(const Graph& graph) {
  constexpr std::int64_t kLargestPass = 2147483647;
  std::int64_t multiple = 1;
  for (const GraphNode& node : graph.nodes) {
    if (node.operation != "batchnorm" || !node.config.trainable) continue;
    if (node.config.group == 0) return 0;
    multiple = std::lcm(multiple, node.config.group);
    if (multiple > kLargestPass) return 0;
  }
  return multiple;
}

Fitting::Fitting(const Graph& graph, const Experiment& experiment, const TrainingConfig& asked,
                 const DataFacts& data, const DeviceFacts& device, std::int64_t budget_bytes)
    : graph_(graph),
      experiment_(experiment),
      asked_(asked),
      data_(data),
      device_(device),
      budget_(budget_bytes) {}

std::int64_t Fitting::bytes(const Passes& passes) const {
  return make_run_plan(graph_, experiment_, data_, device_, passes).total_bytes();
}

bool Fitting::sound(const Passes& passes) const {
  try {
    check_batchnorm_groups(graph_, training_request(experiment_, data_, device_, passes));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

Passes Fitting::passes(std::int64_t batch_size) const {
  const TrainingConfig& training = asked_;
  const bool whole = training.micro_batch_size <= 0;
  const Passes asked{
      .batch_size = batch_size,
      .micro_batch_size = whole ? batch_size : std::min(batch_size, training.micro_batch_size),
      .recompute = training.checkpoint.names,
      .offload = training.offload_activations};
  if (fits(asked)) return asked;
  Passes closest = asked;
  if (training.micro_batch_size == kAutomatic) {
    if (const auto smaller = with_smaller_passes(asked)) return *smaller;
    const std::int64_t multiple = pass_granularity(graph_);
    if (multiple > 0) {
      closest.micro_batch_size = std::min(batch_size, round_up(kUnitSamples, multiple));
    }
  }
  if (training.checkpoint.automatic) {
    if (const auto less = with_recomputation(closest)) return *less;
  }
  return closest;
}

std::int64_t Fitting::largest_batch() const {
  std::int64_t batch = largest_that(data_.training_samples,
                                    [this](std::int64_t size) { return fits(passes(size)); });
  // Passes that "auto" chooses suit BatchNorm where the whole batch does: no need to plan them.
  const auto of = [this](std::int64_t size) {
    const std::int64_t rows = asked_.micro_batch_size;
    return Passes{.batch_size = size, .micro_batch_size = rows > 0 ? std::min(rows, size) : size};
  };
  while (batch > 0 && !sound(of(batch))) --batch;
  return batch;
}

std::optional<Passes> Fitting::with_smaller_passes(const Passes& passes) const {
  const std::int64_t multiple = pass_granularity(graph_);
  if (multiple == 0) return std::nullopt;
  Passes smaller = passes;
  const auto of_count = [&](std::int64_t count) {
    smaller.micro_batch_size = std::min(passes.batch_size, count * multiple);
    return smaller;
  };
  const std::int64_t most = (passes.micro_batch_size + multiple - 1) / multiple;
  const std::int64_t count =
      largest_that(most, [&](std::int64_t number) { return fits(of_count(number)); });
  if (count == 0) return std::nullopt;
  const std::int64_t rows = of_count(count).micro_batch_size;
  const std::int64_t number_of_passes = (passes.batch_size + rows - 1) / rows;
  const std::int64_t even = (passes.batch_size + number_of_passes - 1) / number_of_passes;
  smaller.micro_batch_size = std::min(rows, round_up(even, multiple));
  return smaller;
}

std::optional<Passes> Fitting::with_recomputation(const Passes& passes) const {
  Passes kept = passes;
  kept.recompute.clear();
  const RunPlan plan = make_run_plan(graph_, experiment_, data_, device_, kept);
  const std::int64_t beyond = plan.total_bytes() - budget_;
  const std::int64_t activations = plan.training.arena_bytes(ArenaKind::activations);
  // What the evaluation needs stays; beyond it every byte of activations saved counts.
  const std::int64_t surplus = plan.bytes.footprint[MemoryCategory::evaluation];
  if (beyond > 0 && (surplus > 0 || activations <= beyond)) return std::nullopt;
  const auto names = least_recomputation(
      graph_, training_request(experiment_, data_, device_, kept), activations - beyond);
  if (!names) return std::nullopt;
  kept.recompute = *names;
  if (!fits(kept)) return std::nullopt;
  return kept;
}

std::vector<WayOut> Fitting::ways_out(const Passes& passes, std::string_view batch_option) const {
  std::vector<WayOut> ways;
  const auto add = [&](const std::optional<Passes>& found, std::string what, std::string how,
                       std::string consequence) {
    if (!found || ways.size() == kWaysOut) return;
    ways.push_back({std::move(what), std::move(how), std::move(consequence), bytes(*found)});
  };
  const bool summed = experiment_.training.accumulation == Accumulation::sum;
  if (const auto smaller = with_smaller_passes(passes); smaller && !summed) {
    add(smaller, fmt::format("passes of {} samples", smaller->micro_batch_size),
        fmt::format("--micro-batch-size {}", smaller->micro_batch_size),
        splits_freely(experiment_) ? "the same results" : "results that differ by rounding");
  }
  if (const auto less = with_recomputation(passes)) {
    add(less,
        fmt::format("computing {} activation{} again", less->recompute.size(),
                    less->recompute.size() == 1 ? "" : "s"),
        "--set training.checkpoint=auto", "the same results, more time");
  }
  if (!passes.offload) {
    Passes offloaded = passes;
    offloaded.offload = true;
    if (fits(offloaded)) {
      add(offloaded, "activations in host memory", "--set training.offload_activations=true",
          "the same results, at the speed of the bus");
    }
  }
  const auto of_batch = [&](std::int64_t size) {
    Passes small = passes;
    small.batch_size = size;
    small.micro_batch_size = std::min(size, passes.micro_batch_size);
    return small;
  };
  std::int64_t batch =
      largest_that(passes.batch_size, [&](std::int64_t size) { return fits(of_batch(size)); });
  while (batch > 0 && !sound(of_batch(batch))) --batch;
  if (batch > 0) {
    add(of_batch(batch), fmt::format("batches of {}", batch),
        fmt::format("{}{}{}", batch_option, batch,
                    asked_.micro_batch_size > batch ? " --micro-batch-size 0" : ""),
        "another training");
  }
  if (optimizer_slots(experiment_.optimizer) > 0) {
    Experiment plain = experiment_;
    plain.optimizer = {.name = OptimizerName::sgd, .learning_rate = 0.01};
    const RunPlan plan = make_run_plan(graph_, plain, data_, device_, passes);
    if (plan.total_bytes() <= budget_ && ways.size() < kWaysOut) {
      const bool is_sgd = experiment_.optimizer.name == OptimizerName::sgd;
      ways.push_back({"sgd without momentum",
                      is_sgd ? "--set optimizer.momentum=0" : "--optimizer sgd", "another training",
                      plan.total_bytes()});
    }
  }
  return ways;
}

}  // namespace batchwise
