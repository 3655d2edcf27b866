// gather: rows of the data set, normalised. Bytes take a division's exact result from a product.
#include "kernels/ops/gather.h"

#include <bit>
#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace batchwise::cpu {
namespace {

/// value / divisor from the reciprocal, by one residual correction (Markstein 1990). It is the
/// rounded quotient almost always; exact_for_bytes tells for which settings always.
[[nodiscard]] inline float quotient(float value, float divisor, float reciprocal) {
  const float estimate = value * reciprocal;
  const float residual = std::fma(-estimate, divisor, value);
  return std::fma(residual, reciprocal, estimate);
}

/// Whether quotient() has the division's bits for all 256 bytes.
[[nodiscard]] bool exact_for_bytes(float shift, float divisor, float reciprocal) {
  std::uint32_t different = 0;
#pragma omp simd reduction(| : different)
  for (int byte = 0; byte < 256; ++byte) {
    const float value = static_cast<float>(byte) - shift;
    different |= std::bit_cast<std::uint32_t>(value / divisor) ^
                 std::bit_cast<std::uint32_t>(quotient(value, divisor, reciprocal));
  }
  return different == 0;
}

/// The features of one channel, in rows [begin, end).
template <class Data>
void gather_channel(const GatherArguments<Data, float>& a, std::int64_t channel, std::int64_t begin,
                    std::int64_t end) {
  constexpr bool kBytes = std::is_same_v<Data, std::uint8_t>;
  const std::int64_t pixels = a.x.columns / a.shift.size;
  const float shift = a.shift[channel], divisor = a.divisor[channel], reciprocal = 1.0f / divisor;
  const bool check_pays = kBytes && (end - begin) * pixels >= 2048;
  const bool by_reciprocal = check_pays && exact_for_bytes(shift, divisor, reciprocal);
  for (std::int64_t row = begin; row < end; ++row) {
    const Data* data = a.data.row(a.sample(row)) + channel * pixels;
    float* x = a.x.row(row) + channel * pixels;
    if (by_reciprocal) {
#pragma omp simd
      for (std::int64_t p = 0; p < pixels; ++p) {
        x[p] = quotient(static_cast<float>(data[p]) - shift, divisor, reciprocal);
      }
    } else {
#pragma omp simd
      for (std::int64_t p = 0; p < pixels; ++p) {
        x[p] = (static_cast<float>(data[p]) - shift) / divisor;
      }
    }
  }
}

template <class Data>
void gather_rows(const GatherArguments<Data, float>& a) {
  const double nanoseconds = 0.2 * static_cast<double>(a.x.rows * a.x.columns);
  parallel_ranges(a.x.rows, 1, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t channel = 0; channel < a.shift.size; ++channel) {
      gather_channel(a, channel, begin, end);
    }
  });
}

}  // namespace

void gather(const KernelArguments& arguments) {
  if (arguments.inputs[0].type == ElementType::u8) {
    gather_rows(GatherArguments<std::uint8_t, float>::from(arguments));
  } else {
    gather_rows(GatherArguments<float, float>::from(arguments));
  }
}

}  // namespace batchwise::cpu
