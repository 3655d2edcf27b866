#include "engine/analysis/memory_levers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/memory/free_memory.h"
#include "engine/plan/checkpointing.h"

namespace batchwise {
namespace {

class Levers {
 public:
  Levers(const Experiment& experiment, const RunFacts& facts, const DeviceFacts& device,
         const Passes& passes, std::optional<std::int64_t> budget)
      : experiment_(experiment), facts_(facts), device_(device), passes_(passes), budget_(budget) {}

  std::vector<Lever> all() {
    add_micro_batches();
    add_checkpointing();
    add_offloading();
    add_bf16();
    add_plain_sgd();
    add_frozen_layers();
    return std::move(levers_);
  }

 private:
  [[nodiscard]] RunPlan plan(const Experiment& experiment, const Passes& passes) const {
    return make_run_plan(facts_.graph, experiment, facts_.data, device_, passes);
  }

  [[nodiscard]] std::int64_t largest(const RunFacts& facts, const Experiment& experiment) const {
    if (!budget_) return 0;
    return Fitting(facts.graph, experiment, experiment.training, facts.data, device_, *budget_)
        .largest_batch();
  }

  void add(Lever lever) { levers_.push_back(std::move(lever)); }

  /// The least memory: one unit of samples, or of BatchNorm's groups, at a time.
  void add_micro_batches() {
    const std::int64_t multiple = pass_granularity(facts_.graph);
    if (multiple == 0 || experiment_.training.accumulation == Accumulation::sum) return;
    const std::int64_t rows = std::min(passes_.batch_size, round_up(kUnitSamples, multiple));
    if (rows >= passes_.micro_batch_size) return;
    Passes small = passes_;
    small.micro_batch_size = rows;
    Experiment experiment = experiment_;
    experiment.training.micro_batch_size = kAutomatic;
    add({.name = fmt::format("micro-batches of {}", rows),
         .how = fmt::format("--micro-batch-size {}, or auto", rows),
         .consequence =
             splits_freely(experiment_) ? "the same results" : "results that differ by rounding",
         .bytes = plan(experiment_, small).total_bytes(),
         .largest_batch_size = largest(facts_, experiment)});
  }

  /// The greatest saving of some: halves, quarters, ... of the activations.
  void add_checkpointing() {
    if (!passes_.recompute.empty()) return;
    const RunPlan present = plan(experiment_, passes_);
    const std::int64_t activations = present.training.arena_bytes(ArenaKind::activations);
    const PlanRequest request = training_request(experiment_, facts_.data, device_, passes_);
    for (const double share : {0.125, 0.25, 0.5, 0.75, 0.9, 0.98}) {
      const auto names =
          least_recomputation(facts_.graph, request,
                              static_cast<std::int64_t>(share * static_cast<double>(activations)));
      if (!names) continue;
      Passes again = passes_;
      again.recompute = *names;
      Experiment experiment = experiment_;
      experiment.training.checkpoint.automatic = true;
      add({.name = fmt::format("checkpointing ({} activation{} again)", names->size(),
                               names->size() == 1 ? "" : "s"),
           .how = "--set training.checkpoint=auto",
           .consequence = "the same results, more time",
           .bytes = plan(experiment_, again).total_bytes(),
           .largest_batch_size = largest(facts_, experiment)});
      return;
    }
  }

  void add_offloading() {
    if (passes_.offload) return;
    Passes offloaded = passes_;
    offloaded.offload = true;
    Experiment experiment = experiment_;
    experiment.training.offload_activations = true;
    add({.name = "activations in host memory",
         .how = "--set training.offload_activations=true",
         .consequence = "the same results, at the speed of the bus",
         .bytes = plan(experiment_, offloaded).total_bytes(),
         .largest_batch_size = largest(facts_, experiment)});
  }

  void add_bf16() {
    const auto bytes = [this](std::int64_t batch) {
      Passes passes = passes_;
      passes.batch_size = batch;
      passes.micro_batch_size = passes_.micro_batch_size == passes_.batch_size
                                    ? batch
                                    : std::min(batch, passes_.micro_batch_size);
      return bf16_bytes(plan(experiment_, passes), device_);
    };
    add({.name = "bf16",
         .how = "",
         .consequence = "other results; planned alone, this version trains in fp32",
         .bytes = bytes(passes_.batch_size),
         .largest_batch_size =
             budget_ ? largest_that(facts_.data.training_samples,
                                    [&](std::int64_t batch) { return bytes(batch) <= *budget_; })
                     : 0});
  }

  void add_plain_sgd() {
    if (optimizer_slots(experiment_.optimizer) == 0) return;
    Experiment experiment = experiment_;
    experiment.optimizer = {.name = OptimizerName::sgd, .learning_rate = 0.01};
    add({.name = "SGD without momentum",
         .how = experiment_.optimizer.name == OptimizerName::sgd ? "--set optimizer.momentum=0"
                                                                 : "--optimizer sgd",
         .consequence = "another training",
         .bytes = plan(experiment, passes_).total_bytes(),
         .largest_batch_size = largest(facts_, experiment)});
  }

  /// All layers with parameters but the last.
  void add_frozen_layers() {
    RunFacts facts = facts_;
    Experiment experiment = experiment_;
    Passes passes = passes_;
    // What is kept, and so what can be named, is another in the other graph.
    experiment.training.checkpoint.names.clear();
    passes.recompute.clear();
    std::vector<std::string> frozen;
    bool is_last = true;
    for (auto layer = experiment.model.layers.rbegin(); layer != experiment.model.layers.rend();
         ++layer) {
      const bool has_parameters =
          layer->type == LayerType::dense || layer->type == LayerType::batchnorm;
      if (!has_parameters) continue;
      if (!is_last && layer->trainable) {
        layer->trainable = false;
        frozen.push_back(layer->name);
      }
      is_last = false;
    }
    if (frozen.empty()) return;
    std::reverse(frozen.begin(), frozen.end());
    facts.graph = build_graph(experiment.model, facts.data.sample);
    add({.name = "all but the last layer frozen",
         .how = fmt::format("trainable = false on {}",
                            frozen.size() <= 4 ? fmt::format("{}", fmt::join(frozen, ", "))
                                               : fmt::format("{} layers", frozen.size())),
         .consequence = "another training",
         .bytes = make_run_plan(facts.graph, experiment, facts.data, device_, passes).total_bytes(),
         .largest_batch_size = largest(facts, experiment)});
  }

  const Experiment& experiment_;
  const RunFacts& facts_;
  const DeviceFacts& device_;
  const Passes& passes_;
  std::optional<std::int64_t> budget_;
  std::vector<Lever> levers_;
};

}  // namespace

std::int64_t bf16_bytes(const RunPlan& plan, const DeviceFacts& device) {
  // Only activations and weights shrink; indices, losses and what is in the data set stay.
  const Footprint& bytes = plan.bytes.footprint;
  const std::int64_t activations =
      plan.training.placement.activation_bytes_per_unit *
      ((plan.training.request.micro_batch_size + kUnitSamples - 1) / kUnitSamples);
  const std::int64_t working_copy = bytes[MemoryCategory::parameters] / 2;
  return round_up(bytes.total_bytes() - activations / 2 + working_copy, device.granularity);
}

std::vector<Lever> memory_levers(const Experiment& experiment, const RunFacts& facts,
                                 const DeviceFacts& device, const Passes& passes,
                                 std::optional<std::int64_t> budget_bytes) {
  return Levers(experiment, facts, device, passes, budget_bytes).all();
}

}  // namespace batchwise
