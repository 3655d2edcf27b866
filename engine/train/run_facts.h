// What a run knows of its data and model before it plans: samples of each split, the normalisation,
// the graph. All that can be wrong with them is found here.
#pragma once

#include "engine/data/dataset.h"
#include "engine/data/normalization.h"
#include "engine/execute/backend.h"
#include "engine/model/graph.h"
#include "engine/plan/run_plan.h"

namespace batchwise {

struct RunFacts {
  Graph graph;
  Normalization normalization;
  DataFacts data;
};

/// Splits the data and checks it against the model. Throws InputError.
[[nodiscard]] RunFacts examine(const Experiment& experiment, const Dataset& dataset);

/// Of the device that a backend stands for.
[[nodiscard]] DeviceFacts device_facts(const Backend& backend, Numerics numerics);

/// Samples kept for training: floor(samples * (1 - validation_split)), from the first on.
[[nodiscard]] std::int64_t training_part(std::int64_t samples, double validation_split);

/// The shape of one sample as the graph sees it.
[[nodiscard]] Dimensions sample_dimensions(const Samples& samples);

}  // namespace batchwise
