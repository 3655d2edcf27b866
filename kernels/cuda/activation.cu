// activation: elementwise functions and their gradients, each element by itself.
// Contract: ops/activation.h.
#include "kernels/cuda/activation.cuh"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

// y may be x, and dx may be dy: a thread reads its quad before it writes it.

template <ActivationFunction function>
__global__ void __launch_bounds__(kElementwiseThreads)
    forward_kernel(MatrixView<const float> x, MatrixView<float> y, bool wide) {
  const Quad quad = quad_of_thread(x.rows, x.columns);
  if (quad.count == 0) return;
  const float4 in = load(x, quad, wide);
  store(y, quad, wide,
        make_float4(activate<function>(in.x), activate<function>(in.y), activate<function>(in.z),
                    activate<function>(in.w)));
}

template <ActivationFunction function>
__global__ void __launch_bounds__(kElementwiseThreads)
    backward_kernel(MatrixView<const float> dy, MatrixView<const float> saved, MatrixView<float> dx,
                    bool wide) {
  const Quad quad = quad_of_thread(dy.rows, dy.columns);
  if (quad.count == 0) return;
  const float4 d = load(dy, quad, wide);
  const float4 s = load(saved, quad, wide);
  store(dx, quad, wide,
        make_float4(
            activation_gradient<function>(d.x, s.x), activation_gradient<function>(d.y, s.y),
            activation_gradient<function>(d.z, s.z), activation_gradient<function>(d.w, s.w)));
}

/// A quad's four bits lie in one word.
template <ActivationFunction function>
__global__ void __launch_bounds__(kElementwiseThreads)
    backward_bits_kernel(MatrixView<const float> dy, MatrixView<const std::int32_t> bits,
                         MatrixView<float> dx, bool wide) {
  const Quad quad = quad_of_thread(dy.rows, dy.columns);
  if (quad.count == 0) return;
  const float4 d = load(dy, quad, wide);
  const std::int32_t word = bits(quad.row, quad.column / kWordBits);
  const auto gradient = [&](float value, int place) {
    return activation_gradient<function>(value, sign_bit(word, quad.column + place) ? 1.0f : 0.0f);
  };
  store(dx, quad, wide,
        make_float4(gradient(d.x, 0), gradient(d.y, 1), gradient(d.z, 2), gradient(d.w, 3)));
}

}  // namespace

void activation_forward(const KernelArguments& arguments) {
  const auto a = ActivationForwardArguments<float, float>::from(arguments);
  const bool wide = is_wide(a.x) && is_wide(a.y);
  with_function(a.function, [&]<ActivationFunction function>() {
    launch<forward_kernel<function>>(shape_of_map(a.x.rows, a.x.columns), arguments.stream, a.x,
                                     a.y, wide);
  });
}

void activation_backward(const KernelArguments& arguments) {
  const auto a = ActivationBackwardArguments<float, float>::from(arguments);
  const bool wide = is_wide(a.dy) && is_wide(a.saved) && is_wide(a.dx);
  with_function(a.function, [&]<ActivationFunction function>() {
    launch<backward_kernel<function>>(shape_of_map(a.dy.rows, a.dy.columns), arguments.stream, a.dy,
                                      a.saved, a.dx, wide);
  });
}

void activation_backward_bits(const KernelArguments& arguments) {
  const auto a = ActivationBackwardBitsArguments<float, float>::from(arguments);
  const bool wide = is_wide(a.dy) && is_wide(a.dx);
  const auto run = [&]<ActivationFunction function>() {
    launch<backward_bits_kernel<function>>(shape_of_map(a.dy.rows, a.dy.columns), arguments.stream,
                                           a.dy, a.bits, a.dx, wide);
  };
  if (a.function == ActivationFunction::relu) return run.operator()<ActivationFunction::relu>();
  run.operator()<ActivationFunction::leaky_relu>();
}

}  // namespace batchwise::BATCHWISE_CUDA
