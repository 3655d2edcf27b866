#include "engine/train/inference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "engine/data/labels.h"
#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/train/session.h"

namespace batchwise {
namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Dimensions input_dimensions(const RunFolder::StoredWeights& weights) {
  Dimensions shape;
  for (const std::int64_t extent : weights.input_shape) shape.push_back(extent);
  return shape;
}

Samples split_of(const Experiment& experiment, const std::string& what) {
  Dataset dataset = load_dataset(experiment.data, experiment.seed);
  if (what == "test") {
    if (!dataset.test || dataset.test->count == 0) {
      throw InputError(
          fmt::format("{} has no test samples; use --data train, --data validation or "
                      "--data PATH",
                      dataset.train.source));
    }
    return std::move(*dataset.test);
  }
  const std::int64_t kept = training_part(dataset.train.count, experiment.data.validation_split);
  if (what == "train") return slice(dataset.train, 0, kept);
  if (kept == dataset.train.count) {
    throw InputError(
        "the run has no validation samples (data.validation_split = 0); use --data "
        "train, --data test or --data PATH");
  }
  return slice(dataset.train, kept, dataset.train.count - kept);
}

}  // namespace

Samples slice(const Samples& samples, std::int64_t first, std::int64_t count) {
  Samples part = samples;
  const std::int64_t bytes =
      samples.elements_per_sample() * static_cast<std::int64_t>(size_in_bytes(samples.type));
  part.count = count;
  part.features.assign(samples.features.begin() + first * bytes,
                       samples.features.begin() + (first + count) * bytes);
  if (samples.labelled()) {
    part.labels.assign(samples.labels.begin() + first, samples.labels.begin() + first + count);
  }
  return part;
}

Samples select_samples(const Experiment& experiment, const RunFolder::StoredWeights& weights,
                       const std::string& what) {
  const std::int64_t expected = input_dimensions(weights).elements();
  const bool is_split = what == "train" || what == "validation" || what == "test";
  std::error_code ignored;
  if (!is_split && !std::filesystem::exists(what, ignored)) {
    throw InputError(fmt::format(
        "--data {}: no such file or folder; expected train, validation, test or a path", what));
  }
  Samples samples =
      is_split ? split_of(experiment, what) : load_samples(experiment.data, what, expected);
  if (samples.elements_per_sample() != expected) {
    throw InputError(fmt::format(
        "{} has samples of shape [{}]; the model was trained on samples of shape [{}]",
        samples.source, fmt::join(samples.shape, ", "), fmt::join(weights.input_shape, ", ")));
  }
  if (samples.count == 0) throw InputError(fmt::format("{} holds no samples", samples.source));
  return samples;
}

Inference::Inference(const Experiment& experiment, const RunFolder::StoredWeights& weights,
                     const Samples& samples, std::int64_t batch_size, Phase phase,
                     bool probabilities)
    : backend_(find_backend(experiment.device)),
      graph_(build_graph(experiment.model, input_dimensions(weights))) {
  if (phase == Phase::evaluation && !samples.labelled()) {
    throw InputError(
        fmt::format("{} has no labels, so there is nothing to evaluate against; use "
                    "predict",
                    samples.source));
  }
  if (samples.type != ElementType::u8 && weights.normalization.kind == Normalize::unit) {
    throw InputError(
        fmt::format("{} holds floats, but the run was trained on bytes divided by 255 "
                    "(data.normalize = \"unit\"); give it bytes",
                    samples.source));
  }
  check_labels(samples, graph_.classes());
  plan_ = make_plan(graph_, {.phase = phase,
                             .batch_size = samples.count,
                             .micro_batch_size = std::min(batch_size, samples.count),
                             .last_batch_size = 0,
                             .real = backend_.real(),
                             .optimizer = {},
                             .probabilities = probabilities,
                             .data_type = samples.type,
                             .data_samples = samples.count,
                             .normalization_channels = weights.normalization.channels});
  arenas_ = Arenas(backend_, plan_.placement.arena_bytes, meter_);
  data_ = ResidentData(samples, weights.normalization, backend_, meter_);
  executor_.emplace(plan_, backend_, arenas_, data_.arrays());
  prepare_passes(*executor_, samples.count);
  upload_tensors({.backend = &backend_,
                  .layout = &plan_.parameters,
                  .base = arenas_[ArenaKind::parameters].data(),
                  .with_running = true},
                 weights.tensors, "weights.safetensors");
}

SplitResult Inference::evaluate() { return evaluate_split(*executor_); }

std::vector<std::int32_t> Inference::predicted_classes() const {
  return batchwise::predicted_classes(*executor_);
}

std::vector<float> Inference::predict() {
  std::vector<float> all(static_cast<std::size_t>(plan_.request.batch_size * classes()));
  predict_split(*executor_, [&](std::int64_t first, std::int64_t, std::span<const float> values) {
    std::copy(values.begin(), values.end(), all.begin() + first * classes());
  });
  return all;
}

std::vector<BatchSizeComparison> compare_batch_sizes(const Experiment& experiment,
                                                     const RunFolder::StoredWeights& weights,
                                                     const Samples& samples,
                                                     std::span<const std::int64_t> batch_sizes,
                                                     bool probabilities) {
  Inference one_by_one(experiment, weights, samples, 1, Phase::prediction, probabilities);
  const std::vector<float> expected = one_by_one.predict();
  const std::int64_t classes = one_by_one.classes();
  std::vector<BatchSizeComparison> comparisons;
  for (const std::int64_t batch_size : batch_sizes) {
    Inference inference(experiment, weights, samples, batch_size, Phase::prediction, probabilities);
    (void)inference.predict();  // warms caches and threads up
    const double began = now_seconds();
    const std::vector<float> found = inference.predict();
    BatchSizeComparison comparison;
    comparison.batch_size = batch_size;
    comparison.samples_per_second = static_cast<double>(samples.count) / (now_seconds() - began);
    for (std::int64_t sample = 0; sample < samples.count; ++sample) {
      double largest = 0.0;
      for (std::int64_t index = sample * classes; index < (sample + 1) * classes; ++index) {
        const double difference =
            std::abs(static_cast<double>(found[index]) - static_cast<double>(expected[index]));
        if (!(difference <= largest)) largest = difference;  // NaN stays visible
      }
      comparison.differences.push_back(largest);
      comparison.differing_samples += largest == 0.0 ? 0 : 1;
      if (!(largest <= comparison.largest_difference)) comparison.largest_difference = largest;
    }
    comparisons.push_back(std::move(comparison));
  }
  return comparisons;
}

}  // namespace batchwise
