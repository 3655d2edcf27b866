// The kernels on RunningError that are not the reference's templates as they are: those whose
// results are computed in double, judged by long double, and BatchNorm's statistics, whose bound
// the running error alone would make too large.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/reference/batchnorm.h"
#include "kernels/reference/optimizer.h"
#include "kernels/reference/running_error.h"
#include "kernels/reference/sample_norms.h"

namespace batchwise::reference {

/// Judges what a contract computes in double.
using WideError = RunningErrorOf<double>;

/// As an element of an array: the value is rounded to double once more.
[[nodiscard]] inline RunningError stored(const WideError& result) {
  const auto value = static_cast<double>(result);
  return RunningError::known(value, result.error() + std::abs(value) * 0x1p-53);
}
[[nodiscard]] inline RunningError exact(double value) { return RunningError::known(value, 0.0); }

using BoundStatistics = BatchNormStatisticsArguments<RunningError, RunningError>;

/// A group's moments. Running error takes a mean that is off by at most e to shift every deviation
/// by its own; but deviations from the mean sum to 0, so that the sum of their squares moves by n
/// e^2 alone. Rounding is bounded on deviations that are larger by e.
[[nodiscard]] inline Moments<RunningError> bound_group_moments(const BoundStatistics& a,
                                                               std::int64_t group,
                                                               std::int64_t channel) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  const auto values = static_cast<double>((a.groups.end(group) - a.groups.begin(group)) * pixels);
  const Moments<RunningError> moments = group_moments(a, group, channel);
  const double mean = moments.mean.value(), shift = moments.mean.error();
  const RunningError larger = sum_over_group<RunningError>(
      a.groups, group, channel, pixels,
      [&](std::int64_t row, std::int64_t column, RunningError chain) {
        const double deviation = std::abs(a.x(row, column).value() - mean) + shift;
        const RunningError rounded =
            RunningError::known(deviation, 0.0) - RunningError::known(0.0, 0.0);
        return fma(rounded, rounded, chain);
      });
  // The value's mean is itself off by a little, by far less than 2^-20 e.
  const double moved = values * shift * shift * (1.0 + 0x1p-18);
  return {moments.mean, RunningError::known(moments.squares.value(), larger.error() + moved)};
}

inline void bound_batchnorm_statistics(const KernelArguments& a) {
  const std::int64_t rows = a.inputs[0].shape[0];
  const BoundStatistics arguments{.x = a.inputs[0].matrix<const RunningError>(),
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
  group_statistics(arguments, bound_group_moments,
                   [&](std::int64_t channel, std::int64_t merged_values,
                       const Moments<RunningError>& moments, std::int64_t values) {
                     Moments<WideError>& pool = merged[static_cast<std::size_t>(channel)];
                     pool = merge<WideError>(pool, merged_values,
                                             {WideError(moments.mean), WideError(moments.squares)},
                                             values);
                     pooled(0, channel) = stored(pool.mean);
                     pooled(1, channel) = stored(pool.squares);
                   });
}

inline void bound_batchnorm_running_update(const KernelArguments& a) {
  batchnorm_running_update<RunningError, WideError>(
      BatchNormRunningUpdateArguments<RunningError>::from(a));
}

inline void bound_dense_sample_norms(const KernelArguments& a) {
  const auto norms = a.outputs[0].vector<RunningError>();
  std::vector<WideError> judged;
  for (std::int64_t sample = 0; sample < norms.size; ++sample) {
    judged.emplace_back(norms[sample]);
  }
  const DenseSampleNormsArguments<RunningError, WideError> arguments{
      .x = a.inputs[0].matrix<const RunningError>(),
      .dy = a.inputs[1].matrix<const RunningError>(),
      .norms = {judged.data(), norms.size},
      .bias = a.attributes->integer("bias") != 0,
      .accumulate = a.attributes->integer("accumulate") != 0,
      .range = a.range(a.inputs[0].shape[0])};
  dense_sample_norms(arguments);
  for (std::int64_t row = 0; row < arguments.x.rows; ++row) {
    const std::int64_t sample = arguments.range.first() + row;
    norms[sample] = stored(judged[static_cast<std::size_t>(sample)]);
  }
}

/// UpdateStatus as an array of its numbers.
enum StatusNumber { kLossSum, kCorrect, kGradientNorm, kGradientFactor, kFinite };

inline void bound_update_results(const KernelArguments& a) {
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

inline void bound_gradient_norm(const KernelArguments& a) {
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

}  // namespace batchwise::reference
