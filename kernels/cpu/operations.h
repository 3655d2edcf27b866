// The operations of this backend; their contracts are in kernels/ops. Internal to kernels/cpu:
// others reach them through kernels().
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise::cpu {

void copy_from_host(const KernelArguments& arguments);
void copy_to_host(const KernelArguments& arguments);
void gather(const KernelArguments& arguments);
void dense_forward(const KernelArguments& arguments);
void dense_activation_forward(const KernelArguments& arguments);
void dense_backward_input(const KernelArguments& arguments);
void dense_backward_weight(const KernelArguments& arguments);
void dense_backward_bias(const KernelArguments& arguments);
void dense_backward_weight_bias(const KernelArguments& arguments);
void dense_sample_norms(const KernelArguments& arguments);
void activation_forward(const KernelArguments& arguments);
void activation_backward(const KernelArguments& arguments);
void activation_backward_bits(const KernelArguments& arguments);
void sign_bits(const KernelArguments& arguments);
void dropout(const KernelArguments& arguments);
void batchnorm_statistics(const KernelArguments& arguments);
void batchnorm_normalize(const KernelArguments& arguments);
void batchnorm_backward_sums(const KernelArguments& arguments);
void batchnorm_backward_input(const KernelArguments& arguments);
void batchnorm_backward_parameters(const KernelArguments& arguments);
void batchnorm_running_update(const KernelArguments& arguments);
void batchnorm_evaluate(const KernelArguments& arguments);
void batchnorm_evaluate_backward(const KernelArguments& arguments);
void softmax(const KernelArguments& arguments);
void softmax_cross_entropy(const KernelArguments& arguments);
void update_results(const KernelArguments& arguments);
void gradient_norm(const KernelArguments& arguments);
void optimizer_sgd(const KernelArguments& arguments);
void optimizer_adam(const KernelArguments& arguments);
void optimizer_rmsprop(const KernelArguments& arguments);

}  // namespace batchwise::cpu
