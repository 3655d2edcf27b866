// What is done to raw features before the network sees them: x = (raw - shift) / divisor.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"

namespace batchwise {

/// Element e of a sample belongs to channel e / (elements per sample / channels).
struct Normalization {
  Normalize kind = Normalize::none;  ///< unit, standardize or none
  std::int64_t channels = 1;
  std::vector<float> shift{};    ///< [channels]
  std::vector<float> divisor{};  ///< [channels]
};

/// unit: divides by 255, InputError unless the features are bytes. standardize: the mean and the
/// population deviation of the first training_count samples, per feature for samples [features],
/// per channel for [channels, height, width]; zero deviation becomes 1. automatic: unit for bytes,
/// none for floats. InputError if training_count is 0.
[[nodiscard]] Normalization compute_normalization(const Samples& train, std::int64_t training_count,
                                                  Normalize kind);

}  // namespace batchwise
