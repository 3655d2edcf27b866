#include "engine/analysis/loss_surface.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/error.h"

namespace batchwise {
namespace {

/// Samples of a pass: enough to keep a device busy, few enough for any memory that trained the run.
constexpr std::int64_t kPassSamples = 1024;

/// The number of samples in each of as few passes as hold at most kPassSamples, about equal.
std::int64_t pass_samples(std::int64_t samples) {
  const std::int64_t passes = (samples + kPassSamples - 1) / kPassSamples;
  return (samples + passes - 1) / passes;
}

bool is_trained_batchnorm(const LayerConfig& layer) {
  return layer.type == LayerType::batchnorm && layer.trainable;
}

/// What one feature becomes for the network, in f32.
template <class T>
void standardize(const Samples& from, const Normalization& normalization, std::byte* to) {
  const std::int64_t elements = from.elements_per_sample();
  const std::int64_t per_channel = elements / normalization.channels;
  for (std::int64_t index = 0; index < from.count * elements; ++index) {
    T raw;
    std::memcpy(&raw, from.features.data() + index * static_cast<std::int64_t>(sizeof(T)),
                sizeof(T));
    const auto channel = static_cast<std::size_t>(index % elements / per_channel);
    const float value =
        (static_cast<float>(raw) - normalization.shift[channel]) / normalization.divisor[channel];
    std::memcpy(to + index * 4, &value, 4);
  }
}

/// Samples that a session normalises as the run did. "standardize" would take mean and deviation of
/// these samples in place of the run's, so it is done here.
Dataset normalized_as(const Normalization& normalization, const Samples& samples,
                      Experiment& experiment) {
  Dataset dataset;
  experiment.data.normalize = normalization.kind;
  dataset.train = samples;
  if (normalization.kind != Normalize::standardize) return dataset;
  experiment.data.normalize = Normalize::none;
  dataset.train.type = ElementType::f32;
  dataset.train.features.resize(
      static_cast<std::size_t>(samples.count * samples.elements_per_sample()) * 4);
  if (samples.type == ElementType::u8) {
    standardize<std::uint8_t>(samples, normalization, dataset.train.features.data());
  } else {
    standardize<float>(samples, normalization, dataset.train.features.data());
  }
  return dataset;
}

Experiment measuring_experiment(const Experiment& of, BatchNormForm form, std::int64_t samples,
                                std::int64_t batch_size) {
  Experiment experiment = of;
  experiment.optimizer = {};
  experiment.optimizer.name = OptimizerName::sgd;
  experiment.schedule = {};
  experiment.batch_schedule = {};
  experiment.measure = {};
  experiment.measure.noise_scale_every_steps = 0;
  experiment.data.validation_split = 0.0;
  experiment.data.drop_last = true;
  std::vector<LayerConfig>& layers = experiment.model.layers;
  std::erase_if(layers, [](const LayerConfig& layer) { return layer.type == LayerType::dropout; });
  const bool coupled = form == BatchNormForm::batch_statistics &&
                       std::any_of(layers.begin(), layers.end(), is_trained_batchnorm);
  experiment.training = {};
  experiment.training.batch_size = batch_size;
  experiment.training.micro_batch_size = coupled ? kAutomatic : pass_samples(batch_size);
  for (LayerConfig& layer : layers) {
    if (!is_trained_batchnorm(layer)) continue;
    if (form == BatchNormForm::running_statistics) layer.trainable = false;
    if (form == BatchNormForm::pass_statistics) layer.group = pass_samples(samples);
    // So that what an update leaves as running statistics are the batch's.
    if (form == BatchNormForm::batch_statistics) layer.momentum = 1.0;
  }
  return experiment;
}

double number_at(const TensorData& tensor, std::int64_t index) {
  if (tensor.type == TensorType::f64) {
    double value = 0.0;
    std::memcpy(&value, tensor.bytes.data() + index * 8, 8);
    return value;
  }
  float value = 0.0f;
  std::memcpy(&value, tensor.bytes.data() + index * 4, 4);
  return static_cast<double>(value);
}

std::int64_t elements_of(const TensorData& tensor) {
  return static_cast<std::int64_t>(tensor.bytes.size()) / (tensor.type == TensorType::f64 ? 8 : 4);
}

/// The trained part of the weights.
ParameterArena trained_weights(const Session& session) {
  ParameterArena arena = session.weights();
  arena.with_running = false;
  return arena;
}

}  // namespace

std::unique_ptr<Session> measuring_session(const MeasuredRun& run, const Samples& samples,
                                           BatchNormForm form, std::int64_t batch_size) {
  Experiment experiment = measuring_experiment(run.experiment, form, samples.count, batch_size);
  Dataset dataset = normalized_as(run.stored.normalization, samples, experiment);
  auto session = std::make_unique<Session>(std::move(experiment), std::move(dataset));
  upload_tensors(session->weights(), run.stored.tensors, "weights.safetensors");
  return session;
}

Eigen::VectorXd flat_vector(std::span<const TensorData> tensors) {
  std::int64_t count = 0;
  for (const TensorData& tensor : tensors) count += elements_of(tensor);
  Eigen::VectorXd flat(count);
  Eigen::Index position = 0;
  for (const TensorData& tensor : tensors) {
    const std::int64_t elements = elements_of(tensor);
    for (std::int64_t index = 0; index < elements; ++index) {
      flat[position++] = number_at(tensor, index);
    }
  }
  return flat;
}

Eigen::VectorXd flat_vector(const ParameterArena& arena) {
  return flat_vector(download_tensors(arena));
}

LossSurface::LossSurface(const MeasuredRun& run, const Samples& samples, BatchNormForm form)
    : session_(measuring_session(run, samples, form, samples.count)),
      ids_(static_cast<std::size_t>(samples.count)) {
  std::iota(ids_.begin(), ids_.end(), 0);
  tensors_ = download_tensors(trained_weights(*session_));
  stored_ = flat_vector(tensors_);
  if (stored_.size() == 0) {
    throw InputError("the model has no weights that are trained (trainable), so its loss is flat");
  }
  for (TensorData& tensor : tensors_) {
    tensor.bytes.resize(static_cast<std::size_t>(elements_of(tensor)) * 8);
    tensor.type = TensorType::f64;
  }
}

void LossSurface::upload(const Eigen::VectorXd& weights) {
  const double* next = weights.data();
  for (TensorData& tensor : tensors_) {
    std::memcpy(tensor.bytes.data(), next, tensor.bytes.size());
    next += elements_of(tensor);
  }
  upload_tensors(trained_weights(*session_), tensors_, "a point of the loss surface");
}

double LossSurface::evaluate(const Eigen::VectorXd& weights, Eigen::VectorXd& gradient) {
  if (before_each_) before_each_();
  upload(weights);
  ++evaluations_;
  const UpdateStatus status = session_->update(ids_, 1, 0.0);
  const auto samples = static_cast<double>(ids_.size());
  gradient = flat_vector(session_->gradients()) / samples;
  accuracy_ = status.correct / samples;
  return status.loss_sum / samples;
}

double LossSurface::rounding() const {
  return session_->backend().real() == ElementType::f64
             ? std::numeric_limits<double>::epsilon() / 2
             : static_cast<double>(std::numeric_limits<float>::epsilon()) / 2;
}

}  // namespace batchwise
