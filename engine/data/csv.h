// Comma-separated numbers: one sample a line, features first, the class in the last column. Read
// as float32 whatever the locale. Every function throws InputError naming file, line and column.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/data/dataset.h"

namespace batchwise {

/// Reads a labelled file; with `header` its first line holds names and is passed over.
[[nodiscard]] Samples read_csv(const std::filesystem::path& path, bool header);

/// Reads what `evaluate` and `predict` are given: lines of `features` values are unlabelled, lines
/// of one value more have the class in the last column.
[[nodiscard]] Samples read_csv_samples(const std::filesystem::path& path, bool header,
                                       std::int64_t features);

}  // namespace batchwise
