// The tables of the oracle's kernels by operation name.
#include "kernels/reference/kernels.h"

#include <array>

#include "kernels/reference/activation.h"
#include "kernels/reference/batchnorm.h"
#include "kernels/reference/bound_kernels.h"
#include "kernels/reference/dense.h"
#include "kernels/reference/dropout.h"
#include "kernels/reference/gather.h"
#include "kernels/reference/optimizer.h"
#include "kernels/reference/sample_norms.h"
#include "kernels/reference/sign_bits.h"
#include "kernels/reference/softmax_cross_entropy.h"
#include "kernels/reference/transfer.h"

namespace batchwise::reference {
namespace {

template <class Arguments>
void call(void (*operation)(const Arguments&), const KernelArguments& a) {
  operation(Arguments::from(a));
}

/// A kernel that runs `operation`, a function of one typed argument structure.
template <auto operation>
void run(const KernelArguments& a) {
  call(operation, a);
}

template <class T>
void run_dense_backward_weight_bias(const KernelArguments& a) {
  run<dense_backward_weight<T, T>>(weight_half(a));
  run<dense_backward_bias<T, T>>(bias_half(a));
}

/// Data sets hold bytes or floats; which is known when the kernel runs.
template <class T>
void run_gather(const KernelArguments& a) {
  if (a.inputs[0].type == ElementType::u8) {
    call(gather<std::uint8_t, T>, a);
  } else {
    call(gather<float, T>, a);
  }
}

template <class T>
constexpr auto kKernels = std::to_array<KernelEntry>({
    {"copy_from_host", run<copy_rows>},
    {"copy_to_host", run<copy_rows>},
    {"gather", run_gather<T>},
    {"dense_forward", run<dense_forward<T, T>>},
    {"dense_activation_forward", run<dense_activation_forward<T, T>>},
    {"dense_backward_input", run<dense_backward_input<T, T>>},
    {"dense_backward_weight", run<dense_backward_weight<T, T>>},
    {"dense_backward_bias", run<dense_backward_bias<T, T>>},
    {"dense_backward_weight_bias", run_dense_backward_weight_bias<T>},
    {"dense_sample_norms", run<dense_sample_norms<T, double>>},
    {"activation_forward", run<activation_forward<T, T>>},
    {"activation_backward", run<activation_backward<T, T>>},
    {"activation_backward_bits", run<activation_backward_bits<T, T>>},
    {"sign_bits", run<sign_bits<T>>},
    {"dropout", run<dropout<T, T>>},
    {"batchnorm_statistics", run<batchnorm_statistics<T, T>>},
    {"batchnorm_normalize", run<batchnorm_normalize<T, T>>},
    {"batchnorm_backward_sums", run<batchnorm_backward_sums<T, T>>},
    {"batchnorm_backward_input", run<batchnorm_backward_input<T, T>>},
    {"batchnorm_backward_parameters", run<batchnorm_backward_parameters<T, T>>},
    {"batchnorm_running_update", run<batchnorm_running_update<T>>},
    {"batchnorm_evaluate", run<batchnorm_evaluate<T, T>>},
    {"batchnorm_evaluate_backward", run<batchnorm_evaluate_backward<T, T>>},
    {"softmax", run<softmax<T, T>>},
    {"softmax_cross_entropy", run<softmax_cross_entropy<T, T>>},
    {"update_results", run<update_results>},
    {"gradient_norm", run<gradient_norm<T>>},
    {"optimizer_sgd", run<optimizer_sgd<T>>},
    {"optimizer_adam", run<optimizer_adam<T>>},
    {"optimizer_rmsprop", run<optimizer_rmsprop<T>>},
});

/// A kernel of the table on RunningError, where it differs from the template's instance.
[[nodiscard]] Kernel bound_kernel(const KernelEntry& entry) {
  if (entry.operation == "batchnorm_statistics") return bound_batchnorm_statistics;
  if (entry.operation == "batchnorm_running_update") return bound_batchnorm_running_update;
  if (entry.operation == "update_results") return bound_update_results;
  if (entry.operation == "gradient_norm") return bound_gradient_norm;
  if (entry.operation == "dense_sample_norms") return bound_dense_sample_norms;
  return entry.kernel;
}

}  // namespace

KernelTable kernels_bound() {
  static const auto table = [] {
    auto entries = kKernels<RunningError>;
    for (KernelEntry& entry : entries) entry.kernel = bound_kernel(entry);
    return entries;
  }();
  return table;
}
KernelTable kernels_f64() { return kKernels<double>; }
KernelTable kernels_f32() { return kKernels<float>; }

}  // namespace batchwise::reference
