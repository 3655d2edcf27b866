// dense in mode `fast`: products by cuBLASLt, with biases, relu and the bias's gradient in their
// epilogues. Contract: ops/dense.h, but for the order of the sums, which is the library's and may
// change with the batch; relu may turn NaN into 0. The last output of each operation is workspace.
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/operations.h"

namespace batchwise::cuda {
namespace {

/// The workspace's beginning, for factors in device memory, and behind it the library's part.
constexpr std::int64_t kFactorBytes = 256;

[[nodiscard]] ProductFactors* factors_of(const KernelArguments& arguments) {
  return static_cast<ProductFactors*>(arguments.outputs.back().data);
}

[[nodiscard]] ProductWorkspace workspace_of(const KernelArguments& arguments) {
  const TensorView& view = arguments.outputs.back();
  return {static_cast<std::byte*>(view.data) + kFactorBytes, view.shape[0] - kFactorBytes};
}

/// A pass is the update's first where its first sample is, which the device alone knows.
__global__ void __launch_bounds__(1) factors_kernel(PassRange range, ProductFactors* factors) {
  *factors = {1.0f, range.first() == 0 ? 0.0f : 1.0f};
}

[[nodiscard]] bool overwrite(const MatrixProduct& product, const KernelArguments& arguments) {
  return queue_product(product, nullptr, workspace_of(arguments), arguments.stream);
}

// A shape for which the library has no algorithm goes to the hand-written kernel.

void fast_dense_forward(const KernelArguments& arguments) {
  const auto a = DenseForwardArguments<float, float>::from(arguments);
  if (a.x.rows == 0) return;
  if (!overwrite(product_of(a), arguments)) dense_forward(arguments);
}

/// Other functions than relu follow the product, in place.
void fast_dense_activation_forward(const KernelArguments& arguments) {
  const auto a = DenseActivationForwardArguments<float, float>::from(arguments);
  if (a.x.rows == 0) return;
  const MatrixProduct product = product_of(DenseForwardArguments<float, float>::from(arguments));
  const bool relu = a.function == ActivationFunction::relu;
  if (!overwrite(relu ? with_relu(product) : product, arguments)) {
    return dense_activation_forward(arguments);
  }
  if (relu) return;
  KernelArguments in_place = arguments;
  in_place.inputs = in_place.outputs = arguments.outputs.first(1);
  activation_forward(in_place);
}

void fast_dense_backward_input(const KernelArguments& arguments) {
  const auto a = DenseBackwardInputArguments<float, float>::from(arguments);
  if (a.dy.rows == 0) return;
  if (!overwrite(product_of(a), arguments)) dense_backward_input(arguments);
}

/// Passes after the update's first add to the gradient. The hand-written kernel cannot take over
/// here: it would resume a sum that another pass left complete.
void fast_dense_backward_weight(const KernelArguments& arguments) {
  const auto a = DenseBackwardWeightArguments<float, float>::from(arguments);
  if (a.x.rows == 0) return;
  ProductFactors* factors = factors_of(arguments);
  launch<factors_kernel>({1, 1}, arguments.stream, a.range, factors);
  if (!queue_product(product_of(a), factors, workspace_of(arguments), arguments.stream)) {
    throw CublasError("cuBLASLt has no algorithm for a weight's gradient");
  }
}

/// In plans whose updates are one pass.
void fast_dense_backward_weight_bias(const KernelArguments& arguments) {
  const auto a = DenseBackwardWeightArguments<float, float>::from(weight_half(arguments));
  const auto bias = DenseBackwardBiasArguments<float, float>::from(bias_half(arguments));
  if (a.x.rows == 0) return;
  if (!overwrite(with_bias_gradient(product_of(a), bias.gradient.data), arguments)) {
    dense_backward_weight_bias(arguments);
  }
}

}  // namespace

KernelTable fast_kernels() {
  prepare_products();
  static constexpr KernelEntry kEntries[] = {
      {"dense_activation_forward", fast_dense_activation_forward},
      {"dense_backward_input", fast_dense_backward_input},
      {"dense_backward_weight", fast_dense_backward_weight},
      {"dense_backward_weight_bias", fast_dense_backward_weight_bias},
      {"dense_forward", fast_dense_forward},
  };
  return kEntries;
}

}  // namespace batchwise::cuda
