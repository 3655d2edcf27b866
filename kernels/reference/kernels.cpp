// The tables of the oracle's kernels by operation name.
#include "kernels/reference/kernels.h"

#include <array>
#include <cmath>
#include <vector>

#include "kernels/reference/activation.h"
#include "kernels/reference/batchnorm.h"
#include "kernels/reference/dense.h"
#include "kernels/reference/dropout.h"
#include "kernels/reference/gather.h"
#include "kernels/reference/optimizer.h"
#include "kernels/reference/running_error.h"
#include "kernels/reference/softmax_cross_entropy.h"

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
    {"gather", run_gather<T>},
    {"dense_forward", run<dense_forward<T, T>>},
    {"dense_activation_forward", run<dense_activation_forward<T, T>>},
    {"dense_backward_input", run<dense_backward_input<T, T>>},
    {"dense_backward_weight", run<dense_backward_weight<T, T>>},
    {"dense_backward_bias", run<dense_backward_bias<T, T>>},
    {"dense_backward_weight_bias", run_dense_backward_weight_bias<T>},
    {"activation_forward", run<activation_forward<T, T>>},
    {"activation_backward", run<activation_backward<T, T>>},
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

/// Judges what a contract computes in double.
using WideError = RunningErrorOf<double>;

/// As an element of an array: the value is rounded to double once more.
[[nodiscard]] RunningError stored(const WideError& result) {
  const auto value = static_cast<double>(result);
  return RunningError::known(value, result.error() + std::abs(value) * 0x1p-53);
}
[[nodiscard]] RunningError exact(double value) { return RunningError::known(value, 0.0); }

void bound_batchnorm_statistics(const KernelArguments& a) {
  const std::int64_t rows = a.inputs[0].shape[0];
  const BatchNormStatisticsArguments<RunningError, RunningError> arguments{
      .x = a.inputs[0].matrix<const RunningError>(),
      .mean = a.outputs[0].matrix<RunningError>(),
      .inverse_deviation = a.outputs[1].matrix<RunningError>(),
      .pooled = {},
      .groups = {rows, a.attributes->integer("group")},
      .epsilon = a.attributes->number("epsilon"),
      .range = a.range(rows)};
  const auto pooled = a.outputs[2].matrix<RunningError>();
  std::vector<Moments<WideError>> merged;
  for (std::int64_t channel = 0; channel < pooled.columns; ++channel) {
    merged.push_back({WideError(pooled(0, channel)), WideError(pooled(1, channel))});
  }
  group_statistics(arguments, [&](std::int64_t channel, std::int64_t merged_values,
                                  const Moments<RunningError>& moments, std::int64_t values) {
    Moments<WideError>& pool = merged[static_cast<std::size_t>(channel)];
    pool = merge<WideError>(pool, merged_values,
                            {WideError(moments.mean), WideError(moments.squares)}, values);
    pooled(0, channel) = stored(pool.mean);
    pooled(1, channel) = stored(pool.squares);
  });
}

void bound_batchnorm_running_update(const KernelArguments& a) {
  batchnorm_running_update<RunningError, WideError>(
      BatchNormRunningUpdateArguments<RunningError>::from(a));
}

/// UpdateStatus as an array of its numbers.
enum StatusNumber { kLossSum, kCorrect, kGradientNorm, kGradientFactor, kFinite };

void bound_update_results(const KernelArguments& a) {
  // The judge of the sum takes the losses as they are: bounded, but exact.
  const auto losses = a.inputs[0].vector<const RunningError>();
  const UpdateResultsArguments arguments{.loss = {},
                                         .predicted = a.inputs[1].vector<const std::int32_t>(),
                                         .labels = a.inputs[2].vector<const std::int32_t>(),
                                         .indices = a.inputs[3].vector<const std::int32_t>(),
                                         .status = nullptr,
                                         .scalars = a.scalars};
  std::vector<double> values;
  for (std::int64_t sample = 0; sample < losses.size; ++sample) {
    values.push_back(static_cast<double>(losses[sample]));
  }
  const WideError sum = sum_of_losses<WideError>(
      {values.data(), ElementType::f64, {losses.size}, {1}}, a.scalars->batch_samples);
  auto* status = static_cast<RunningError*>(a.outputs[0].data);
  status[kLossSum] = stored(sum);
  status[kCorrect] = exact(static_cast<double>(count_of_correct(arguments)));
  status[kFinite] = exact(std::isfinite(static_cast<double>(sum)) ? 1.0 : 0.0);
}

void bound_gradient_norm(const KernelArguments& a) {
  const WideError scale(a.scalars->gradient_scale);
  const WideError norm =
      scale * sqrt(sum_of_squares<WideError>(a.inputs[0].vector<const RunningError>()));
  auto* status = static_cast<RunningError*>(a.outputs[0].data);
  status[kGradientNorm] = stored(norm);
  status[kGradientFactor] = exact(a.scalars->gradient_scale);
  const double clip = a.attributes->number("clip");
  if (clip > 0.0) {
    const WideError clipping = WideError(clip) / (norm + WideError(1e-6));
    // Not below 1, and so it is for a norm that is no number.
    const bool surely_off = !(clipping.value() - clipping.error() < 1.0L);
    // min(1, x) moves by no more than x does.
    const WideError factor = surely_off                  ? WideError(1.0)
                             : clipping < WideError(1.0) ? clipping
                                                         : WideError::known(1.0L, clipping.error());
    status[kGradientFactor] = stored(scale * factor);
  }
  if (!std::isfinite(static_cast<double>(norm))) status[kFinite] = exact(0.0);
}

/// A kernel of the table on RunningError, where it differs from the template's instance.
[[nodiscard]] Kernel bound_kernel(const KernelEntry& entry) {
  if (entry.operation == "batchnorm_statistics") return bound_batchnorm_statistics;
  if (entry.operation == "batchnorm_running_update") return bound_batchnorm_running_update;
  if (entry.operation == "update_results") return bound_update_results;
  if (entry.operation == "gradient_norm") return bound_gradient_norm;
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
