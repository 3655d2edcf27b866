#include "engine/analysis/memory_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine/analysis/memory_levers.h"
#include "engine/error.h"
#include "engine/memory/cards.h"
#include "engine/memory/free_memory.h"
#include "engine/model/experiment_schema.h"
#include "engine/plan/fit.h"
#include "engine/stopwatch.h"
#include "engine/train/session.h"

namespace batchwise {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

/// What the CUDA backend gives memory in; the backend itself may not be there.
constexpr std::int64_t kCudaGranularity = std::int64_t{2} << 20;

bool plans_for_cuda(const std::string& device) {
  return device == "cuda" || device.starts_with("cuda:");
}

/// What plans may take: the budget without what is beside them.
std::int64_t plan_budget(const MemoryQuestion& question) {
  if (!question.budget) return kUnlimited;
  return std::max<std::int64_t>(0, question.budget->bytes - question.device.overhead_bytes);
}

std::int64_t bytes_of(const Plan& plan, ValueId id) {
  const Value& value = plan.program.values[id];
  const Dimensions shape = shape_of(value, plan.request.micro_batch_size, plan.request.batch_size);
  const std::int64_t elements =
      value.extent == Extent::fixed ? shape.elements() : shape[0] * value.pitch;
  return elements * static_cast<std::int64_t>(size_in_bytes(value.type));
}

/// Those that have bytes of their own in the activation arena.
template <class Visit>
void for_each_activation(const Plan& plan, Visit&& visit) {
  for (ValueId id = 0; id < static_cast<ValueId>(plan.program.values.size()); ++id) {
    const Value& value = plan.program.values[id];
    const bool placed = value.alias == kNoValue && plan.schedule.first_use[id] >= 0;
    if (placed && value.arena == ArenaKind::activations) visit(id, value);
  }
}

/// The step that uses a value first: the one that makes it.
const Step& maker_of(const Plan& plan, ValueId id) {
  return plan.program.steps[static_cast<std::size_t>(plan.schedule.first_use[id])];
}

bool kept_for_backward(const Plan& plan, ValueId id) {
  const auto last = static_cast<std::size_t>(plan.schedule.last_use[id]);
  return !maker_of(plan, id).backward && last < plan.program.steps.size() &&
         plan.program.steps[last].backward;
}

std::vector<LayerMemory> layers_of(const Plan& plan) {
  std::vector<LayerMemory> layers;
  const auto layer = [&](const std::string& name) -> LayerMemory& {
    const auto found = std::find_if(layers.begin(), layers.end(),
                                    [&](const LayerMemory& entry) { return entry.layer == name; });
    if (found != layers.end()) return *found;
    layers.push_back({.layer = name});
    return layers.back();
  };
  for (const Step& step : plan.program.steps) {
    if (step.section == Section::pass && !step.backward) (void)layer(step.layer);
  }
  const auto size = static_cast<std::int64_t>(size_in_bytes(plan.request.real));
  for (const ParameterPlace& place : plan.parameters.places) {
    LayerMemory& entry = layer(place.spec.name.substr(0, place.spec.name.rfind('.')));
    entry.parameters += place.count * size;
    if (!place.trained()) continue;
    entry.gradients += place.count * size;
    entry.optimizer_state += plan.optimizer_slots * place.count * size;
  }
  for_each_activation(plan, [&](ValueId id, const Value&) {
    LayerMemory& entry = layer(maker_of(plan, id).layer);
    (kept_for_backward(plan, id) ? entry.kept_activations : entry.temporary_activations) +=
        bytes_of(plan, id);
  });
  return layers;
}

StepTimeline timeline_of(const Plan& plan) {
  StepTimeline timeline{.batch_size = plan.request.batch_size,
                        .micro_batch_size = plan.request.micro_batch_size,
                        .steps = {},
                        .buffers = {},
                        .arena_bytes = plan.arena_bytes(ArenaKind::activations),
                        .lower_bound = plan.placement.activation_lower_bound};
  for (const Step& step : plan.program.steps) {
    timeline.steps.push_back(step.layer.empty() ? step.operation
                                                : step.layer + " " + step.operation);
  }
  const int last_step = static_cast<int>(plan.program.steps.size()) - 1;
  for_each_activation(plan, [&](ValueId id, const Value& value) {
    timeline.buffers.push_back({.name = value.name,
                                .layer = maker_of(plan, id).layer,
                                .offset = plan.placement.offset_bytes[id],
                                .bytes = bytes_of(plan, id),
                                .first = plan.schedule.first_use[id],
                                .last = std::min(plan.schedule.last_use[id], last_step)});
  });
  return timeline;
}

class Profiler {
 public:
  Profiler(const Experiment& experiment, const RunFacts& facts, const MemoryQuestion& question)
      : experiment_(experiment),
        facts_(facts),
        question_(question),
        device_(question.device.facts),
        budget_(plan_budget(question)),
        fit_(facts.graph, experiment_, experiment_.training, facts.data, device_, budget_) {}

