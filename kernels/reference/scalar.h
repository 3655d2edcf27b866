// The functions the oracle calls on its scalars: float through the portable mathematics that every
// backend shares, double through the standard library. RunningError (running_error.h) brings its
// own.
#pragma once

#include <cmath>

#include "kernels/ops/portable_math.h"

namespace batchwise::reference {

[[nodiscard]] inline float exp(float x) { return portable::exp(x); }
[[nodiscard]] inline float log(float x) { return portable::log(x); }
[[nodiscard]] inline float tanh(float x) { return portable::tanh(x); }
[[nodiscard]] inline float erf(float x) { return portable::erf(x); }
[[nodiscard]] inline float sqrt(float x) { return std::sqrt(x); }
[[nodiscard]] inline float abs(float x) { return std::abs(x); }
[[nodiscard]] inline float fma(float x, float y, float z) { return std::fma(x, y, z); }

[[nodiscard]] inline double exp(double x) { return std::exp(x); }
[[nodiscard]] inline double log(double x) { return std::log(x); }
[[nodiscard]] inline double tanh(double x) { return std::tanh(x); }
[[nodiscard]] inline double erf(double x) { return std::erf(x); }
[[nodiscard]] inline double sqrt(double x) { return std::sqrt(x); }
[[nodiscard]] inline double abs(double x) { return std::abs(x); }
[[nodiscard]] inline double fma(double x, double y, double z) { return std::fma(x, y, z); }

}  // namespace batchwise::reference
