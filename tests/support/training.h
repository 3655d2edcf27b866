// What tests of whole training runs are built from: random samples, and stored tensors as doubles.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/files/safetensors.h"
#include "engine/model/experiment_file.h"
#include "engine/train/session.h"
#include "tests/support/kernel_harness.h"

namespace batchwise::testing_support {

/// Normal features and uniform labels; the same for the same seed.
[[nodiscard]] inline Samples random_samples(std::int64_t count, std::vector<std::int64_t> shape,
                                            std::int32_t classes, std::uint32_t seed) {
  Samples samples{.source = "random samples",
                  .count = count,
                  .type = ElementType::f32,
                  .shape = std::move(shape),
                  .features = {},
                  .labels = random_integers(count, seed + 1, classes),
                  .files = {}};
  const std::vector<float> values = random_values(count * samples.elements_per_sample(), seed);
  samples.features.resize(values.size() * sizeof(float));
  std::memcpy(samples.features.data(), values.data(), samples.features.size());
  return samples;
}

/// An experiment from sections as in a file; its data section is left to the test's own samples.
[[nodiscard]] inline Experiment experiment_of(const std::string& sections, Precision precision) {
  Experiment experiment = parse_experiment(
      sections + "\n[data]\nkind = \"builtin\"\nname = \"blobs\"\nnormalize = \"none\"\n", "test",
      "/", {});
  experiment.precision = precision;
  return experiment;
}

/// The elements of an f32 or f64 tensor.
[[nodiscard]] inline std::vector<double> doubles_of(const TensorData& tensor) {
  std::vector<double> values;
  const std::size_t size = size_in_bytes(tensor.type);
  for (std::size_t at = 0; at < tensor.bytes.size(); at += size) {
    if (tensor.type == TensorType::f64) {
      std::memcpy(&values.emplace_back(), &tensor.bytes[at], size);
    } else {
      float value = 0.0f;
      std::memcpy(&value, &tensor.bytes[at], size);
      values.push_back(static_cast<double>(value));
    }
  }
  return values;
}

/// An f64 tensor.
[[nodiscard]] inline TensorData tensor_of(std::string name, std::vector<std::int64_t> shape,
                                          std::span<const double> values) {
  TensorData tensor{.name = std::move(name),
                    .type = TensorType::f64,
                    .shape = std::move(shape),
                    .bytes = std::vector<std::byte>(values.size_bytes())};
  std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
  return tensor;
}

/// All elements of all tensors, one after the other.
[[nodiscard]] inline std::vector<double> elements_of(std::span<const TensorData> tensors) {
  std::vector<double> all;
  for (const TensorData& tensor : tensors) {
    const std::vector<double> values = doubles_of(tensor);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

/// The Euclidean norm.
[[nodiscard]] inline double norm_of(std::span<const double> values) {
  double squares = 0.0;
  for (const double value : values) squares += value * value;
  return std::sqrt(squares);
}

/// The Euclidean norm of left - right, which have as many elements as each other.
[[nodiscard]] inline double distance(std::span<const double> left, std::span<const double> right) {
  if (left.size() != right.size()) throw std::logic_error("distance between different sizes");
  double squares = 0.0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    squares += (left[i] - right[i]) * (left[i] - right[i]);
  }
  return std::sqrt(squares);
}

}  // namespace batchwise::testing_support
