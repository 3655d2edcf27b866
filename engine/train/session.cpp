#include "engine/train/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "engine/data/labels.h"
#include "engine/error.h"
#include "engine/memory/free_memory.h"

namespace batchwise {
namespace {

constexpr std::size_t index_of(ArenaKind kind) { return static_cast<std::size_t>(kind); }

void check_test_shape(const Dataset& dataset) {
  if (!dataset.test || dataset.test->shape == dataset.train.shape) return;
  throw InputError(fmt::format("{} has samples of shape [{}], but {} has [{}]; both must agree",
                               dataset.test->source, fmt::join(dataset.test->shape, ", "),
                               dataset.train.source, fmt::join(dataset.train.shape, ", ")));
}

void check_labelled(const Samples& samples) {
  if (samples.labelled() || samples.count == 0) return;
  throw InputError(fmt::format("{} has no labels; training needs one a sample", samples.source));
}

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

std::int64_t MemoryPlan::total_bytes() const {
  return std::accumulate(arenas.begin(), arenas.end(), std::int64_t{0});
}

std::int64_t training_part(std::int64_t samples, double validation_split) {
  return static_cast<std::int64_t>(
      std::floor(static_cast<double>(samples) * (1.0 - validation_split)));
}

Dimensions sample_dimensions(const Samples& samples) {
  Dimensions dimensions;
  for (const std::int64_t extent : samples.shape) dimensions.push_back(extent);
  return dimensions;
}

std::array<std::int64_t, kArenaKinds> combined_arena_bytes(std::span<const Plan> plans) {
  std::array<std::int64_t, kArenaKinds> bytes{};
  for (const Plan& plan : plans) {
    for (std::size_t kind = 0; kind < bytes.size(); ++kind) {
      bytes[kind] = std::max(bytes[kind], plan.placement.arena_bytes[kind]);
    }
  }
  return bytes;
}

Session::Session(Experiment experiment, Dataset dataset, SessionUse use)
    : experiment_(std::move(experiment)),
      backend_(find_backend(experiment_.precision == Precision::fp64 ? "reference"
                                                                     : experiment_.device)) {
  split_and_check(dataset);
  graph_ = build_graph(experiment_.model, sample_dimensions(dataset.train));
  check_labels(dataset.train, graph_.classes());
  if (dataset.test) check_labels(*dataset.test, graph_.classes());
  normalization_ =
      compute_normalization(dataset.train, training_samples_, experiment_.data.normalize);
  experiment_.data.normalize = normalization_.kind;
  data_type_ = dataset.train.type;
  resident_bytes_ = ResidentData::planned_bytes(dataset.train, normalization_, backend_);
  if (test_samples_ > 0) {
    resident_bytes_ += ResidentData::planned_bytes(*dataset.test, normalization_, backend_);
  }
  resolve_batch_sizes(dataset);
  make_plans(dataset);
  if (use == SessionUse::plan_only) return;
  refuse_what_does_not_fit();
  allocate(dataset);
  initialize_weights(weights(), experiment_.seed);
}

void Session::split_and_check(const Dataset& dataset) {
  check_labelled(dataset.train);
  check_test_shape(dataset);
  all_training_rows_ = dataset.train.count;
  training_samples_ = training_part(all_training_rows_, experiment_.data.validation_split);
  validation_samples_ = all_training_rows_ - training_samples_;
  if (training_samples_ == 0) {
    throw InputError(
        fmt::format("data.validation_split = {} leaves none of the {} samples of {} for training",
                    experiment_.data.validation_split, all_training_rows_, dataset.train.source));
  }
  if (experiment_.training.early_stopping.patience > 0 && validation_samples_ == 0) {
    throw InputError(
        "training.early_stopping watches the validation loss, but there are no validation samples; "
        "set data.validation_split");
  }
  if (dataset.test) {
    check_labelled(*dataset.test);
    test_samples_ = dataset.test->count;
  }
}

PlanRequest Session::training_request(std::int64_t batch, std::int64_t micro_batch) const {
  const std::int64_t last = experiment_.data.drop_last ? 0 : training_samples_ % batch;
  return {.phase = Phase::training,
          .batch_size = batch,
          .micro_batch_size = std::min(micro_batch == 0 ? batch : micro_batch, batch),
          .last_batch_size = last,
          .real = backend_.real(),
          .target = {backend_.device_kind(), experiment_.numerics},
          .optimizer = experiment_.optimizer,
          .probabilities = false,
          .data_type = data_type_,
          .data_samples = all_training_rows_,
          .normalization_channels = normalization_.channels};
}

PlanRequest Session::evaluation_request(std::int64_t samples, std::int64_t rows,
                                        const Samples& data) const {
  return {.phase = Phase::evaluation,
          .batch_size = samples,
          .micro_batch_size = std::min(samples, rows),
          .last_batch_size = 0,
          .real = backend_.real(),
          .target = {backend_.device_kind(), experiment_.numerics},
          .optimizer = {},
          .probabilities = false,
          .data_type = data.type,
          .data_samples = samples,
          .normalization_channels = normalization_.channels};
}

/// The largest batch whose plans fit in what is free and whose BatchNorm groups are sound.
std::int64_t Session::largest_batch(const Dataset& dataset) const {
  const std::int64_t budget = backend_memory_budget(backend_) - resident_bytes_;
  const std::int64_t micro_batch = experiment_.training.micro_batch_size;
  const auto fits = [&](std::int64_t batch) {
    const auto bytes = combined_arena_bytes(unchecked_plans(dataset, batch, micro_batch));
    return std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0}) <= budget;
  };
  const std::int64_t limit = training_samples_;
  for (std::int64_t batch = largest_that(limit, fits); batch > 0; --batch) {
    try {
      check_batchnorm_groups(graph_, training_request(batch, micro_batch));
      return batch;
    } catch (const InputError&) {
      if (batch == 1) throw;
    }
  }
  throw InputError(fmt::format("not even a batch of 1 fits in the {} bytes that are free",
                               std::max<std::int64_t>(0, budget)));
}

