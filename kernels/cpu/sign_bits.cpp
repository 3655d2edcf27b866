// sign_bits: whole words first, whose fixed count of elements the compiler vectorises.
#include "kernels/ops/sign_bits.h"

#include "kernels/cpu/activation.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace batchwise::cpu {
namespace {

[[nodiscard]] std::uint32_t bits_of(const float* y, std::int64_t count) {
  std::uint32_t bits = 0;
#pragma omp simd reduction(| : bits)
  for (std::int64_t f = 0; f < count; ++f) {
    bits |= static_cast<std::uint32_t>(y[f] > 0.0f) << static_cast<std::uint32_t>(f);
  }
  return bits;
}

void sign_bits_row(const float* y, std::int64_t features, std::int32_t* bits) {
  const std::int64_t whole = features / kWordBits;
  for (std::int64_t word = 0; word < whole; ++word) {
    bits[word] = static_cast<std::int32_t>(bits_of(y + word * kWordBits, kWordBits));
  }
  const std::int64_t rest = features - whole * kWordBits;
  if (rest > 0) bits[whole] = static_cast<std::int32_t>(bits_of(y + whole * kWordBits, rest));
}

}  // namespace

void sign_bits(const KernelArguments& arguments) {
  const auto a = SignBitsArguments<float>::from(arguments);
  const double nanoseconds =
      activation_nanoseconds(ActivationFunction::relu, a.y.rows * a.y.columns);
  parallel_ranges(a.y.rows, 1, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      sign_bits_row(a.y.row(row), a.y.columns, a.bits.row(row));
    }
  });
}

}  // namespace batchwise::cpu
