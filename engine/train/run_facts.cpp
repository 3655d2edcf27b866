#include "engine/train/run_facts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "engine/data/labels.h"
#include "engine/error.h"

namespace batchwise {
namespace {

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

DataFacts split(const Experiment& experiment, const Dataset& dataset) {
  check_labelled(dataset.train);
  check_test_shape(dataset);
  const double validation_split = experiment.data.validation_split;
  DataFacts facts{.sample = sample_dimensions(dataset.train),
                  .type = dataset.train.type,
                  .rows = dataset.train.count,
                  .training_samples = training_part(dataset.train.count, validation_split)};
  facts.validation_samples = facts.rows - facts.training_samples;
  if (facts.training_samples == 0) {
    throw InputError(
        fmt::format("data.validation_split = {} leaves none of the {} samples of {} for training",
                    validation_split, facts.rows, dataset.train.source));
  }
  if (experiment.training.early_stopping.patience > 0 && facts.validation_samples == 0) {
    throw InputError(
        "training.early_stopping watches the validation loss, but there are no validation samples; "
        "set data.validation_split");
  }
  if (dataset.test) {
    check_labelled(*dataset.test);
    facts.test_samples = dataset.test->count;
  }
  return facts;
}

}  // namespace

std::int64_t training_part(std::int64_t samples, double validation_split) {
  return static_cast<std::int64_t>(
      std::floor(static_cast<double>(samples) * (1.0 - validation_split)));
}

Dimensions sample_dimensions(const Samples& samples) {
  Dimensions dimensions;
  for (const std::int64_t extent : samples.shape) dimensions.push_back(extent);
  return dimensions;
}

RunFacts examine(const Experiment& experiment, const Dataset& dataset) {
  RunFacts facts;
  facts.data = split(experiment, dataset);
  facts.graph = build_graph(experiment.model, facts.data.sample);
  check_labels(dataset.train, facts.graph.classes());
  if (dataset.test) check_labels(*dataset.test, facts.graph.classes());
  facts.normalization =
      compute_normalization(dataset.train, facts.data.training_samples, experiment.data.normalize);
  facts.data.normalization_channels = facts.normalization.channels;
  return facts;
}

DeviceFacts device_facts(const Backend& backend, Numerics numerics) {
  return {.target = {backend.device_kind(), numerics},
          .real = backend.real(),
          .granularity = backend.memory_granularity()};
}

}  // namespace batchwise
