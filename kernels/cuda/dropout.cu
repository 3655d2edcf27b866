// dropout: zeroes a share of the elements and scales the rest, each element by itself. A quad is
// one Philox block. Contract: ops/dropout.h.
#include "kernels/ops/dropout.h"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/ops/philox.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

// y may be x: a thread reads its quad before it writes it.

__global__ void __launch_bounds__(kElementwiseThreads)
    dropout_kernel(DropoutArguments<float, float> a, std::uint32_t threshold, float scale,
                   bool wide) {
  const Quad quad = quad_of_thread(a.x.rows, a.x.columns);
  if (quad.count == 0) return;
  const float4 x = load(a.x, quad, wide);
  const auto block = static_cast<std::uint32_t>(quad.column / 4);
  const PhiloxBlock words = philox({block, a.sample(quad.row), a.step(), a.stream}, a.seed());
  store(a.y, quad, wide,
        make_float4(words[0] >= threshold ? x.x * scale : 0.0f,
                    words[1] >= threshold ? x.y * scale : 0.0f,
                    words[2] >= threshold ? x.z * scale : 0.0f,
                    words[3] >= threshold ? x.w * scale : 0.0f));
}

}  // namespace

void dropout(const KernelArguments& arguments) {
  const auto a = DropoutArguments<float, float>::from(arguments);
  const auto scale = static_cast<float>(1.0 / (1.0 - a.rate));
  launch<dropout_kernel>(shape_of_map(a.x.rows, a.x.columns), arguments.stream, a, a.threshold(),
                         scale, is_wide(a.x) && is_wide(a.y));
}

}  // namespace batchwise::BATCHWISE_CUDA