  MemoryReport profile() {
    MemoryReport report;
    report.experiment = experiment_.name;
    report.device = question_.device.name;
    report.precision = device_.real == ElementType::f64 ? "fp64" : "fp32";
    report.optimizer =
        key_of("optimizer", "name").words[static_cast<std::size_t>(experiment_.optimizer.name)];
    find_largest(report);
    const Passes passes = fit_.passes(usual_batch(report));
    const PlanRequest request = training_request(experiment_, facts_.data, device_, passes);
    check_batchnorm_groups(facts_.graph, request);
    const RunPlan plan = make_run_plan(facts_.graph, experiment_, facts_.data, device_, passes);
    report.planned_bytes = plan.total_bytes() + question_.device.overhead_bytes;
    report.parameters = plan.training.parameters.trainable_count();
    const bool whole = passes.micro_batch_size == passes.batch_size;
    if (passes.recompute == experiment_.training.checkpoint.names) {
      report.formula = MemoryFormula(plan, facts_.data, device_, whole).text();
    }
    for (const std::int64_t batch : batch_sizes()) report.rows.push_back(row(batch));
    report.layers = layers_of(plan.training);
    report.timeline = timeline_of(plan.training);
    report.levers = memory_levers(experiment_, facts_, device_, passes,
                                  question_.budget ? std::optional(budget_) : std::nullopt);
    for (Lever& lever : report.levers) lever.bytes += question_.device.overhead_bytes;
    return report;
  }

 private:
  [[nodiscard]] std::vector<std::int64_t> batch_sizes() const {
    return question_.batch_sizes.empty() ? default_batch_sizes(facts_.data.training_samples)
                                         : question_.batch_sizes;
  }

  [[nodiscard]] std::int64_t inference_bytes(std::int64_t rows) const {
    const std::int64_t samples =
        facts_.data.test_samples > 0 ? facts_.data.test_samples : facts_.data.training_samples;
    Footprint footprint = inference_footprint(facts_.graph, experiment_, facts_.data, device_,
                                              samples, std::min(rows, samples));
    return footprint.total_bytes();
  }

  void find_largest(MemoryReport& report) const {
    if (!question_.budget) return;
    report.budget_bytes = question_.budget->bytes;
    report.budget_source = question_.budget->source;
    report.largest_training_batch = fit_.largest_batch();
    const std::int64_t samples =
        facts_.data.test_samples > 0 ? facts_.data.test_samples : facts_.data.training_samples;
    report.largest_inference_batch = largest_that(
        samples, [this](std::int64_t rows) { return inference_bytes(rows) <= budget_; });
    if (report.largest_training_batch == facts_.data.training_samples) {
      report.largest_note = "training: the whole training set";
    }
    if (report.largest_inference_batch == samples) {
      report.largest_note += report.largest_note.empty() ? "" : "; ";
      report.largest_note += "inference: all samples at once";
    }
  }

  /// The experiment's, "auto" resolved.
  [[nodiscard]] std::int64_t usual_batch(const MemoryReport& report) const {
    if (experiment_.training.batch_size > 0) return experiment_.training.batch_size;
    if (report.largest_training_batch > 0) return report.largest_training_batch;
    // Where not even the smallest fits, one that shows by how much.
    const std::int64_t shown = question_.budget ? TrainingConfig{}.batch_size : kUnlimited;
    return std::min(shown, facts_.data.training_samples);
  }

