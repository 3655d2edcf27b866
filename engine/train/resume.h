// What may be changed when a run is resumed, evaluated or used for predictions.
#pragma once

#include "engine/model/experiment.h"

namespace batchwise {

/// Limits (epochs, max_steps, max_seconds) may be raised; the device, checkpoint_seconds and what
/// concerns memory alone (memory_budget, checkpoint, offload_activations and, where an update does
/// not depend on it, micro_batch_size) are free; anything else would alter the numbers: an
/// InputError names the first such key, what the run has and what was asked.
void check_resume_changes(const Experiment& recorded, const Experiment& asked);

/// What evaluate and predict may change of a run: where its data lie, the device, the batch size.
/// Randomness plays no part, so the seed stays the run's. InputError names another change. Returns
/// the experiment to use.
[[nodiscard]] Experiment for_inference(const Experiment& recorded, Experiment asked);

}  // namespace batchwise
