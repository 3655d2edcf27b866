#include "engine/data/builtin.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/digits.h"
#include "engine/data/draws.h"
#include "engine/error.h"

namespace batchwise {
namespace {

/// The sizes of a data set, defaults filled in.
struct Sizes {
  std::int64_t samples, test_samples, features, classes;
};

void expect_between(const char* key, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  throw InputError(
      fmt::format("data.{} = {}; expected a number from {} to {}", key, value, low, high));
}

Sizes filled_in(const DataConfig& config, const Sizes& defaults) {
  constexpr std::int64_t kMost = INT32_MAX;
  const auto value_or = [](std::int64_t value, std::int64_t default_value) {
    return value == 0 ? default_value : value;
  };
  const Sizes sizes{value_or(config.samples, defaults.samples),
                    config.test_samples == -1 ? defaults.test_samples : config.test_samples,
                    value_or(config.features, defaults.features),
                    value_or(config.classes, defaults.classes)};
  expect_between("samples", sizes.samples, 1, kMost);
  expect_between("test_samples", sizes.test_samples, 0, kMost);
  expect_between("features", sizes.features, 1, kMost);
  expect_between("classes", sizes.classes, 2, kMost);
  return sizes;
}

/// Sum of eight uniform numbers (Irwin 1927, Hall 1927): close to normal, never beyond 4.9
/// deviations. Its variance is 8 (2^32 - 1) / 12.
float normal(Draws& draws) {
  constexpr double kOneOverDeviation = 0x1.3988e1412ed76p-16;
  std::int64_t sum = -4 * 65535;
  for (int draw = 0; draw < 4; ++draw) {
    const std::uint32_t word = draws.word();
    sum += (word & 0xffff) + (word >> 16);
  }
  return static_cast<float>(static_cast<double>(sum) * kOneOverDeviation);
}

/// Makes `values` rows x columns long, or says which keys are too large for that.
template <class T>
void allocate(std::vector<T>& values, const std::string& what, std::int64_t rows,
              std::int64_t columns, std::string_view keys) {
  const auto refuse = [&] {
    throw InputError(fmt::format("{}: {} x {} x {} bytes of host memory cannot be had; lower {}",
                                 what, rows, columns, sizeof(T), keys));
  };
  std::size_t size = 0;
  if (__builtin_mul_overflow(rows, columns, &size) || size > values.max_size()) refuse();
  try {
    values.resize(size);
  } catch (const std::bad_alloc&) {
    refuse();
  }
}

/// Calls draw(draws of the features, label, bytes of the sample) for each sample of a split.
template <class Draw>
Samples draw_split(const std::string& name, bool test, const Sizes& sizes, std::uint64_t seed,
                   std::vector<std::int64_t> shape, ElementType type, Stream stream, Draw draw) {
  constexpr std::uint32_t kFirstTestId = 1u << 31;
  Samples samples;
  samples.source = fmt::format("builtin \"{}\" ({})", name, test ? "test" : "train");
  samples.count = test ? sizes.test_samples : sizes.samples;
  samples.type = type;
  samples.shape = std::move(shape);
  const auto sample_bytes =
      static_cast<std::size_t>(samples.elements_per_sample()) * size_in_bytes(type);
  allocate(samples.features, samples.source, samples.count, static_cast<std::int64_t>(sample_bytes),
           "data.samples or data.features");
  samples.labels.resize(static_cast<std::size_t>(samples.count));
  for (std::size_t sample = 0; sample < samples.labels.size(); ++sample) {
    const std::uint32_t id = static_cast<std::uint32_t>(sample) + (test ? kFirstTestId : 0);
    samples.labels[sample] = Draws(seed, Stream::builtin_labels, id).below(sizes.classes);
    Draws draws(seed, stream, id);
    draw(draws, samples.labels[sample],
         std::span(samples.features).subspan(sample * sample_bytes, sample_bytes));
  }
  return samples;
}

template <class Draw>
Dataset draw_splits(const std::string& name, const Sizes& sizes, std::uint64_t seed,
                    std::vector<std::int64_t> shape, ElementType type, Stream stream, Draw draw) {
  Dataset dataset;
  dataset.train = draw_split(name, false, sizes, seed, shape, type, stream, draw);
  if (sizes.test_samples > 0) {
    dataset.test = draw_split(name, true, sizes, seed, shape, type, stream, draw);
  }
  return dataset;
}

/// Fills a sample with floats, each from value(draws, index).
template <class Value>
void fill(std::span<std::byte> features, Draws& draws, Value value) {
  for (std::size_t index = 0; index * sizeof(float) < features.size(); ++index) {
    const float feature = value(draws, index);
    std::memcpy(features.data() + index * sizeof(float), &feature, sizeof(float));
  }
}

Dataset draw_digits(const DataConfig& config, std::uint64_t seed) {
  constexpr std::int64_t kFeatures = kDigitExtent * kDigitExtent, kClasses = 10;
  const Sizes sizes = filled_in(config, {10000, 2000, kFeatures, kClasses});
  expect_between("features", sizes.features, kFeatures, kFeatures);
  expect_between("classes", sizes.classes, kClasses, kClasses);
  const auto draw = [](Draws& draws, std::int32_t label, std::span<std::byte> pixels) {
    draw_digit(label, draws, {reinterpret_cast<std::uint8_t*>(pixels.data()), pixels.size()});
  };
  return draw_splits("digits", sizes, seed, {1, kDigitExtent, kDigitExtent}, ElementType::u8,
                     Stream::builtin_digits, draw);
}

Dataset draw_blobs(const DataConfig& config, std::uint64_t seed) {
  const Sizes sizes = filled_in(config, {1000, 200, 2, 3});
  const auto features = static_cast<std::size_t>(sizes.features);
  std::vector<float> centres;
  allocate(centres, "the centres of builtin \"blobs\"", sizes.classes, sizes.features,
           "data.classes or data.features");
  for (std::size_t index = 0; index < centres.size(); index += features) {
    Draws draws(seed, Stream::builtin_centres, static_cast<std::uint32_t>(index / features));
    for (std::size_t feature = 0; feature < features; ++feature) {
      centres[index + feature] = static_cast<float>(20.0 * unit_interval(draws.word()) - 10.0);
    }
  }
  const auto draw = [&](Draws& draws, std::int32_t label, std::span<std::byte> sample) {
    const float* centre = centres.data() + static_cast<std::size_t>(label) * features;
    fill(sample, draws,
         [&](Draws& source, std::size_t index) { return centre[index] + normal(source); });
  };
  return draw_splits("blobs", sizes, seed, {sizes.features}, ElementType::f32,
                     Stream::builtin_features, draw);
}

Dataset draw_random(const DataConfig& config, std::uint64_t seed) {
  const Sizes sizes = filled_in(config, {1000, 0, 10, 2});
  const bool is_normal = config.distribution == "normal";
  if (!is_normal && config.distribution != "uniform") {
    throw InputError(fmt::format("data.distribution = \"{}\"; expected \"normal\" or \"uniform\"",
                                 config.distribution));
  }
  const auto draw = [&](Draws& draws, std::int32_t, std::span<std::byte> sample) {
    fill(sample, draws, [&](Draws& source, std::size_t) {
      return is_normal ? normal(source) : static_cast<float>(unit_interval(source.word()));
    });
  };
  return draw_splits("random", sizes, seed, {sizes.features}, ElementType::f32,
                     Stream::builtin_features, draw);
}

}  // namespace

Dataset draw_builtin(const DataConfig& config, std::uint64_t seed) {
  if (config.name == "digits") return draw_digits(config, seed);
  if (config.name == "blobs") return draw_blobs(config, seed);
  if (config.name == "random") return draw_random(config, seed);
  throw InputError(
      fmt::format("data.name = \"{}\"; expected \"digits\", \"blobs\" or \"random\"", config.name));
}

}  // namespace batchwise