  [[nodiscard]] MemoryRow row(std::int64_t batch) const {
    MemoryRow row{.batch_size = batch};
    try {
      if (experiment_.training.micro_batch_size > batch) {
        throw InputError("the micro-batch is larger than the batch");
      }
      const Passes passes = fit_.passes(batch);
      row.micro_batch_size = passes.micro_batch_size;
      check_batchnorm_groups(facts_.graph,
                             training_request(experiment_, facts_.data, device_, passes));
      const RunPlan plan = make_run_plan(facts_.graph, experiment_, facts_.data, device_, passes);
      row.training = plan.bytes.footprint;
      row.training[MemoryCategory::overhead] = question_.device.overhead_bytes;
      row.activation_lower_bound = plan.training.placement.activation_lower_bound;
      row.inference_bytes = inference_bytes(passes.micro_batch_size);
    } catch (const InputError& error) {
      row = {.batch_size = batch, .micro_batch_size = row.micro_batch_size};
      row.refused = error.what();
    }
    return row;
  }

  const Experiment& experiment_;
  const RunFacts& facts_;
  const MemoryQuestion& question_;
  const DeviceFacts& device_;
  std::int64_t budget_;  ///< for the plan: without overhead
  Fitting fit_;
};

}  // namespace

std::vector<std::int64_t> default_batch_sizes(std::int64_t training_samples) {
  constexpr std::int64_t kMost = 65536;
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 1; size <= std::min(training_samples, kMost); size *= 2) {
    sizes.push_back(size);
  }
  return sizes;
}

PlannedDevice planned_device(const Experiment& experiment, bool on_card) {
  const std::string& device = experiment.device;
  if (on_card || plans_for_cuda(device)) {
    return {.facts = {.target = {DeviceKind::cuda, experiment.numerics},
                      .real = ElementType::f32,
                      .granularity = kCudaGranularity},
            .name = plans_for_cuda(device) ? device : "cuda",
            .overhead_bytes = kAssumedOverheadBytes};
  }
  const Backend& backend = find_backend(device);
  const bool gpu = backend.device_kind() == DeviceKind::cuda;
  return {.facts = device_facts(backend, experiment.numerics),
          .name = std::string(backend.name()),
          .overhead_bytes = gpu ? kAssumedOverheadBytes : 0};
}

MemoryReport profile_memory(const Experiment& experiment, const RunFacts& facts,
                            const MemoryQuestion& question) {
  return Profiler(experiment, facts, question).profile();
}

namespace {

MeasuredMemory measure(const Experiment& experiment, const Dataset& dataset) {
  const Backend& backend = find_backend(experiment.device);
  const std::optional<std::int64_t> before = backend.used_bytes();
  Session session(experiment, dataset);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(
      std::min(experiment.training.batch_size, session.training_samples())));
  std::iota(ids.begin(), ids.end(), 0);
  (void)session.update(ids, 1, 0.0);
  const Stopwatch stopwatch;
  (void)session.update(ids, 2, 0.0);
  MeasuredMemory result{.allocator_bytes = session.peak_bytes(),
                        .driver_bytes = std::nullopt,
                        .seconds_per_step = stopwatch.seconds()};
  if (before) result.driver_bytes = *backend.used_bytes() - *before;
  return result;
}

}  // namespace

void measure_memory(const Experiment& experiment, const RunFacts& facts, const Dataset& dataset,
                    const MemoryQuestion& question, MemoryRow& row) {
  const Fitting fit(facts.graph, experiment, experiment.training, facts.data, question.device.facts,
                    plan_budget(question));
  const Passes passes = fit.passes(row.batch_size);
  Experiment measured = experiment;
  measured.batch_schedule = {};
  measured.training.batch_size = row.batch_size;
  measured.training.micro_batch_size = passes.micro_batch_size;
  measured.training.checkpoint = {.automatic = false, .names = passes.recompute};
  measured.training.memory_budget = {};
  try {
    row.measured = measure(measured, dataset);
  } catch (const InputError& error) {
    row.refused = fmt::format("planned {} bytes, but {}", row.training.total_bytes(), error.what());
  }
}

}  // namespace batchwise
