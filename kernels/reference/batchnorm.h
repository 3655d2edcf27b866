// batchnorm in all its steps, as plain loops: the contract is ops/batchnorm.h.
#pragma once

#include <algorithm>

#include "kernels/ops/batchnorm.h"
#include "kernels/reference/reduce.h"
#include "kernels/reference/scalar.h"

namespace batchwise::reference {

/// One sample's share of a channel's sum, added to the chain over samples: step(column, chain)
/// takes the channel's columns.
template <class S, class Step>
[[nodiscard]] S add_sample(std::int64_t channel, std::int64_t pixels, S chain, Step step) {
  if (pixels == 1) return step(channel, chain);
  return chain + sum_over_features<S>(pixels, [&](std::int64_t pixel, S pixel_chain) {
           return step(channel * pixels + pixel, pixel_chain);
         });
}

/// The sum over one group's samples and one channel's pixels; step(row, column, chain).
template <class S, class Step>
[[nodiscard]] S sum_over_group(const BatchNormGroups& groups, std::int64_t group,
                               std::int64_t channel, std::int64_t pixels, Step step) {
  const std::int64_t begin = groups.begin(group);
  return sum_over_samples<S>(groups.end(group) - begin, [&](std::int64_t index, S chain) {
    return add_sample(channel, pixels, chain, [&](std::int64_t column, S sample_chain) {
      return step(begin + index, column, sample_chain);
    });
  });
}

/// A channel's mean and sum of squared deviations over some values.
template <class S>
struct Moments {
  S mean{};
  S squares{};
};

template <class T, class S>
[[nodiscard]] Moments<S> group_moments(const BatchNormStatisticsArguments<T, S>& a,
                                       std::int64_t group, std::int64_t channel) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  const auto values = (a.groups.end(group) - a.groups.begin(group)) * pixels;
  const S sum = sum_over_group<S>(
      a.groups, group, channel, pixels,
      [&](std::int64_t row, std::int64_t column, S chain) { return chain + S(a.x(row, column)); });
  const S mean = sum / S(static_cast<double>(values));
  const S squares = sum_over_group<S>(a.groups, group, channel, pixels,
                                      [&](std::int64_t row, std::int64_t column, S chain) {
                                        const S deviation = S(a.x(row, column)) - mean;
                                        return fma(deviation, deviation, chain);
                                      });
  return {mean, squares};
}

/// Chan, Golub and LeVeque (1979): the moments of `merged_values` values and `values` further ones,
/// on double or on the scalar that judges it.
template <class S>
[[nodiscard]] Moments<S> merge(const Moments<S>& merged, std::int64_t merged_values,
                               const Moments<S>& further, std::int64_t values) {
  if (merged_values == 0) return further;
  const S delta = further.mean - merged.mean;
  const S share = S(static_cast<double>(values)) / S(static_cast<double>(merged_values + values));
  return {merged.mean + delta * share,
          (merged.squares + further.squares) +
              (delta * delta) * (S(static_cast<double>(merged_values)) * share)};
}

/// Each group's mean and inverse deviation, from moments_of(a, group, channel); pool(channel,
/// merged values, moments, values) takes its moments in the order of the groups.
template <class T, class S, class MomentsOf, class Pool>
void group_statistics(const BatchNormStatisticsArguments<T, S>& a, MomentsOf moments_of,
                      Pool pool) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  for (std::int64_t group = 0; group < a.groups.count(); ++group) {
    const std::int64_t values = (a.groups.end(group) - a.groups.begin(group)) * pixels;
    const std::int64_t merged_values = (a.range.first() + a.groups.begin(group)) * pixels;
    for (std::int64_t channel = 0; channel < a.mean.columns; ++channel) {
      const Moments<S> moments = moments_of(a, group, channel);
      const S variance = moments.squares / S(static_cast<double>(values));
      a.mean(group, channel) = moments.mean;
      a.inverse_deviation(group, channel) = S(1.0) / sqrt(variance + S(a.epsilon));
      pool(channel, merged_values, moments, values);
    }
  }
}

template <class T, class S>
void batchnorm_statistics(const BatchNormStatisticsArguments<T, S>& a) {
  group_statistics(a, group_moments<T, S>,
                   [&](std::int64_t channel, std::int64_t merged_values, const Moments<S>& moments,
                       std::int64_t values) {
                     const Moments<double> pooled = merge<double>(
                         {a.pooled(0, channel), a.pooled(1, channel)}, merged_values,
                         {static_cast<double>(moments.mean), static_cast<double>(moments.squares)},
                         values);
                     a.pooled(0, channel) = pooled.mean;
                     a.pooled(1, channel) = pooled.squares;
                   });
}

/// xhat of one element: its deviation from its group's mean in the group's deviations. The
/// arguments of every step after the statistics hold x, mean, inverse_deviation and groups.
template <class S, class Arguments>
[[nodiscard]] S normalized(const Arguments& a, std::int64_t row, std::int64_t column) {
  const std::int64_t group = row / a.groups.size();
  const std::int64_t channel = column / (a.x.columns / a.mean.columns);
  return (S(a.x(row, column)) - S(a.mean(group, channel))) * S(a.inverse_deviation(group, channel));
}

