// Handwritten-looking digits drawn by the program in integer arithmetic: the built-in data set
// "digits". A digit is a skeleton of strokes whose points are jittered, smoothed, slanted, scaled
// and moved, drawn with a round pen of random width, and covered with noise.
#pragma once

#include <cstdint>
#include <span>

#include "engine/data/draws.h"

namespace batchwise {

inline constexpr std::int32_t kDigitExtent = 28;  ///< pixels along each side

/// Draws a digit 0 to 9 into pixels [28, 28], 0 is background.
void draw_digit(std::int32_t digit, Draws& draws, std::span<std::uint8_t> pixels);

}  // namespace batchwise
