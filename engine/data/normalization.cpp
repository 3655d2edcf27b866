#include "engine/data/normalization.h"

#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "engine/error.h"

namespace batchwise {
namespace {

/// Calls add(channel, value) for every element of the first `count` samples, in order.
template <class T, class Add>
void for_each_element(const Samples& samples, std::int64_t count, std::int64_t channels, Add add) {
  const std::int64_t per_channel = samples.elements_per_sample() / channels;
  const std::byte* position = samples.features.data();
  for (std::int64_t sample = 0; sample < count; ++sample) {
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      for (std::int64_t index = 0; index < per_channel; ++index, position += sizeof(T)) {
        T value;
        std::memcpy(&value, position, sizeof(T));
        add(static_cast<std::size_t>(channel), static_cast<double>(value));
      }
    }
  }
}

/// Two passes in double. Both work on differences from a channel's first value, so that a constant
/// channel has a deviation of exactly zero whatever its value.
template <class T>
Normalization standardize(const Samples& train, std::int64_t count) {
  const bool image = train.shape.size() == 3;
  const std::int64_t channels = image ? train.shape[0] : train.elements_per_sample();
  const auto size = static_cast<std::size_t>(channels);
  std::vector<double> first(size), mean_difference(size), variance(size);
  const std::int64_t per_channel = train.elements_per_sample() / channels;
  for (std::size_t channel = 0; channel < size; ++channel) {
    T value;
    std::memcpy(&value, train.features.data() + channel * per_channel * sizeof(T), sizeof(T));
    first[channel] = static_cast<double>(value);
  }

  const double values = static_cast<double>(count) * static_cast<double>(per_channel);
  for_each_element<T>(train, count, channels, [&](std::size_t channel, double value) {
    mean_difference[channel] += value - first[channel];
  });
  for (double& difference : mean_difference) difference /= values;
  for_each_element<T>(train, count, channels, [&](std::size_t channel, double value) {
    const double difference = value - first[channel] - mean_difference[channel];
    variance[channel] += difference * difference;
  });

  Normalization result{.kind = Normalize::standardize, .channels = channels};
  for (std::size_t channel = 0; channel < size; ++channel) {
    const auto deviation = static_cast<float>(std::sqrt(variance[channel] / values));
    result.shift.push_back(static_cast<float>(first[channel] + mean_difference[channel]));
    result.divisor.push_back(deviation == 0.0f ? 1.0f : deviation);
  }
  return result;
}

}  // namespace

Normalization compute_normalization(const Samples& train, std::int64_t training_count,
                                    Normalize kind) {
  assert(training_count <= train.count);
  if (training_count < 1) {
    throw InputError(
        fmt::format("{}: no training samples are left of {}; lower data.validation_split",
                    train.source, train.count));
  }
  const bool bytes = train.type == ElementType::u8;
  if (kind == Normalize::automatic) kind = bytes ? Normalize::unit : Normalize::none;
  if (kind == Normalize::standardize) {
    return bytes ? standardize<std::uint8_t>(train, training_count)
                 : standardize<float>(train, training_count);
  }
  if (kind == Normalize::unit && !bytes) {
    throw InputError(fmt::format(
        "data.normalize = \"unit\" divides bytes by 255, but the features of {} are {}; use "
        "\"standardize\" or \"none\"",
        train.source, name_of(train.type)));
  }
  const float divisor = kind == Normalize::unit ? 255.0f : 1.0f;
  return {.kind = kind, .channels = 1, .shift = {0.0f}, .divisor = {divisor}};
}

}  // namespace batchwise
