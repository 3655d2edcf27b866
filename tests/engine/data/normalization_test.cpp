#include "engine/data/normalization.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Floats = std::vector<float>;

Samples float_samples(std::vector<std::int64_t> shape, const Floats& values) {
  Samples samples;
  samples.source = "some.npz";
  samples.shape = std::move(shape);
  samples.count = std::ssize(values) / samples.elements_per_sample();
  samples.features.resize(values.size() * sizeof(float));
  std::memcpy(samples.features.data(), values.data(), samples.features.size());
  return samples;
}

Samples byte_samples(std::vector<std::int64_t> shape, const std::vector<std::uint8_t>& values) {
  Samples samples;
  samples.source = "some.idx";
  samples.type = ElementType::u8;
  samples.shape = std::move(shape);
  samples.count = std::ssize(values) / samples.elements_per_sample();
  for (const std::uint8_t value : values) samples.features.push_back(std::byte{value});
  return samples;
}

TEST(Normalization, UnitDividesBytesBy255) {
  const auto result = compute_normalization(byte_samples({2}, {1, 2}), 1, Normalize::unit);
  EXPECT_EQ(result.kind, Normalize::unit);
  EXPECT_EQ(result.channels, 1);
  EXPECT_EQ(result.shift, Floats{0.0f});
  EXPECT_EQ(result.divisor, Floats{255.0f});
}

TEST(Normalization, UnitOfFloatsIsAnError) {
  expect_input_error(
      [] {
        (void)compute_normalization(float_samples({2}, {1, 2}), 1, Normalize::unit);
      },
      {"some.npz", "are f32", "\"unit\"", "\"standardize\" or \"none\""});
}

TEST(Normalization, NoneLeavesFeaturesAsTheyAre) {
  const auto result = compute_normalization(byte_samples({2}, {1, 2}), 1, Normalize::none);
  EXPECT_EQ(result.kind, Normalize::none);
  EXPECT_EQ(result.shift, Floats{0.0f});
  EXPECT_EQ(result.divisor, Floats{1.0f});
}

TEST(Normalization, AutomaticIsUnitForBytesAndNoneForFloats) {
  EXPECT_EQ(compute_normalization(byte_samples({1}, {1}), 1, Normalize::automatic).kind,
            Normalize::unit);
  EXPECT_EQ(compute_normalization(float_samples({1}, {1}), 1, Normalize::automatic).kind,
            Normalize::none);
}

TEST(Normalization, StandardizeIsPerFeatureWithPopulationDeviation) {
  const Samples samples = float_samples({2}, {1, 10, 3, 30, 5, 20});
  const auto result = compute_normalization(samples, 3, Normalize::standardize);
  EXPECT_EQ(result.kind, Normalize::standardize);
  EXPECT_EQ(result.channels, 2);
  EXPECT_EQ(result.shift, (Floats{3, 20}));
  EXPECT_FLOAT_EQ(result.divisor[0], std::sqrt(8.0f / 3.0f));
  EXPECT_FLOAT_EQ(result.divisor[1], std::sqrt(200.0f / 3.0f));
}

TEST(Normalization, StandardizeIsPerChannelForImages) {
  // Two samples of [2, 1, 2]: channel 0 holds 0, 2, 4, 6, channel 1 holds 10 throughout.
  const Samples samples = byte_samples({2, 1, 2}, {0, 2, 10, 10, 4, 6, 10, 10});
  const auto result = compute_normalization(samples, 2, Normalize::standardize);
  EXPECT_EQ(result.channels, 2);
  EXPECT_EQ(result.shift, (Floats{3, 10}));
  EXPECT_FLOAT_EQ(result.divisor[0], std::sqrt(5.0f));
  EXPECT_EQ(result.divisor[1], 1.0f);
}

TEST(Normalization, StandardizeSeesOnlyTheTrainingPart) {
  const Samples samples = float_samples({1}, {1, 3, 1000});
  const auto result = compute_normalization(samples, 2, Normalize::standardize);
  EXPECT_EQ(result.shift, Floats{2});
  EXPECT_EQ(result.divisor, Floats{1});
}

TEST(Normalization, AConstantFeatureHasDeviationZeroWhateverItsValue) {
  for (const float value : {0.0f, 0.1f, 1e-30f, 3e38f}) {
    const auto result = compute_normalization(float_samples({1}, Floats(1000, value)), 1000,
                                              Normalize::standardize);
    EXPECT_EQ(result.shift[0], value);
    EXPECT_EQ(result.divisor[0], 1.0f);
  }
}

TEST(Normalization, ALargeMeanDoesNotDrownASmallDeviation) {
  Floats values;
  for (int pair = 0; pair < 500; ++pair) values.insert(values.end(), {16777214.0f, 16777216.0f});
  const auto result =
      compute_normalization(float_samples({1}, values), 1000, Normalize::standardize);
  EXPECT_EQ(result.divisor[0], 1.0f);
  EXPECT_EQ(result.shift[0], 16777215.0f);
}

TEST(Normalization, NoTrainingSamplesIsAnErrorWhateverTheKind) {
  for (const Normalize kind : {Normalize::unit, Normalize::none, Normalize::standardize}) {
    expect_input_error([&] { (void)compute_normalization(byte_samples({1}, {1}), 0, kind); },
                       {"some.idx", "no training samples", "validation_split"});
  }
}

}  // namespace
}  // namespace batchwise
