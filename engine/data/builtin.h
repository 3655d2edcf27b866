// Data sets drawn by the program, with the same bits on every machine. Training sample i depends on
// the seed and i alone, test samples on a range of ids of their own, so more samples change none.
#pragma once

#include <cstdint>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"

namespace batchwise {

/// | name   | features                                   | samples | test | features | classes |
/// | digits | u8 [1, 28, 28], see digits.h               | 10000   | 2000 | 784      | 10      |
/// | blobs  | f32, normal around a centre a class, which |         |      |          |         |
/// |        | is uniform in [-10, 10) along each axis    | 1000    | 200  | 2        | 3       |
/// | random | f32, normal or uniform in [0, 1)           | 1000    | 0    | 10       | 2       |
///
/// Labels are uniform. The columns are the defaults for what config leaves open. A normal number is
/// a sum of eight 16-bit integers, scaled to deviation 1: exact integers and one multiplication.
/// InputError for an unknown name or distribution and for sizes that cannot be.
[[nodiscard]] Dataset draw_builtin(const DataConfig& config, std::uint64_t seed);

}  // namespace batchwise
