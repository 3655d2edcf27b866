// What may be changed when a run is resumed.
#pragma once

#include "engine/model/experiment.h"

namespace batchwise {

/// Limits (epochs, max_steps, max_seconds) may be raised; the device and checkpoint_seconds are
/// free; anything else would alter the numbers: an InputError names the first such key, what the
/// run has and what was asked.
void check_resume_changes(const Experiment& recorded, const Experiment& asked);

}  // namespace batchwise
