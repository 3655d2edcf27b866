#include "engine/data/digits.h"

#include <gtest/gtest.h>

#include <array>

namespace batchwise {
namespace {

using Image = std::array<std::uint8_t, kDigitExtent * kDigitExtent>;

Image drawn(std::int32_t digit, std::uint64_t seed, std::uint32_t sample) {
  Image image{};
  Draws draws(seed, Stream::builtin_digits, sample);
  draw_digit(digit, draws, image);
  return image;
}

/// The average of many images of a digit, row by row.
std::array<double, kDigitExtent * kDigitExtent> average_of(std::int32_t digit) {
  std::array<double, kDigitExtent * kDigitExtent> average{};
  constexpr int kImages = 300;
  for (int sample = 0; sample < kImages; ++sample) {
    const Image image = drawn(digit, 0, static_cast<std::uint32_t>(sample));
    for (std::size_t pixel = 0; pixel < image.size(); ++pixel)
      average[pixel] += image[pixel] / 255.0 / kImages;
  }
  return average;
}

TEST(Digits, TheSameSeedAndSampleGiveTheSameImage) {
  EXPECT_EQ(drawn(3, 1, 2), drawn(3, 1, 2));
  EXPECT_NE(drawn(3, 1, 2), drawn(3, 1, 3));
  EXPECT_NE(drawn(3, 1, 2), drawn(3, 2, 2));
}

TEST(Digits, InkIsWhereADigitHasIt) {
  const auto at = [](const auto& average, int row, int column) {
    return average[static_cast<std::size_t>(row * kDigitExtent + column)];
  };
  const auto zero = average_of(0), one = average_of(1), eight = average_of(8),
             seven = average_of(7);
  EXPECT_LT(at(zero, 14, 14), 0.1) << "a zero is hollow";
  EXPECT_GT(at(one, 14, 14), 0.3) << "a one has ink in the middle";
  EXPECT_GT(at(eight, 14, 14), 0.3) << "an eight crosses itself in the middle";
  EXPECT_GT(at(seven, 6, 14), at(seven, 22, 14)) << "a seven has its bar at the top";
}

TEST(Digits, TheCornersAreBackground) {
  for (std::int32_t digit = 0; digit < 10; ++digit) {
    const auto average = average_of(digit);
    EXPECT_LT(average.front(), 0.1) << digit;
    EXPECT_LT(average.back(), 0.1) << digit;
  }
}

}  // namespace
}  // namespace batchwise
