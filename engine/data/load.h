// Samples from wherever the experiment file or the command line says they are.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"

namespace batchwise {

/// The data set of an experiment, labelled, its splits alike in type and shape. The seed matters to
/// builtin data alone. InputError for anything wrong with the files.
[[nodiscard]] Dataset load_dataset(const DataConfig& config, std::uint64_t seed);

/// The samples of `--data PATH`: a folder of IDX files, or an .npz, .csv or IDX file, told by its
/// name and otherwise by the experiment's own kind. Labels may be absent. InputError unless a
/// sample has expected_elements elements.
[[nodiscard]] Samples load_samples(const DataConfig& config, const std::filesystem::path& path,
                                   std::int64_t expected_elements);

}  // namespace batchwise