void Session::resolve_batch_sizes(const Dataset& dataset) {
  TrainingConfig& training = experiment_.training;
  if (training.batch_size == 0) training.batch_size = largest_batch(dataset);
  if (training.micro_batch_size > training.batch_size) {
    throw InputError(fmt::format("training.micro_batch_size = {} is above training.batch_size = {}",
                                 training.micro_batch_size, training.batch_size));
  }
  if (steps_per_epoch() == 0) {
    throw InputError(
        fmt::format("data.drop_last = true drops every batch: {} training samples are fewer than "
                    "training.batch_size = {}; use a smaller batch size",
                    training_samples_, training.batch_size));
  }
}

std::int64_t Session::steps_per_epoch() const {
  const std::int64_t batch = experiment_.training.batch_size;
  return experiment_.data.drop_last ? training_samples_ / batch
                                    : (training_samples_ + batch - 1) / batch;
}

std::int64_t Session::micro_batch_size() const {
  const TrainingConfig& training = experiment_.training;
  return training.micro_batch_size == 0 ? training.batch_size : training.micro_batch_size;
}

std::int64_t Session::micro_batches(std::int64_t batch_samples) const {
  const std::int64_t rows = micro_batch_size();
  return (batch_samples + rows - 1) / rows;
}

std::vector<Plan> Session::unchecked_plans(const Dataset& dataset, std::int64_t batch_size,
                                           std::int64_t micro_batch_size) const {
  // A batch larger than the training set is never full.
  const std::int64_t batch = std::min(batch_size, training_samples_);
  const std::int64_t rows = std::min(batch, micro_batch_size == 0 ? batch : micro_batch_size);
  std::vector<Plan> plans;
  plans.push_back(make_unchecked_plan(graph_, training_request(batch, rows)));
  const auto add_evaluation = [&](std::int64_t samples, const Samples& data) {
    if (samples == 0) return;
    plans.push_back(make_unchecked_plan(graph_, evaluation_request(samples, rows, data)));
  };
  add_evaluation(validation_samples_, dataset.train);
  if (dataset.test) add_evaluation(test_samples_, *dataset.test);
  return plans;
}

