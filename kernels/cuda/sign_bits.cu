// sign_bits: whether each element is above zero, in one bit. Eight neighbouring threads have a quad
// each and put their four bits together. Contract: ops/sign_bits.h.
#include "kernels/ops/sign_bits.h"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

constexpr int kQuadsAWord = static_cast<int>(kWordBits) / 4;

/// The quad of a thread when every row has as many as its words have bits for: none behind its end.
__device__ __forceinline__ Quad quad_of_words(std::int64_t rows, std::int64_t columns) {
  Quad quad = quad_of_thread(rows, sign_words(columns) * kWordBits);
  const std::int64_t left = columns - quad.column;
  if (left < quad.count) quad.count = left < 0 ? 0 : static_cast<int>(left);
  return quad;
}

__global__ void __launch_bounds__(kElementwiseThreads)
    sign_bits_kernel(MatrixView<const float> y, MatrixView<std::int32_t> bits, bool wide) {
  const Quad quad = quad_of_words(y.rows, y.columns);
  float4 values = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if (quad.count > 0) values = load(y, quad, wide);
  const unsigned four = (values.x > 0.0f ? 1u : 0u) | (values.y > 0.0f ? 2u : 0u) |
                        (values.z > 0.0f ? 4u : 0u) | (values.w > 0.0f ? 8u : 0u);
  // Every thread of the warp is here, those without a quad with zeros.
  unsigned word = four << (quad.column % kWordBits);
  for (int lanes = 1; lanes < kQuadsAWord; lanes *= 2) {
    word |= __shfl_xor_sync(0xFFFFFFFFu, word, lanes);
  }
  if (threadIdx.x % kQuadsAWord == 0 && quad.count > 0) {
    bits(quad.row, quad.column / kWordBits) = static_cast<std::int32_t>(word);
  }
}

}  // namespace

void sign_bits(const KernelArguments& arguments) {
  const auto a = SignBitsArguments<float>::from(arguments);
  launch<sign_bits_kernel>(shape_of_map(a.y.rows, a.bits.columns * kWordBits), arguments.stream,
                           a.y, a.bits, is_wide(a.y));
}

}  // namespace batchwise::BATCHWISE_CUDA
