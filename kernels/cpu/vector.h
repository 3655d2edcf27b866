// Float vectors of the widest instruction set compiled for. Arithmetic is the compilers' vector
// extension; only what it has no form for (fused multiply-add, partial loads and stores) is written
// with intrinsics. Every lane rounds as the scalar operation would, so results do not depend on the
// width.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#endif

namespace batchwise::cpu {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX2__) && defined(__FMA__)
inline constexpr int kLanes = 8;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kLanes = 4;
inline constexpr int kVectorRegisters = 16;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

/// Half as many lanes of 64 bits.
typedef std::uint64_t WideVector __attribute__((vector_size(kLanes * sizeof(float))));

/// How many vectors hold `count` elements.
[[nodiscard]] constexpr std::int64_t vectors(std::int64_t count) {
  return (count + kLanes - 1) / kLanes;
}

/// Elements in the last of those vectors.
[[nodiscard]] constexpr int last_lanes(std::int64_t count) {
  return static_cast<int>((count - 1) % kLanes) + 1;
}

/// Calls body with each constant 0 .. Count - 1. Unlike a loop it is unrolled for certain, so that
/// arrays it indexes can live in registers.
template <int Count, class Body>
[[gnu::always_inline]] inline void unrolled(Body body) {
  [&]<int... Index>(std::integer_sequence<int, Index...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, Index>{}), ...);
  }
  (std::make_integer_sequence<int, Count>{});
}

/// x in every lane; subtracting zero keeps the sign of a zero.
[[nodiscard]] inline Vector broadcast(float x) { return x - Vector{}; }

[[nodiscard]] inline Vector load(const float* from) {
  Vector result;
  std::memcpy(&result, from, sizeof(result));
  return result;
}

inline void store(float* to, Vector value) { std::memcpy(to, &value, sizeof(value)); }

/// The first `lanes` elements, 1 to kLanes, and zeros; memory behind them is not touched.
[[nodiscard]] inline Vector load(const float* from, int lanes) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << lanes) - 1), from);
#else
  if (lanes == kLanes) return load(from);
  Vector result{};
  for (int lane = 0; lane < lanes; ++lane) result[lane] = from[lane];
  return result;
#endif
}

inline void store(float* to, Vector value, int lanes) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << lanes) - 1), value);
#else
  if (lanes == kLanes) return store(to, value);
  for (int lane = 0; lane < lanes; ++lane) to[lane] = value[lane];
#endif
}

/// a * b + c, rounded once.
[[nodiscard]] inline Vector fused_multiply_add(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__) && defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  for (int lane = 0; lane < kLanes; ++lane) c[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return c;
#endif
}

/// The products of the lanes' lower halves. (GCC turns the plain form into several products.)
[[nodiscard]] inline WideVector multiply_lower_halves(WideVector a, WideVector b) {
#if defined(__AVX512F__)
  return reinterpret_cast<WideVector>(_mm512_maskz_mul_epu32(  // all lanes
      0xFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#else
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

}  // namespace batchwise::cpu
