// The IDX format of MNIST and its relatives, plain or gzip-compressed: a magic number 00 00 08
// rank, the extents as big-endian 32-bit numbers, then unsigned bytes in C order. Every function
// throws InputError; sizes are compared with the file before memory is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/data/dataset.h"

namespace batchwise {

struct IdxArray {
  std::vector<std::int64_t> shape;  ///< rank 1 to 4, no extent is 0
  std::vector<std::byte> bytes;     ///< unsigned bytes
};

/// Reads one file; whether it is compressed is told by its content, not its name.
[[nodiscard]] IdxArray read_idx(const std::filesystem::path& path);

/// Reads a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the t10k pair, each
/// plain or with .gz; plain is preferred, and noted. Without the t10k pair there is no test part.
[[nodiscard]] Dataset read_idx_dataset(const std::filesystem::path& folder);

/// Reads what `evaluate` and `predict` are given: a folder, of which the t10k files are taken or,
/// where there are none, the train files, without labels if they are absent; or one file of images.
[[nodiscard]] Samples read_idx_samples(const std::filesystem::path& path);

}  // namespace batchwise