void Session::make_plans(const Dataset& dataset) {
  const TrainingConfig& training = experiment_.training;
  plans_ = unchecked_plans(dataset, training.batch_size, training.micro_batch_size);
  check_batchnorm_groups(graph_, plans_.front().request);
  memory_plan_.arenas = combined_arena_bytes(plans_);
  memory_plan_.arenas[index_of(ArenaKind::external)] = resident_bytes_;
}

void Session::refuse_what_does_not_fit() const {
  const TrainingConfig& training = experiment_.training;
  const std::int64_t free_bytes = backend_.free_bytes();
  if (memory_plan_.total_bytes() > free_bytes) {
    throw InputError(fmt::format(
        "the plan needs {} bytes for training.batch_size = {} in passes of {}, but {} are free on "
        "{}; use a smaller training.micro_batch_size (the same results) or batch_size",
        memory_plan_.total_bytes(), training.batch_size, micro_batch_size(), free_bytes,
        backend_.name()));
  }
}

void Session::allocate(const Dataset& dataset) {
  arenas_ = Arenas(backend_, combined_arena_bytes(plans_), meter_);
  training_data_ = ResidentData(dataset.train, normalization_, backend_, meter_);
  training_.emplace(plans_[0], backend_, arenas_, training_data_.arrays());
  gradients_ = plans_[0].program.find("gradients");
  upload_tables(plans_[0], backend_, arenas_);
  const std::int64_t batch = plans_[0].request.batch_size;
  prepare_passes(*training_, batch);
  const std::int64_t last = training_samples_ % batch;
  if (last > 0) prepare_passes(*training_, last);
  std::size_t next = 1;
  if (validation_samples_ > 0) {
    validation_.emplace(plans_[next++], backend_, arenas_,
                        training_data_.arrays(training_samples_));
    prepare_passes(*validation_, validation_samples_);
  }
  if (test_samples_ > 0) {
    test_data_ = ResidentData(*dataset.test, normalization_, backend_, meter_);
    test_.emplace(plans_[next], backend_, arenas_, test_data_.arrays());
    prepare_passes(*test_, test_samples_);
  }
}

void Session::check_ids(std::span<const std::int32_t> sample_ids) const {
  const auto batch = static_cast<std::int64_t>(sample_ids.size());
  if (batch < 1 || batch > training_plan().request.batch_size) {
    throw std::invalid_argument("update takes 1 to batch_size sample ids");
  }
  for (const std::int32_t id : sample_ids) {
    if (id < 0 || id >= all_training_rows_) {
      throw std::invalid_argument(fmt::format("there is no training sample {}", id));
    }
  }
}

UpdateStatus Session::update(std::span<const std::int32_t> sample_ids, std::int64_t step,
                             double learning_rate) {
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
  training_->set_indices(sample_ids);
  for (std::int64_t first = 0; first < batch; first += rows_at_most) {
    scalars.first_sample = first;
    training_->run_pass(std::min(rows_at_most, batch - first), scalars);
  }
  const SampleRange own{0, batch, batch};
  communicator_.reduce_partial_sums(training_->view(gradients_), own);
  return training_->run_update(scalars);
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
  const std::vector<std::byte> values = training_->download(gradients_, 1);
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

ParameterArena Session::weights() const {
  return {.backend = &backend_,
          .layout = &training_plan().parameters,
          .base = arenas_[ArenaKind::parameters].data(),
          .with_running = true};
}

ParameterArena Session::optimizer_slot(int slot) const {
  const std::int64_t bytes = training_plan().parameters.weights_elements *
                             static_cast<std::int64_t>(size_in_bytes(backend_.real()));
  return {.backend = &backend_,
          .layout = &training_plan().parameters,
          .base = arenas_[ArenaKind::optimizer].data() + slot * bytes,
          .with_running = false};
}

std::string Session::weights_sha256() const {
  return batchwise::weights_sha256(as_f32(download_tensors(weights())));
}

}  // namespace batchwise
