#include "engine/train/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "engine/error.h"
#include "engine/memory/free_memory.h"
#include "engine/train/batch_schedule.h"

namespace batchwise {
namespace {

constexpr std::size_t index_of(ArenaKind kind) { return static_cast<std::size_t>(kind); }

/// Positions and names of what is not finite in downloaded values.
template <class T>
bool finite_at(const std::byte* bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return std::isfinite(value);
}

bool finite_at(const std::vector<std::byte>& bytes, std::int64_t index, ElementType real) {
  return real == ElementType::f64 ? finite_at<double>(bytes.data(), index)
                                  : finite_at<float>(bytes.data(), index);
}

template <class Range>
std::string first_of(const Range& values, std::size_t most = 8) {
  const auto end = values.begin() + static_cast<std::ptrdiff_t>(std::min(most, values.size()));
  return fmt::format("{}{}", fmt::join(values.begin(), end, ", "),
                     values.size() > most ? fmt::format(", ... ({} in all)", values.size()) : "");
}

}  // namespace

Session::Session(Experiment experiment, Dataset dataset, SessionUse use)
    : experiment_(std::move(experiment)),
      asked_(experiment_.training),
      backend_(find_backend(experiment_.precision == Precision::fp64 ? "reference"
                                                                     : experiment_.device)),
      facts_(examine(experiment_, dataset)),
      device_(device_facts(backend_, experiment_.numerics)),
      transient_(backend_, MemorySpace::device, meter_),
      host_(backend_, MemorySpace::host, host_meter_) {
  experiment_.data.normalize = facts_.normalization.kind;
  resolve_batch_size();
  const TrainingConfig& training = experiment_.training;
  for (const std::int64_t batch : planned_batch_sizes(experiment_, training_samples())) {
    const Passes passes = checked_passes(batch);
    if (use == SessionUse::train) refuse_what_does_not_fit(passes);
  }
  take_plan(fitting(auto_budget()).passes(training.batch_size));
  if (use == SessionUse::plan_only) return;
  allocate(dataset);
  initialize_weights(weights(), experiment_.seed);
}

/// What the whole plan may take: the user's budget, and no more than there is.
std::int64_t Session::memory_limit() const {
  const std::int64_t there_is = backend_.free_bytes() + meter_.current_bytes;
  const std::int64_t budget = asked_.memory_budget.count;
  return budget == 0 ? there_is : std::min(budget, there_is);
}

/// What "auto" plans with: of what is free, a part is left to the process.
std::int64_t Session::auto_budget() const {
  const std::int64_t there_is = backend_memory_budget(backend_) + meter_.current_bytes;
  const std::int64_t budget = asked_.memory_budget.count;
  return budget == 0 ? there_is : std::min(budget, there_is);
}

/// The experiment as asked for, so that "auto" is resolved for each batch size anew.
Fitting Session::fitting(std::int64_t budget_bytes) const {
  return {facts_.graph, experiment_, asked_, facts_.data, device_, budget_bytes};
}

/// "auto" found none: for want of memory, or because BatchNorm refuses those that fit.
void Session::refuse_every_batch(const Fitting& fit) const {
  const Passes least = fit.passes(1);
  if (fit.fits(least)) {
    check_batchnorm_groups(graph(), training_request(experiment_, facts_.data, device_, least));
  }
  throw InputError(fmt::format(
      "not even a batch of 1 fits: its plan needs {} bytes, and {} is {}", fit.bytes(least),
      fit.budget() == asked_.memory_budget.count ? "training.memory_budget" : "what is free",
      fit.budget()));
}

/// No batch that is larger than a micro-batch which cuts BatchNorm's groups can be planned.
void Session::check_micro_batch() const {
  const std::int64_t rows = asked_.micro_batch_size;
  const std::int64_t multiple = pass_granularity(graph());
  if (rows <= 0 || multiple == 0 || rows % multiple == 0 || rows >= training_samples()) return;
  check_batchnorm_groups(
      graph(), training_request(experiment_, facts_.data, device_,
                                {.batch_size = training_samples(), .micro_batch_size = rows}));
}

void Session::resolve_batch_size() {
  TrainingConfig& training = experiment_.training;
  if (training.batch_size == 0) {
    check_micro_batch();
    const Fitting fit = fitting(auto_budget());
    training.batch_size = fit.largest_batch();
    if (training.batch_size == 0) refuse_every_batch(fit);
  }
  if (training.micro_batch_size > training.batch_size) {
    throw InputError(fmt::format("training.micro_batch_size = {} is above training.batch_size = {}",
                                 training.micro_batch_size, training.batch_size));
  }
}

/// How a batch of this size goes through memory. Throws where its updates cannot be planned.
Passes Session::checked_passes(std::int64_t batch_size) const {
  if (experiment_.data.drop_last && batch_size > training_samples()) {
    throw InputError(
        fmt::format("data.drop_last = true drops every batch: {} training samples are fewer than "
                    "training.batch_size = {}; use a smaller batch size",
                    training_samples(), batch_size));
  }
  const Passes passes = fitting(auto_budget()).passes(batch_size);
  check_batchnorm_groups(graph(), training_request(experiment_, facts_.data, device_, passes));
  return passes;
}

void Session::refuse_what_does_not_fit(const Passes& passes) const {
  const Fitting fit = fitting(memory_limit());
  const RunPlan plan = make_run_plan(graph(), experiment_, facts_.data, device_, passes);
  const std::int64_t needed = plan.total_bytes();
  const std::int64_t there_is = backend_.free_bytes() + meter_.current_bytes;
  const bool one_memory = backend_.device_kind() == DeviceKind::host;
  if (one_memory && needed <= there_is && needed + plan.bytes.host > there_is) {
    throw InputError(
        fmt::format("the plan needs {} bytes and {} more for activations in host memory, but {} "
                    "are free and on "
                    "{} both are the same memory; leave training.offload_activations out",
                    needed, plan.bytes.host, there_is, backend_.name()));
  }
  if (needed <= fit.budget()) return;
  std::string ways;
  const bool first = passes.batch_size == experiment_.training.batch_size;
  for (const WayOut& way :
       fit.ways_out(passes, first ? "--batch-size " : "--set batch_schedule.max_batch_size=")) {
    ways += fmt::format("\n  {} ({}): {} bytes, {}", way.how, way.what, way.bytes, way.consequence);
  }
  throw InputError(fmt::format(
      "the plan needs {} bytes for training.batch_size = {} in passes of {}, but {}; {}", needed,
      passes.batch_size, passes.micro_batch_size,
      fit.budget() == asked_.memory_budget.count
          ? fmt::format("training.memory_budget is {}", fit.budget())
          : fmt::format("{} are free on {}", fit.budget(), backend_.name()),
      ways.empty()
          ? "no batch size, micro-batch, checkpointing or optimizer makes it fit: use smaller "
            "layers (units)"
          : "what would fit:" + ways));
}

/// Makes the plan and records what was resolved.
void Session::take_plan(const Passes& passes) {
  plan_ = std::make_unique<const RunPlan>(
      make_run_plan(graph(), experiment_, facts_.data, device_, passes));
  passes_ = passes;
  TrainingConfig& training = experiment_.training;
  training.batch_size = passes.batch_size;
  const bool whole = passes.micro_batch_size == passes.batch_size && asked_.micro_batch_size == 0;
  // A batch that will change is resolved anew each time, also when the run is resumed.
  if (experiment_.batch_schedule.kind != BatchScheduleKind::constant) return;
  training.micro_batch_size = whole ? 0 : passes.micro_batch_size;
  training.checkpoint = {.automatic = false, .names = passes.recompute};
}

std::int64_t Session::steps_per_epoch() const {
  const std::int64_t batch = experiment_.training.batch_size;
  return experiment_.data.drop_last ? training_samples() / batch
                                    : (training_samples() + batch - 1) / batch;
}

std::int64_t Session::micro_batch_size() const { return passes_.micro_batch_size; }

std::int64_t Session::micro_batches(std::int64_t batch_samples) const {
  const std::int64_t rows = micro_batch_size();
  return (batch_samples + rows - 1) / rows;
}

void Session::allocate(const Dataset& dataset) {
  const auto arena = [this](ArenaKind kind) {
    return DeviceBuffer(backend_, training_plan().arena_bytes(kind), meter_);
  };
  parameters_ = arena(ArenaKind::parameters);
  gradients_ = arena(ArenaKind::gradients);
  optimizer_ = arena(ArenaKind::optimizer);
  control_ = arena(ArenaKind::control);
  training_data_ = ResidentData(dataset.train, normalization(), backend_, meter_);
  if (test_samples() > 0) {
    test_data_ = ResidentData(*dataset.test, normalization(), backend_, meter_);
    test_labels_ = dataset.test->labels;
  }
  bind_or_shrink();
}

void Session::change_batch_size(std::int64_t batch_size) {
  if (batch_size < 1) throw InputError("a batch has at least one sample");
  const Passes passes = checked_passes(batch_size);
  refuse_what_does_not_fit(passes);
  training_.reset();
  validation_.reset();
  test_.reset();
  take_plan(passes);
  bind_or_shrink();
}

/// Where the device refuses what is free by its own word, as when another process was faster,
/// smaller passes give the same results; without level 4 they would not, and the run ends.
void Session::bind_or_shrink() {
  while (true) {
    try {
      bind();
      return;
    } catch (const OutOfMemory& refused) {
      const std::optional<Passes> smaller = smaller_passes();
      if (!smaller || !splits_freely(experiment_)) throw;
      notes_.push_back(
          fmt::format("{}; going on in passes of {} in place of {}, to the same "
                      "results",
                      refused.what(), smaller->micro_batch_size, passes_.micro_batch_size));
      take_plan(*smaller);
    }
  }
}

/// About half as large; nothing where BatchNorm's groups do not allow it.
std::optional<Passes> Session::smaller_passes() const {
  const std::int64_t multiple = pass_granularity(graph());
  if (multiple == 0 || passes_.micro_batch_size <= multiple) return std::nullopt;
  Passes smaller = passes_;
  smaller.micro_batch_size = std::max(multiple, passes_.micro_batch_size / 2 / multiple * multiple);
  return smaller;
}

/// Lays the plan over the memory there is and binds its passes. Throws OutOfMemory.
void Session::bind() {
  transient_base_ = transient_.require(plan_->bytes.transient);
  host_base_ = host_.require(plan_->bytes.host);
  const Plan& training = training_plan();
  // Padding between the columns of partial sums is summed with them: it must be zero.
  const std::int64_t partial_sums = training.arena_bytes(ArenaKind::partial_sums);
  if (partial_sums > 0) backend_.zero(transient_base_, partial_sums);
  training_.emplace(training, backend_, bases_of(training), training_data_.arrays());
  gradients_value_ = training.program.find("gradients");
  upload_tables(training, backend_, bases_of(training));
  const std::int64_t batch = training.request.batch_size;
  prepare_passes(*training_, batch);
  const std::int64_t last = training_samples() % batch;
  if (last > 0) prepare_passes(*training_, last);
  if (plan_->validation) {
    validation_.emplace(*plan_->validation, backend_, bases_of(*plan_->validation),
                        training_data_.arrays(training_samples()));
    prepare_passes(*validation_, validation_samples());
  }
  if (plan_->test) {
    test_.emplace(*plan_->test, backend_, bases_of(*plan_->test), test_data_.arrays());
    prepare_passes(*test_, test_samples());
  }
}

/// Where the arenas of one of the run's plans begin.
std::array<std::byte*, kArenaKinds> Session::bases_of(const Plan& plan) const {
  std::array<std::byte*, kArenaKinds> bases{};
  bases[index_of(ArenaKind::parameters)] = parameters_.data();
  bases[index_of(ArenaKind::gradients)] = gradients_.data();
  bases[index_of(ArenaKind::optimizer)] = optimizer_.data();
  bases[index_of(ArenaKind::control)] = control_.data();
  bases[index_of(ArenaKind::host)] = host_base_;
  const TransientLayout layout =
      transient_layout(plan, training_plan().arena_bytes(ArenaKind::partial_sums));
  assert(layout.offset_bytes[index_of(ArenaKind::batch)] % kArenaAlignmentBytes == 0);
  for (const ArenaKind kind : {ArenaKind::partial_sums, ArenaKind::batch, ArenaKind::activations}) {
    bases[index_of(kind)] = transient_base_ + layout.offset_bytes[index_of(kind)];
  }
  return bases;
}

void Session::check_ids(std::span<const std::int32_t> sample_ids) const {
  const auto batch = static_cast<std::int64_t>(sample_ids.size());
  if (batch < 1 || batch > training_plan().request.batch_size) {
    throw std::invalid_argument("update takes 1 to batch_size sample ids");
  }
  for (const std::int32_t id : sample_ids) {
    if (id < 0 || id >= facts_.data.rows) {
      throw std::invalid_argument(fmt::format("there is no training sample {}", id));
    }
  }
}

UpdateStatus Session::update(std::span<const std::int32_t> sample_ids, std::int64_t step,
                             double learning_rate, GradientNorms* norms) {
  if (!training_) throw std::logic_error("update() after memory was refused");
  if (norms != nullptr && !measures_gradients()) {
    throw std::logic_error("gradient norms of a plan that does not measure them");
  }
  check_ids(sample_ids);
  const auto batch = static_cast<std::int64_t>(sample_ids.size());
  const std::int64_t rows_at_most = training_plan().request.micro_batch_size;
  const OptimizerConfig& optimizer = experiment_.optimizer;
  UpdateScalars scalars;
  scalars.seed = experiment_.seed;
  scalars.step = static_cast<std::uint64_t>(step);
  scalars.batch_samples = batch;
  scalars.gradient_scale = 1.0 / static_cast<double>(batch);
  if (experiment_.training.accumulation == Accumulation::sum) {
    scalars.gradient_scale *= static_cast<double>(micro_batches(batch));
  }
  scalars.learning_rate = learning_rate;
  scalars.bias_correction1 = 1.0 - std::pow(optimizer.beta1, static_cast<double>(step));
  scalars.bias_correction2 = 1.0 - std::pow(optimizer.beta2, static_cast<double>(step));
  const auto measurements = norms == nullptr ? MeasurementSteps::skipped : MeasurementSteps::taken;
  training_->set_indices(sample_ids);
  for (std::int64_t first = 0; first < batch; first += rows_at_most) {
    scalars.first_sample = first;
    training_->run_pass(std::min(rows_at_most, batch - first), scalars, measurements);
  }
  const SampleRange own{0, batch, batch};
  communicator_.reduce_partial_sums(training_->view(gradients_value_), own);
  const UpdateStatus status = training_->run_update(scalars);
  if (norms != nullptr) *norms = gradient_norms(status, scalars);
  return status;
}

std::vector<std::int32_t> Session::nonfinite_samples(
    std::span<const std::int32_t> sample_ids) const {
  const std::vector<std::byte> losses =
      training_->download(training_plan().program.find("loss"), 1);
  std::vector<std::int32_t> samples;
  for (std::size_t position = 0; position < sample_ids.size(); ++position) {
    if (!finite_at(losses, static_cast<std::int64_t>(position), backend_.real())) {
      samples.push_back(sample_ids[position]);
    }
  }
  return samples;
}

std::vector<std::string> Session::nonfinite_gradients() const {
  const Plan& plan = training_plan();
  const std::vector<std::byte> values = training_->download(gradients_value_, 1);
  std::vector<std::string> names;
  for (const ParameterPlace& place : plan.parameters.places) {
    if (plan.program.find(place.spec.name + ".gradient") == kNoValue) continue;
    bool finite = true;
    for (std::int64_t element = place.offset; element < place.offset + place.count; ++element) {
      finite = finite && finite_at(values, element, backend_.real());
    }
    if (!finite) names.push_back(place.spec.name);
  }
  return names;
}

std::string Session::describe_nonfinite(std::span<const std::int32_t> sample_ids) const {
  const std::vector<std::int32_t> samples = nonfinite_samples(sample_ids);
  const std::vector<std::string> gradients = nonfinite_gradients();
  std::string text;
  if (!gradients.empty()) text += fmt::format("the gradient of {}", first_of(gradients));
  if (samples.empty()) {
    text += fmt::format(" (batch of samples {})", first_of(sample_ids));
  } else {
    text += fmt::format("{}the loss of sample{} {}", text.empty() ? "" : " and ",
                        samples.size() > 1 ? "s" : "", first_of(samples));
  }
  return text;
}

std::optional<SplitResult> Session::evaluate_validation() {
  if (!validation_) return std::nullopt;
  return evaluate_split(*validation_);
}

std::optional<SplitResult> Session::evaluate_test() {
  if (!test_) return std::nullopt;
  return evaluate_split(*test_);
}

Classification Session::classify_test() const {
  if (!test_) throw std::logic_error("classify_test() without test samples");
  return classify(test_labels_, predicted_classes(*test_), graph().classes());
}

ParameterArena Session::weights() const {
  return {.backend = &backend_,
          .layout = &training_plan().parameters,
          .base = parameters_.data(),
          .with_running = true};
}

ParameterArena Session::gradients() const {
  return {.backend = &backend_,
          .layout = &training_plan().parameters,
          .base = gradients_.data(),
          .with_running = false};
}

ParameterArena Session::optimizer_slot(int slot) const {
  const std::int64_t bytes = training_plan().parameters.weights_elements *
                             static_cast<std::int64_t>(size_in_bytes(backend_.real()));
  return {.backend = &backend_,
          .layout = &training_plan().parameters,
          .base = optimizer_.data() + slot * bytes,
          .with_running = false};
}

std::string Session::weights_sha256() const {
  return batchwise::weights_sha256(as_f32(download_tensors(weights())));
}

}  // namespace batchwise
