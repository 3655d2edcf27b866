#include "engine/verify/plan_run.h"

#include <algorithm>
#include <cmath>

#include "engine/execute/executor.h"
#include "engine/verify/run_case.h"

namespace batchwise::verification {
namespace {

enum External { kData, kLabels, kShift, kDivisor };

template <class T>
void fill(const Backend& backend, DeviceBuffer& buffer, MemoryMeter& meter,
          const std::vector<T>& values) {
  const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(T));
  if (buffer.bytes() != bytes) buffer = DeviceBuffer(backend, bytes, meter);
  backend.upload(buffer.data(), values.data(), bytes);
}

}  // namespace

PlanRequest request_of(const Backend& backend, const Network& network, Phase phase,
                       std::int64_t samples, std::int64_t batch_size, std::int64_t micro_batch_size,
                       Numerics numerics) {
  PlanRequest request;
  request.phase = phase;
  request.batch_size = batch_size;
  request.micro_batch_size = micro_batch_size;
  request.real = backend.real();
  request.optimizer = network.optimizer;
  request.data_type = network.data_type;
  request.data_samples = samples;
  request.sample_norms = phase == Phase::training;
  request.target = {backend.device_kind(), numerics};
  return request;
}

std::string StepCall::name() const {
  return step->layer.empty() ? step->operation : step->layer + " " + step->operation;
}

PlanRun::PlanRun(const Backend& backend, const Network& network, Phase phase,
                 const Samples& samples, std::int64_t batch_size, std::int64_t micro_batch_size,
                 Numerics numerics, std::uint64_t seed)
    : backend_(backend),
      network_(network),
      seed_(seed),
      plan_(make_plan(network.graph(), request_of(backend, network, phase, samples.count,
                                                  batch_size, micro_batch_size, numerics))),
      arenas_(backend, plan_.placement.arena_bytes, meter_) {
  load(samples);
  fill(backend_, external_[kShift], meter_, std::vector<float>{0.25f});
  fill(backend_, external_[kDivisor], meter_,
       std::vector<float>{network.data_type == ElementType::u8 ? 255.0f : 1.5f});
  initialize_weights(weights(), seed);
  if (phase == Phase::training) upload_tables(plan_, backend_, arenas_.bases());
}

void PlanRun::load(const Samples& samples) {
  fill(backend_, external_[kData], meter_, samples.features);
  fill(backend_, external_[kLabels], meter_, samples.labels);
}

ParameterArena PlanRun::weights() const {
  return {.backend = &backend_,
          .layout = &plan_.parameters,
          .base = arenas_[ArenaKind::parameters].data(),
          .with_running = true};
}

std::vector<PlanRun::Region> PlanRun::regions() const {
  std::vector<Region> regions;
  const auto add = [&](const DeviceBuffer& buffer) {
    if (buffer.bytes() > 0) regions.push_back({buffer.data(), buffer.bytes()});
  };
  for (int kind = 0; kind < kArenaKinds; ++kind) add(arenas_[static_cast<ArenaKind>(kind)]);
  for (const DeviceBuffer& buffer : external_) add(buffer);
  return regions;
}

TensorView PlanRun::bind(ValueId id, std::int64_t rows) const {
  TensorView view = view_of(plan_, id, arenas_.bases(), rows);
  if (id == kNoValue || plan_.program.values[id].arena != ArenaKind::external) return view;
  const std::string& name = plan_.program.values[id].name;
  const External which = name == "data"     ? kData
                         : name == "labels" ? kLabels
                         : name == "shift"  ? kShift
                                            : kDivisor;
  view.data = external_[which].data();
  return view;
}

/// NaN, so that what a step leaves unwritten shows.
void PlanRun::poison_activations() {
  const DeviceBuffer& activations = arenas_[ArenaKind::activations];
  const std::vector<std::byte> poison(static_cast<std::size_t>(activations.bytes()),
                                      std::byte{0xFF});
  if (!poison.empty()) backend_.upload(activations.data(), poison.data(), activations.bytes());
}

void PlanRun::run(Section section, std::int64_t rows, const UpdateScalars& scalars,
                  const StepObserver& observer) {
  const TensorView device_scalars = bind(plan_.program.find("scalars"), 1);
  backend_.upload(static_cast<std::byte*>(device_scalars.data), &scalars, sizeof(scalars));
  for (std::size_t index = 0; index < plan_.program.steps.size(); ++index) {
    const Step& step = plan_.program.steps[index];
    if (step.section != section) continue;
    StepCall call{.index = static_cast<int>(index),
                  .step = &step,
                  .inputs = {},
                  .outputs = {},
                  .scalars = scalars,
                  .rows = rows};
    for (const ValueId id : step.inputs) call.inputs.push_back(bind(id, rows));
    for (const ValueId id : step.outputs) call.outputs.push_back(bind(id, rows));
    observer.before(call);
    const bool fast = plan_.request.target.numerics == Numerics::fast;
    const Kernel kernel =
        fast ? backend_.fast_kernel(step.operation) : backend_.kernel(step.operation);
    kernel({.inputs = call.inputs,
            .outputs = call.outputs,
            .attributes = &step.attributes,
            .scalars = static_cast<const UpdateScalars*>(device_scalars.data),
            .stream = backend_.stream()});
    observer.after(call);
  }
}

void PlanRun::run_passes(UpdateScalars scalars, const StepObserver& observer) {
  const std::int64_t each = plan_.request.micro_batch_size;
  for (std::int64_t first = 0; first < scalars.batch_samples; first += each) {
    scalars.first_sample = first;
    poison_activations();
    run(Section::pass, std::min(each, scalars.batch_samples - first), scalars, observer);
  }
}

void PlanRun::update(std::int64_t step_number, const StepObserver& observer) {
  const std::int64_t batch = plan_.request.batch_size;
  const OptimizerConfig& optimizer = network_.optimizer;
  // Scattered over the data set, so that ids are not positions.
  std::vector<std::int32_t> ids(static_cast<std::size_t>(batch));
  for (std::int64_t position = 0; position < batch; ++position) {
    ids[static_cast<std::size_t>(position)] = static_cast<std::int32_t>(
        (step_number * batch + position * 3) % plan_.request.data_samples);
  }
  const TensorView indices = bind(plan_.program.find("indices"), 1);
  backend_.upload(static_cast<std::byte*>(indices.data), ids.data(),
                  static_cast<std::int64_t>(ids.size() * sizeof(std::int32_t)));
  UpdateScalars scalars;
  scalars.seed = seed_;
  scalars.step = static_cast<std::uint64_t>(step_number);
  scalars.batch_samples = batch;
  scalars.gradient_scale = 1.0 / static_cast<double>(batch);
  scalars.learning_rate = optimizer.learning_rate;
  scalars.bias_correction1 = 1.0 - std::pow(optimizer.beta1, static_cast<double>(step_number));
  scalars.bias_correction2 = 1.0 - std::pow(optimizer.beta2, static_cast<double>(step_number));
  run_passes(scalars, observer);
  run(Section::update, batch, scalars, observer);
}

void PlanRun::infer(const StepObserver& observer) {
  UpdateScalars scalars;
  scalars.batch_samples = plan_.request.batch_size;
  run_passes(scalars, observer);
  if (plan_.request.phase == Phase::evaluation) {
    run(Section::update, plan_.request.batch_size, scalars, observer);
  }
}

}  // namespace batchwise::verification
