// The parts of the experiment schema, a section of the file each, and the intervals they share.
// Only experiment_schema*.cpp include this.
#pragma once

#include "engine/model/experiment_schema.h"

namespace batchwise {

inline constexpr Interval kCount{.lowest = 0, .highest = kLargestCount};
inline constexpr Interval kPositiveCount{.lowest = 1, .highest = kLargestCount};
inline constexpr Interval kNotNegative{.lowest = 0};
inline constexpr Interval kPositive{.lowest = 0, .lowest_open = true};
inline constexpr Interval kShare{.lowest = 0, .highest = 1, .highest_open = true};
inline constexpr Interval kClosedShare{.lowest = 0, .highest = 1};

[[nodiscard]] std::vector<Key> data_keys();
[[nodiscard]] std::vector<Key> model_keys();
[[nodiscard]] std::vector<Key> layer_keys();
[[nodiscard]] std::vector<Key> optimizer_keys();
[[nodiscard]] std::vector<Key> schedule_keys();
[[nodiscard]] std::vector<Key> batch_schedule_keys();
[[nodiscard]] std::vector<Key> training_keys();
[[nodiscard]] std::vector<Key> measure_keys();

}  // namespace batchwise
