// Samples in host memory, as read from files or drawn by the program, before normalisation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/ops/tensor_view.h"

namespace batchwise {

/// One split. A sample's id is its row here. Features are stored as they are in the file, one
/// sample after another without padding, in u8 or f32 (float64 files are rounded to f32).
struct Samples {
  std::string source;                   ///< the file or generator, for messages
  std::int64_t count = 0;               ///< number of samples
  ElementType type = ElementType::f32;  ///< u8 or f32
  std::vector<std::int64_t> shape;      ///< of one sample: [features] or [channels, height, width]
  std::vector<std::byte> features;      ///< count * elements_per_sample() elements
  std::vector<std::int32_t> labels;     ///< count class indices, or empty when the file has none
  std::int64_t label_columns = 0;       ///< of one-hot labels; 0: the file has class indices
  std::vector<std::string> files;       ///< the files read, for hashes; empty for builtin data

  [[nodiscard]] std::int64_t elements_per_sample() const;
  [[nodiscard]] bool labelled() const { return !labels.empty(); }
};

/// The splits of a data set as they are in its files; the validation part is cut from train later.
struct Dataset {
  Samples train;
  std::optional<Samples> test;
  std::vector<std::string> notes;  ///< choices made while reading that the user should be told

  /// The files of both splits, each once: an .npz file holds both.
  [[nodiscard]] std::vector<std::string> files() const;
};

/// The shape of one sample of an array [samples, ...]: rank 1 gives [1], rank 2 [features], rank 3
/// [1, height, width], rank 4 [channels, height, width]; further axes are folded into the last.
[[nodiscard]] std::vector<std::int64_t> shape_of_sample(std::span<const std::int64_t> array_shape);

}  // namespace batchwise
