// gather: a pass's samples, fetched by index and normalised, each element by itself. Four bytes are
// loaded for sixteen stored, so a warp's accesses of either kind are contiguous.
// Contract: ops/gather.h.
#include "kernels/ops/gather.h"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

/// Whether the views allow a quad in one access.
struct Wide {
  bool data, x, channels;
};

/// One of a channel's parameters [channels] for each of the quad's elements; a row has
/// channels * pixels.
__device__ __forceinline__ float4 load_of_channels(const VectorView<const float>& parameters,
                                                   std::int64_t pixels, const Quad& quad,
                                                   bool wide) {
  if (pixels == 1) {
    const MatrixView<const float> row{parameters.data, 1, parameters.size, parameters.size, 1};
    return load(row, {0, quad.column, quad.count}, wide);
  }
  if (parameters.size == 1) {
    const float only = parameters[0];
    return make_float4(only, only, only, only);
  }
  std::int64_t channel = quad.column / pixels;
  std::int64_t pixel = quad.column - channel * pixels;
  const auto next = [&](bool inside) {
    const float parameter = inside ? parameters[channel] : 1.0f;
    if (++pixel == pixels) {
      pixel = 0;
      ++channel;
    }
    return parameter;
  };
  const float x = next(true), y = next(quad.count > 1), z = next(quad.count > 2);
  return make_float4(x, y, z, next(quad.count > 3));
}

template <class Data>
__global__ void __launch_bounds__(kElementwiseThreads)
    gather_kernel(GatherArguments<Data, float> a, std::int64_t pixels, Wide wide) {
  const Quad quad = quad_of_thread(a.x.rows, a.x.columns);
  if (quad.count == 0) return;
  const float4 shift = load_of_channels(a.shift, pixels, quad, wide.channels);
  const float4 divisor = load_of_channels(a.divisor, pixels, quad, wide.channels);
  const float4 value = load(a.data, {a.sample(quad.row), quad.column, quad.count}, wide.data);
  store(a.x, quad, wide.x,
        make_float4((value.x - shift.x) / divisor.x, (value.y - shift.y) / divisor.y,
                    (value.z - shift.z) / divisor.z, (value.w - shift.w) / divisor.w));
}

template <class Data>
void launch_gather(const KernelArguments& arguments) {
  const auto a = GatherArguments<Data, float>::from(arguments);
  const Wide wide{is_wide(a.data), is_wide(a.x), is_wide(a.shift) && is_wide(a.divisor)};
  launch<gather_kernel<Data>>(shape_of_map(a.x.rows, a.x.columns), arguments.stream, a,
                              a.x.columns / a.shift.size, wide);
}

}  // namespace

void gather(const KernelArguments& arguments) {
  if (arguments.inputs[0].type == ElementType::u8) {
    launch_gather<std::uint8_t>(arguments);
  } else {
    launch_gather<float>(arguments);
  }
}

}  // namespace batchwise::BATCHWISE_CUDA