template <class T, class S>
void batchnorm_normalize(const BatchNormNormalizeArguments<T, S>& a) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t column = 0; column < a.x.columns; ++column) {
      const std::int64_t channel = column / pixels;
      a.y(row, column) =
          fma(normalized<S>(a, row, column), S(a.gamma[channel]), S(a.beta[channel]));
    }
  }
}

template <class T, class S>
void batchnorm_backward_sums(const BatchNormBackwardSumsArguments<T, S>& a) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  for (std::int64_t group = 0; group < a.groups.count(); ++group) {
    for (std::int64_t channel = 0; channel < a.mean.columns; ++channel) {
      a.sum_dy(group, channel) = sum_over_group<S>(
          a.groups, group, channel, pixels, [&](std::int64_t row, std::int64_t column, S chain) {
            return chain + S(a.dy(row, column));
          });
      a.sum_dy_xhat(group, channel) = sum_over_group<S>(
          a.groups, group, channel, pixels, [&](std::int64_t row, std::int64_t column, S chain) {
            return fma(S(a.dy(row, column)), normalized<S>(a, row, column), chain);
          });
    }
  }
}

template <class T, class S>
void batchnorm_backward_input(const BatchNormBackwardInputArguments<T, S>& a) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    const std::int64_t group = row / a.groups.size();
    const std::int64_t group_rows = a.groups.end(group) - a.groups.begin(group);
    const auto values = S(static_cast<double>(group_rows * pixels));
    for (std::int64_t column = 0; column < a.x.columns; ++column) {
      const std::int64_t channel = column / pixels;
      const S mean_dy = S(a.sum_dy(group, channel)) / values;
      const S mean_dy_xhat = S(a.sum_dy_xhat(group, channel)) / values;
      const S scale = S(a.gamma[channel]) * S(a.inverse_deviation(group, channel));
      const S xhat = normalized<S>(a, row, column);
      a.dx(row, column) = scale * ((S(a.dy(row, column)) - mean_dy) - xhat * mean_dy_xhat);
    }
  }
}

template <class T, class S>
void batchnorm_backward_parameters(const BatchNormBackwardParametersArguments<T, S>& a) {
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  for (std::int64_t channel = 0; channel < a.dgamma.size; ++channel) {
    const auto dgamma_partial = [&](int level) -> S& { return a.dgamma_partials(level, channel); };
    a.dgamma[channel] = resume_over_samples(
        a.range, a.dgamma[channel], dgamma_partial, [&](std::int64_t row, S chain) {
          return add_sample(channel, pixels, chain, [&](std::int64_t column, S sample_chain) {
            return fma(S(a.dy(row, column)), normalized<S>(a, row, column), sample_chain);
          });
        });
    const auto dbeta_partial = [&](int level) -> S& { return a.dbeta_partials(level, channel); };
    a.dbeta[channel] = resume_over_samples(
        a.range, a.dbeta[channel], dbeta_partial, [&](std::int64_t row, S chain) {
          return add_sample(channel, pixels, chain, [&](std::int64_t column, S sample_chain) {
            return sample_chain + S(a.dy(row, column));
          });
        });
  }
}

/// Computed on S, double or the scalar that judges it, and rounded once to T.
template <class T, class S = double>
void batchnorm_running_update(const BatchNormRunningUpdateArguments<T>& a) {
  if (a.status->finite == 0.0) return;
  const S degrees_of_freedom(
      static_cast<double>(std::max<std::int64_t>(a.values() - 1, std::int64_t{1})));
  const S momentum(a.momentum);
  const auto blend = [&](T running, S current) {
    return T((S(1.0) - momentum) * S(static_cast<double>(running)) + momentum * current);
  };
  for (std::int64_t channel = 0; channel < a.running_mean.size; ++channel) {
    a.running_mean[channel] = blend(a.running_mean[channel], S(a.pooled(0, channel)));
    a.running_var[channel] =
        blend(a.running_var[channel], S(a.pooled(1, channel)) / degrees_of_freedom);
  }
}

template <class T, class S>
void batchnorm_evaluate(const BatchNormEvaluateArguments<T, S>& a) {
  const std::int64_t pixels = a.x.columns / a.gamma.size;
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    for (std::int64_t column = 0; column < a.x.columns; ++column) {
      const std::int64_t channel = column / pixels;
      const S inverse_deviation = S(1.0) / sqrt(S(a.running_var[channel]) + S(a.epsilon));
      const S xhat = (S(a.x(row, column)) - S(a.running_mean[channel])) * inverse_deviation;
      a.y(row, column) = fma(xhat, S(a.gamma[channel]), S(a.beta[channel]));
    }
  }
}

template <class T, class S>
void batchnorm_evaluate_backward(const BatchNormEvaluateBackwardArguments<T, S>& a) {
  const std::int64_t pixels = a.dy.columns / a.gamma.size;
  for (std::int64_t row = 0; row < a.dy.rows; ++row) {
    for (std::int64_t column = 0; column < a.dy.columns; ++column) {
      const std::int64_t channel = column / pixels;
      const S inverse_deviation = S(1.0) / sqrt(S(a.running_var[channel]) + S(a.epsilon));
      a.dx(row, column) = S(a.dy(row, column)) * (S(a.gamma[channel]) * inverse_deviation);
    }
  }
}

}  // namespace batchwise::reference
