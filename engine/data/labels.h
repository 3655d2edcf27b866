// The check of labels against the number of classes, made before anything is launched.
#pragma once

#include <cstdint>

#include "engine/data/dataset.h"

namespace batchwise {

/// InputError naming source, sample, label and range unless every label is in [0, classes).
/// Unlabelled samples have nothing to check.
void check_labels(const Samples& samples, std::int64_t classes);

}  // namespace batchwise
