#include "engine/plan/run_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/ops/reduction_order.h"

namespace batchwise {
namespace {

std::int64_t real_bytes(const DeviceFacts& device) {
  return static_cast<std::int64_t>(size_in_bytes(device.real));
}

/// The arrays of ResidentData: features, labels, shift and divisor.
std::vector<std::int64_t> data_blocks(const DataFacts& data, const DeviceFacts& device,
                                      std::int64_t samples, bool labelled) {
  if (samples == 0) return {};
  const std::int64_t features =
      samples * data.sample.elements() * static_cast<std::int64_t>(size_in_bytes(data.type));
  const std::int64_t reals = data.normalization_channels * real_bytes(device);
  return {features, labelled ? samples * 4 : 0, reals, reals};
}

PlanRequest evaluation_request(const Experiment& experiment, const DataFacts& data,
                               const DeviceFacts& device, Phase phase, std::int64_t samples,
                               std::int64_t rows) {
  return {.phase = phase,
          .batch_size = samples,
          .micro_batch_size = std::min(samples, rows),
          .last_batch_size = 0,
          .real = device.real,
          .target = {device.target.device, experiment.numerics},
          .optimizer = {},
          .data_type = data.type,
          .data_samples = samples,
          .normalization_channels = data.normalization_channels};
}

/// Results and activations: what a plan has in the transient block behind the partial sums.
std::int64_t own_transient_bytes(const Plan& plan) {
  return plan.arena_bytes(ArenaKind::batch) + plan.arena_bytes(ArenaKind::activations);
}

std::int64_t sum(const std::vector<std::int64_t>& bytes) {
  std::int64_t total = 0;
  for (const std::int64_t part : bytes) total += part;
  return total;
}

/// Puts a plan's arenas into the categories; the data set, evaluation and rounding are the run's.
Footprint footprint_of(const Plan& plan) {
  Footprint footprint;
  footprint[MemoryCategory::parameters] = plan.arena_bytes(ArenaKind::parameters);
  footprint[MemoryCategory::gradients] = plan.arena_bytes(ArenaKind::gradients);
  footprint[MemoryCategory::optimizer_state] = plan.arena_bytes(ArenaKind::optimizer);
  footprint[MemoryCategory::tables] = plan.arena_bytes(ArenaKind::control);
  footprint[MemoryCategory::partial_sums] = plan.arena_bytes(ArenaKind::partial_sums);
  footprint[MemoryCategory::results] = plan.arena_bytes(ArenaKind::batch);
  footprint[MemoryCategory::workspace] = plan.placement.workspace_bytes;
  footprint[MemoryCategory::activations] =
      plan.arena_bytes(ArenaKind::activations) - plan.placement.workspace_bytes;
  footprint.host_bytes = plan.arena_bytes(ArenaKind::host);
  return footprint;
}

std::vector<std::int64_t> resident_arenas(const Plan& plan) {
  return {plan.arena_bytes(ArenaKind::parameters), plan.arena_bytes(ArenaKind::gradients),
          plan.arena_bytes(ArenaKind::optimizer), plan.arena_bytes(ArenaKind::control)};
}

/// Adds the data set and rounding, once the blocks are known.
void complete(RunBytes& bytes, const std::vector<std::int64_t>& data, std::int64_t granularity) {
  bytes.resident_blocks.insert(bytes.resident_blocks.end(), data.begin(), data.end());
  bytes.footprint[MemoryCategory::data_set] = sum(data);
  std::int64_t rounding = round_up(bytes.transient, granularity) - bytes.transient;
  for (const std::int64_t block : bytes.resident_blocks) {
    rounding += round_up(block, granularity) - block;
  }
  bytes.footprint[MemoryCategory::rounding] = rounding;
}

}  // namespace

TransientLayout transient_layout(const Plan& plan, std::int64_t partial_sum_bytes) {
  TransientLayout layout;
  const auto offset = [&](ArenaKind kind) -> std::int64_t& {
    return layout.offset_bytes[static_cast<std::size_t>(kind)];
  };
  offset(ArenaKind::batch) = partial_sum_bytes;
  offset(ArenaKind::activations) = partial_sum_bytes + plan.arena_bytes(ArenaKind::batch);
  layout.bytes = partial_sum_bytes + own_transient_bytes(plan);
  return layout;
}

PlanRequest training_request(const Experiment& experiment, const DataFacts& data,
                             const DeviceFacts& device, const Passes& passes) {
  const std::int64_t batch = std::min(passes.batch_size, data.training_samples);
  return {.phase = Phase::training,
          .batch_size = batch,
          .micro_batch_size = std::min(batch, passes.micro_batch_size),
          .last_batch_size = experiment.data.drop_last ? 0 : data.training_samples % batch,
          .real = device.real,
          .target = {device.target.device, experiment.numerics},
          .optimizer = experiment.optimizer,
          .recompute = passes.recompute,
          .offload = passes.offload,
          .sample_norms = experiment.measure.noise_scale_every_steps > 0,
          .probabilities = false,
          .data_type = data.type,
          .data_samples = data.rows,
          .normalization_channels = data.normalization_channels};
}

RunPlan make_run_plan(const Graph& graph, const Experiment& experiment, const DataFacts& data,
                      const DeviceFacts& device, const Passes& passes) {
  RunPlan run;
  run.training = make_unchecked_plan(graph, training_request(experiment, data, device, passes));
  const auto evaluation = [&](std::int64_t samples) -> std::optional<Plan> {
    if (samples == 0) return std::nullopt;
    return make_unchecked_plan(
        graph, evaluation_request(experiment, data, device, Phase::evaluation, samples,
                                  run.training.request.micro_batch_size));
  };
  run.validation = evaluation(data.validation_samples);
  run.test = evaluation(data.test_samples);

  RunBytes& bytes = run.bytes;
  const std::int64_t training = own_transient_bytes(run.training);
  std::int64_t largest = training;
  for (const auto* plan : {&run.validation, &run.test}) {
    if (*plan) largest = std::max(largest, own_transient_bytes(**plan));
  }
  bytes.transient = run.training.arena_bytes(ArenaKind::partial_sums) + largest;
  bytes.host = run.training.arena_bytes(ArenaKind::host);
  bytes.footprint = footprint_of(run.training);
  bytes.footprint[MemoryCategory::evaluation] = largest - training;
  bytes.resident_blocks = resident_arenas(run.training);
  std::vector<std::int64_t> blocks = data_blocks(data, device, data.rows, true);
  const std::vector<std::int64_t> test = data_blocks(data, device, data.test_samples, true);
  blocks.insert(blocks.end(), test.begin(), test.end());
  complete(bytes, blocks, device.granularity);
  return run;
}

Footprint inference_footprint(const Graph& graph, const Experiment& experiment,
                              const DataFacts& data, const DeviceFacts& device,
                              std::int64_t samples, std::int64_t rows) {
  const Plan plan = make_unchecked_plan(
      graph, evaluation_request(experiment, data, device, Phase::prediction, samples, rows));
  RunBytes bytes;
  bytes.footprint = footprint_of(plan);
  bytes.transient = own_transient_bytes(plan);
  bytes.resident_blocks = resident_arenas(plan);
  complete(bytes, data_blocks(data, device, samples, false), device.granularity);
  return bytes.footprint;
}

std::int64_t MemoryFormula::Terms::rows(std::int64_t micro_batch) const {
  return samples == 0 ? micro_batch : std::min(samples, micro_batch);
}

MemoryFormula::MemoryFormula(const RunPlan& run, const DataFacts& data, const DeviceFacts& device,
                             bool whole_batch)
    : granularity_(device.granularity),
      resident_(0),
      weights_bytes_(run.training.parameters.weights_elements * real_bytes(device)),
      training_samples_(data.training_samples),
      micro_batch_(whole_batch ? 0 : run.training.request.micro_batch_size) {
  for (const std::int64_t block : run.bytes.resident_blocks) {
    resident_ += round_up(block, granularity_);
  }
  training_ = {.per_unit = run.training.placement.activation_bytes_per_unit,
               .fixed = run.training.placement.activation_rest_bytes};
  for (const Value& value : run.training.program.values) {
    if (value.arena != ArenaKind::batch) continue;
    const auto size = static_cast<std::int64_t>(size_in_bytes(value.type));
    if (value.extent == Extent::per_sample) {
      result_bytes_.push_back(value.shape.elements() * size);
    } else {
      training_.fixed += round_up(value.shape.elements() * size, kArenaAlignmentBytes);
    }
  }
  for (const auto* plan : {&run.validation, &run.test}) {
    if (!*plan) continue;
    const Placement& placement = (*plan)->placement;
    evaluations_.push_back(
        {.per_unit = placement.activation_bytes_per_unit,
         .fixed = placement.activation_rest_bytes + (*plan)->arena_bytes(ArenaKind::batch),
         .samples = (*plan)->request.batch_size});
  }
}

std::int64_t MemoryFormula::micro_batch(std::int64_t batch) const {
  return micro_batch_ == 0 ? batch : std::min(batch, micro_batch_);
}

std::int64_t MemoryFormula::results(std::int64_t batch) const {
  std::int64_t bytes = 0;
  for (const std::int64_t per_sample : result_bytes_) {
    bytes += round_up(per_sample * batch, kArenaAlignmentBytes);
  }
  return bytes;
}

std::int64_t MemoryFormula::operator()(std::int64_t batch_size) const {
  const std::int64_t batch = std::min(batch_size, training_samples_);
  const auto own = [&](const Terms& terms) {
    const std::int64_t rows = terms.rows(micro_batch(batch));
    return terms.per_unit * ((rows + kUnitSamples - 1) / kUnitSamples) + terms.fixed;
  };
  std::int64_t largest = own(training_) + results(batch);
  for (const Terms& evaluation : evaluations_) largest = std::max(largest, own(evaluation));
  const std::int64_t partial_sums =
      round_up(ReductionOrder::over_samples().levels(batch) * weights_bytes_, kArenaAlignmentBytes);
  return resident_ + round_up(partial_sums + largest, granularity_);
}

std::vector<std::string> MemoryFormula::text() const {
  const std::string rows = micro_batch_ == 0 ? "B" : fmt::format("min(B, {})", micro_batch_);
  std::string results;
  for (const std::int64_t bytes : result_bytes_) {
    results += fmt::format(" + round({} B)", bytes);
  }
  std::vector<std::string> lines{
      fmt::format("bytes(B) = {} + round(partial(B) + max(T(B){}))", resident_,
                  evaluations_.empty() ? "" : ", E(B)"),
      fmt::format("partial(B) = round({} x levels(B)), levels(B) = bits of (ceil(B / {}) - 1)",
                  weights_bytes_, ReductionOrder::over_samples().chunk()),
      fmt::format("T(B) = {} x ceil({} / {}){}{}", training_.per_unit, rows, kUnitSamples,
                  training_.fixed == 0 ? "" : fmt::format(" + {}", training_.fixed), results)};
  std::string evaluations;
  for (const Terms& terms : evaluations_) {
    evaluations +=
        fmt::format("{}{} x ceil(min({}, {}) / {}) + {}", evaluations.empty() ? "" : ", ",
                    terms.per_unit, rows, terms.samples, kUnitSamples, terms.fixed);
  }
  if (!evaluations.empty()) {
    lines.push_back(evaluations_.size() > 1 ? fmt::format("E(B) = max({})", evaluations)
                                            : "E(B) = " + evaluations);
  }
  const std::string outermost =
      granularity_ == kArenaAlignmentBytes ? "" : fmt::format(", the outermost {}", granularity_);
  lines.push_back(fmt::format("round() is up to {} bytes{}; B at most the {} training samples",
                              kArenaAlignmentBytes, outermost, training_samples_));
  return lines;
}

}  // namespace batchwise
