// What was measured of a run after training, as text.
#pragma once

#include <string>

#include "engine/analysis/measurements.h"

namespace batchwise {

/// Lines for people, without a newline at the end; empty where nothing was measured on the weights.
[[nodiscard]] std::string to_text(const Measurements& measurements);

}  // namespace batchwise
