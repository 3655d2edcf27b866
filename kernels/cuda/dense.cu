// dense_forward, dense_activation_forward and dense_backward_input: tiled products over features.
// Contract: ops/dense.h.
#include "kernels/ops/dense.h"

#include <optional>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/product.cuh"

namespace batchwise::BATCHWISE_CUDA {
namespace {

/// Where a product's totals go.
struct Result {
  MatrixView<float> memory;
  bool wide;

  explicit Result(const MatrixView<float>& memory_) : memory(memory_), wide(is_wide(memory_)) {}
};

/// What happens to a total on its way: + bias, where there is one, then the activation.
struct Ending {
  MatrixView<const float> bias;  ///< [1, units], or no data
  bool wide;
  bool activates;
  ActivationFunction function;
};

/// The weights' memory: [inputs, units], or [units, inputs] read along the other axis.
[[nodiscard]] Operand weight_memory(const MatrixView<const float>& weight) {
  return Operand({weight.data, weight.columns, weight.rows, weight.column_stride, 1});
}

template <ActivationFunction function>
[[nodiscard]] __device__ __forceinline__ float4 activate_four(const float4& x) {
  return make_float4(activate<function>(x.x), activate<function>(x.y), activate<function>(x.z),
                     activate<function>(x.w));
}

[[nodiscard]] __device__ __forceinline__ float4 activate_four(ActivationFunction function,
                                                              const float4& x) {
  using enum ActivationFunction;
  switch (function) {
    case relu: return activate_four<relu>(x);
    case leaky_relu: return activate_four<leaky_relu>(x);
    case tanh: return activate_four<tanh>(x);
    case sigmoid: return activate_four<sigmoid>(x);
    case gelu: return activate_four<gelu>(x);
  }
  return x;
}

[[nodiscard]] __device__ __forceinline__ float4 finish(const Ending& ending, const Quad& quad,
                                                       float4 total) {
  if (ending.bias.data != nullptr) {
    const float4 bias = load(ending.bias, {0, quad.column, quad.count}, ending.wide);
    total.x += bias.x;
    total.y += bias.y;
    total.z += bias.z;
    total.w += bias.w;
  }
  return ending.activates ? activate_four(ending.function, total) : total;
}

/// y [rows, units] = x [rows, inputs] times the weights' memory [inputs, units].
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads* Shape::kGroups, Shape::kBlocksAtOnce)
    forward_kernel(Operand x, Operand weight, Ending ending, Result y) {
  const Corner corner = corner_of_block<Shape>(y.memory.columns);
  const ChunkedDepth inputs{0, static_cast<int>(x.memory.columns)};
  FeatureSums<Shape> sums(inputs);
  multiply<Shape, Along::depth, Along::result>(x, corner.row, weight, corner.column, inputs, sums);
  const ThreadPlace<Shape> place(static_cast<int>(threadIdx.x));
  sums.for_each_total([&](int i, const float4& total) {
    const Quad quad =
        quad_at(corner.row + place.row_of(i), corner.column + place.column_of(i), y.memory);
    if (quad.count > 0) store(y.memory, quad, y.wide, finish(ending, quad, total));
  });
}

/// dx [rows, inputs] = dy [rows, units] times the weights' memory [inputs, units], transposed.
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads* Shape::kGroups, Shape::kBlocksAtOnce)
    backward_input_kernel(Operand dy, Operand weight, Result dx) {
  const Corner corner = corner_of_block<Shape>(dx.memory.columns);
  const ChunkedDepth units{0, static_cast<int>(dy.memory.columns)};
  FeatureSums<Shape> sums(units);
  multiply<Shape, Along::depth, Along::depth>(dy, corner.row, weight, corner.column, units, sums);
  const ThreadPlace<Shape> place(static_cast<int>(threadIdx.x));
  sums.for_each_total([&](int i, const float4& total) {
    const Quad quad =
        quad_at(corner.row + place.row_of(i), corner.column + place.column_of(i), dx.memory);
    if (quad.count > 0) store(dx.memory, quad, dx.wide, total);
  });
}

void forward(const DenseForwardArguments<float, float>& a,
             std::optional<ActivationFunction> function, CUstream_st* stream) {
  const MatrixView<const float> bias{a.bias.data, 1, a.bias.size, 0, 1};
  const Ending ending{bias, is_wide(bias), function.has_value(),
                      function.value_or(ActivationFunction::relu)};
  with_tile(a.y.rows, a.y.columns, [&]<class Shape>() {
    launch<forward_kernel<Shape>>(shape_of_product<Shape>(a.y.rows, a.y.columns, a.x.columns),
                                  stream, Operand(a.x), weight_memory(a.weight), ending,
                                  Result(a.y));
  });
}

}  // namespace

void dense_forward(const KernelArguments& arguments) {
  forward(DenseForwardArguments<float, float>::from(arguments), std::nullopt, arguments.stream);
}

void dense_activation_forward(const KernelArguments& arguments) {
  const auto a = DenseActivationForwardArguments<float, float>::from(arguments);
  forward({a.x, a.weight, a.bias, a.y}, a.function, arguments.stream);
}

void dense_backward_input(const KernelArguments& arguments) {
  const auto a = DenseBackwardInputArguments<float, float>::from(arguments);
  with_tile(a.dx.rows, a.dx.columns, [&]<class Shape>() {
    launch<backward_input_kernel<Shape>>(
        shape_of_product<Shape>(a.dx.rows, a.dx.columns, a.dy.columns), arguments.stream,
        Operand(a.dy), weight_memory(a.weight), Result(a.dx));
  });
}

}  // namespace batchwise::BATCHWISE_CUDA
