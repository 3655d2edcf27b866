// NumPy's archives of arrays (numpy.savez, savez_compressed): zip files with one .npy an array,
// stored or deflated. Every function throws InputError; checksums are compared.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "engine/data/dataset.h"
#include "engine/data/npy.h"

namespace batchwise {

/// Reads every array under its name without .npy.
[[nodiscard]] std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path);

/// Reads x_train and y_train, and where they exist x_test and y_test. Features are float32, float64
/// (rounded to float32) or uint8 of rank 1 to 4; labels integers [n] or [n, 1], or one-hot
/// [n, classes] of any type. Other arrays are not read, and noted.
[[nodiscard]] Dataset read_npz_dataset(const std::filesystem::path& path);

/// Reads what `evaluate` and `predict` are given: x_test or, where it is absent, x_train, with the
/// labels beside it if they are there.
[[nodiscard]] Samples read_npz_samples(const std::filesystem::path& path);

}  // namespace batchwise
