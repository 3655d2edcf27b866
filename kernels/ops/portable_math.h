// exp, log, tanh and erf in float, made of IEEE operations alone, so that every device and every
// vector width gives the same bits. Selects instead of branches let compilers vectorise loops over
// them. Errors over all floats: exp and log under 1 ulp, tanh and erf under 2 ulp
// (tests/kernels/portable_math_test.cpp). The polynomials come from portable_math_coefficients.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#ifdef __CUDACC__
#define BATCHWISE_HOST_DEVICE __host__ __device__
#else
#define BATCHWISE_HOST_DEVICE
#endif

namespace batchwise::portable {

namespace detail {

[[nodiscard]] BATCHWISE_HOST_DEVICE inline std::uint32_t bits_of(float x) {
  return __builtin_bit_cast(std::uint32_t, x);
}
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float float_of(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float magnitude(float x) {
  return float_of(bits_of(x) & 0x7FFFFFFFu);
}
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float with_sign_of(float sign, float magnitude_of_x) {
  return float_of(bits_of(magnitude_of_x) | (bits_of(sign) & 0x80000000u));
}

/// c0 + c1 x + ... by Horner's rule.
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float polynomial(float, float c0) { return c0; }
template <class... Floats>
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float polynomial(float x, float c0, Floats... higher) {
  return std::fma(polynomial(x, higher...), x, c0);
}

// log 2 in two parts; the high one has 15 bits, so that its products with exponents are exact.
inline constexpr float kLog2High = 0x1.62e4p-1f;
inline constexpr float kLog2Low = 0x1.7f7d1cp-20f;

}  // namespace detail

/// e^x. With n the integer nearest x / log 2 and r = x - n log 2: 2^n (1 + (r + r^2 q(r))), where
/// the leading r keeps the low part that its rounding would lose.
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float exp(float x) {
  constexpr float kLog2OfE = 0x1.715476p+0f;
  constexpr float kRounder = 0x1.8p+23f;      // adding it rounds to an integer, in the low bits
  const float below = x > 90.0f ? 90.0f : x;  // beyond, the result is infinity or 0 anyway
  const float clamped = below < -110.0f ? -110.0f : below;

  const float rounded = std::fma(clamped, kLog2OfE, kRounder);
  const float n = rounded - kRounder;
  const float r_high = std::fma(-n, detail::kLog2High, clamped);
  const float r_low = -n * detail::kLog2Low;
  const float r = r_high + r_low;
  const float q = detail::polynomial(r, 0x1p-1f, 0x1.555552p-3f, 0x1.5554e6p-5f, 0x1.1115c8p-7f,
                                     0x1.6d4efep-10f, 0x1.9a6ad0p-13f);
  const float mantissa = 1.0f + (r_high + std::fma(r * r, q, r_low));

  // 2^n in two factors, each a normal float: the second product alone may round, to a subnormal.
  const std::uint32_t exponent = detail::bits_of(rounded) - detail::bits_of(kRounder);
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(exponent) >> 1);
  const float scale1 = detail::float_of((half + 127u) << 23);
  const float scale2 = detail::float_of((exponent - half + 127u) << 23);
  return mantissa * scale1 * scale2;
}

/// The natural logarithm. With x = 2^n (1 + f) and 1 + f in [sqrt(1/2), sqrt 2):
/// n log 2 + (f - f^2 / 2 + f^3 p(f)), the leading terms with their rounding errors.
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float log(float x) {
  constexpr std::uint32_t kSqrtHalfBits = 0x3F3504F3u;
  const bool subnormal = x < std::numeric_limits<float>::min();
  const float scaled = subnormal ? x * 0x1p+23f : x;
  const std::uint32_t shifted = detail::bits_of(scaled) - kSqrtHalfBits;
  const auto exponent = static_cast<float>(static_cast<std::int32_t>(shifted) >> 23);
  const float n = exponent - (subnormal ? 23.0f : 0.0f);
  const float f = detail::float_of((shifted & 0x007FFFFFu) + kSqrtHalfBits) - 1.0f;

  const float p = detail::polynomial(f, 0x1.555546p-2f, -0x1.00000ap-2f, 0x1.99a546p-3f,
                                     -0x1.555ae4p-3f, 0x1.232cfap-3f, -0x1.fc4da0p-4f,
                                     0x1.e7a54ep-4f, -0x1.dd6510p-4f, 0x1.11c874p-4f);
  const float square = f * f;
  const float square_error = std::fma(f, f, -square);
  const float high = std::fma(-0.5f, square, f);
  const float high_error = std::fma(-0.5f, square, f - high);
  const float tail = std::fma(f * square, p, std::fma(-0.5f, square_error, high_error));

  const float whole = n * detail::kLog2High;
  const float sum = whole + high;
  const float sum_error = (whole - sum) + high;
  const float finite = sum + (sum_error + std::fma(n, detail::kLog2Low, tail));

  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float at_most_zero = x == 0.0f ? -kInfinity : std::numeric_limits<float>::quiet_NaN();
  const float result = x > 0.0f ? finite : at_most_zero;
  return x == kInfinity ? kInfinity : result;
}

/// An odd polynomial near 0, 1 - 2 / (e^2x + 1) beyond.
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float tanh(float x) {
  const float a = detail::magnitude(x);
  const float square = a * a;
  const float p = detail::polynomial(square, -0x1.555550p-2f, 0x1.110f50p-3f, -0x1.b9bac8p-5f,
                                     0x1.617b64p-6f, -0x1.02843ep-7f, 0x1.f1e426p-10f);
  const float near_zero = std::fma(a * square, p, a);
  const float beyond = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return detail::with_sign_of(x, a < 0.7f ? near_zero : beyond);
}

/// An odd polynomial below 1, 1 - exp(p(x)) with p = log erfc beyond; 1 from 4 on.
[[nodiscard]] BATCHWISE_HOST_DEVICE inline float erf(float x) {
  const float a = detail::magnitude(x);
  const float near_zero_p =
      detail::polynomial(a * a, 0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2cf0p-4f, -0x1.b7f858p-6f,
                         0x1.53ff92p-8f, -0x1.a3c95cp-11f, 0x1.48edeep-14f);
  const float near_zero = std::fma(a, near_zero_p, a);
  const float clamped = a > 4.0f ? 4.0f : a;
  const float log_erfc = detail::polynomial(clamped, 0x1.9179acp-13f, -0x1.212d0ep+0f,
                                            -0x1.443198p-1f, -0x1.bc3498p-4f, 0x1.9d4fc4p-6f,
                                            -0x1.13fac6p-8f, 0x1.d01dc6p-12f, -0x1.6d9afep-16f);
  const float beyond = 1.0f - exp(log_erfc);
  return detail::with_sign_of(x, a < 1.0f ? near_zero : beyond);
}

}  // namespace batchwise::portable
