#include "engine/train/inference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "engine/data/labels.h"
#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/stopwatch.h"
#include "engine/train/session.h"

namespace batchwise {
namespace {

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

/// The larger one, and NaN if either is.
double larger(double a, double b) { return std::isnan(a) || a >= b ? a : b; }

double largest_difference(std::span<const float> found, std::span<const float> expected) {
  double largest = 0.0;
  for (std::size_t index = 0; index < found.size(); ++index) {
    const double difference =
        std::abs(static_cast<double>(found[index]) - static_cast<double>(expected[index]));
    largest = larger(largest, difference);
  }
  return largest;
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
                             .target = {backend_.device_kind(), experiment.numerics},
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

BatchSizeComparison compare_predictions(std::span<const float> found,
                                        std::span<const float> one_by_one, std::int64_t classes) {
  const auto row_size = static_cast<std::size_t>(classes);
  BatchSizeComparison comparison;
  for (std::size_t first = 0; first < found.size(); first += row_size) {
    const std::span<const float> row = found.subspan(first, row_size);
    const std::span<const float> expected = one_by_one.subspan(first, row_size);
    // By their bits NaN and infinity equal themselves, which no difference can tell.
    const bool differs = std::memcmp(row.data(), expected.data(), row.size_bytes()) != 0;
    const double difference = differs ? largest_difference(row, expected) : 0.0;
    comparison.differences.push_back(difference);
    comparison.differing_samples += differs ? 1 : 0;
    comparison.largest_difference = larger(comparison.largest_difference, difference);
  }
  return comparison;
}

std::vector<BatchSizeComparison> compare_batch_sizes(const Experiment& experiment,
                                                     const RunFolder::StoredWeights& weights,
                                                     const Samples& samples,
                                                     std::span<const std::int64_t> batch_sizes,
                                                     bool probabilities) {
  Inference one_by_one(experiment, weights, samples, 1, Phase::prediction, probabilities);
  const std::vector<float> expected = one_by_one.predict();
  std::vector<BatchSizeComparison> comparisons;
  for (const std::int64_t batch_size : batch_sizes) {
    Inference inference(experiment, weights, samples, batch_size, Phase::prediction, probabilities);
    (void)inference.predict();  // warms caches and threads up
    const Stopwatch stopwatch;
    const std::vector<float> found = inference.predict();
    const double seconds = stopwatch.seconds();
    BatchSizeComparison comparison = compare_predictions(found, expected, one_by_one.classes());
    comparison.batch_size = batch_size;
    comparison.samples_per_second = static_cast<double>(samples.count) / seconds;
    comparisons.push_back(std::move(comparison));
  }
  return comparisons;
}

}  // namespace batchwise
