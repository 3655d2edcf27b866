// batchnorm's forward side: statistics, normalisation and evaluation. With one pixel a channel,
// what dense layers need, channels lie side by side and are vectorised; with more the reference's
// loops run.
#include "kernels/reference/batchnorm.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_chunks.h"

namespace batchwise::cpu {
namespace {

using Statistics = BatchNormStatisticsArguments<float, float>;
using Normalize = BatchNormNormalizeArguments<float, float>;
using Evaluate = BatchNormEvaluateArguments<float, float>;
using EvaluateBackward = BatchNormEvaluateBackwardArguments<float, float>;

/// Means and sums of squared deviations of one group and up to kLanes channels.
void group_statistics(const Statistics& a, std::int64_t group, std::int64_t channel, int lanes) {
  const std::int64_t begin = a.groups.begin(group), values = a.groups.end(group) - begin;
  const Vector count = broadcast(static_cast<float>(values));
  const auto x = [&](std::int64_t row) { return load(&a.x(begin + row, channel), lanes); };
  Vector sum[1] = {}, squares[1] = {};
  sum_over_samples(values, sum, [&](std::int64_t row, Vector(&s)[1]) { s[0] = s[0] + x(row); });
  const Vector mean = sum[0] / count;
  sum_over_samples(values, squares, [&](std::int64_t row, Vector(&s)[1]) {
    const Vector deviation = x(row) - mean;
    s[0] = fused_multiply_add(deviation, deviation, s[0]);
  });
  const Vector variance = squares[0] / count + broadcast(static_cast<float>(a.epsilon));
  store(&a.mean(group, channel), mean, lanes);
  for (int lane = 0; lane < lanes; ++lane) {
    a.inverse_deviation(group, channel + lane) = 1.0f / std::sqrt(variance[lane]);
    const auto pooled = reference::merge<double>(
        {a.pooled(0, channel + lane), a.pooled(1, channel + lane)}, a.range.first() + begin,
        {static_cast<double>(mean[lane]), static_cast<double>(squares[0][lane])}, values);
    a.pooled(0, channel + lane) = pooled.mean;
    a.pooled(1, channel + lane) = pooled.squares;
  }
}

/// Channels [begin, end) of one group's rows.
void normalize_group(const Normalize& a, std::int64_t group, std::int64_t begin, std::int64_t end) {
  const float *mean = a.mean.row(group), *inverse_deviation = a.inverse_deviation.row(group);
  const float *gamma = a.gamma.data, *beta = a.beta.data;
  for (std::int64_t row = a.groups.begin(group); row < a.groups.end(group); ++row) {
    const float* x = a.x.row(row);
    float* y = a.y.row(row);
#pragma omp simd
    for (std::int64_t c = begin; c < end; ++c) {
      y[c] = std::fma((x[c] - mean[c]) * inverse_deviation[c], gamma[c], beta[c]);
    }
  }
}

/// Inverse deviations of the running variances of channels [begin, end).
void inverse_deviations(const float* running_var, double epsilon, std::int64_t begin,
                        std::int64_t end, float* result) {
  const auto e = static_cast<float>(epsilon);
#pragma omp simd
  for (std::int64_t c = begin; c < end; ++c) {
    result[c - begin] = 1.0f / std::sqrt(running_var[c] + e);
  }
}

/// Channels whose constants fit the stack at a time.
constexpr std::int64_t kPanel = 512;

/// Calls body(begin, end) for panels of channels, split between threads.
template <class Body>
void for_each_panel(std::int64_t rows, std::int64_t channels, Body&& body) {
  const double nanoseconds = 0.2 * static_cast<double>(rows * channels);
  parallel_ranges(channels, kLanes, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (; begin < end; begin += kPanel) body(begin, std::min(end, begin + kPanel));
  });
}

void evaluate_panel(const Evaluate& a, std::int64_t begin, std::int64_t end) {
  float inverse_deviation[kPanel];
  inverse_deviations(a.running_var.data, a.epsilon, begin, end, inverse_deviation);
  const float *mean = a.running_mean.data, *gamma = a.gamma.data, *beta = a.beta.data;
  for (std::int64_t row = 0; row < a.x.rows; ++row) {
    const float* x = a.x.row(row);
    float* y = a.y.row(row);
#pragma omp simd
    for (std::int64_t c = begin; c < end; ++c) {
      y[c] = std::fma((x[c] - mean[c]) * inverse_deviation[c - begin], gamma[c], beta[c]);
    }
  }
}

void evaluate_backward_panel(const EvaluateBackward& a, std::int64_t begin, std::int64_t end) {
  float scale[kPanel];
  inverse_deviations(a.running_var.data, a.epsilon, begin, end, scale);
  for (std::int64_t c = begin; c < end; ++c) scale[c - begin] = a.gamma[c] * scale[c - begin];
  for (std::int64_t row = 0; row < a.dy.rows; ++row) {
    const float* dy = a.dy.row(row);
    float* dx = a.dx.row(row);
#pragma omp simd
    for (std::int64_t c = begin; c < end; ++c) dx[c] = dy[c] * scale[c - begin];
  }
}

}  // namespace

void batchnorm_statistics(const KernelArguments& arguments) {
  const auto a = Statistics::from(arguments);
  const std::int64_t channels = a.mean.columns;
  if (a.x.columns != channels) return reference::batchnorm_statistics(a);
  for_each_panel(2 * a.x.rows, channels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; c += kLanes) {
      const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes, end - c));
      for (std::int64_t group = 0; group < a.groups.count(); ++group) {
        group_statistics(a, group, c, lanes);
      }
    }
  });
}

void batchnorm_normalize(const KernelArguments& arguments) {
  const auto a = Normalize::from(arguments);
  if (a.x.columns != a.mean.columns) return reference::batchnorm_normalize(a);
  for_each_panel(a.x.rows, a.x.columns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t group = 0; group < a.groups.count(); ++group) {
      normalize_group(a, group, begin, end);
    }
  });
}

void batchnorm_running_update(const KernelArguments& arguments) {
  reference::batchnorm_running_update(BatchNormRunningUpdateArguments<float>::from(arguments));
}

void batchnorm_evaluate(const KernelArguments& arguments) {
  const auto a = Evaluate::from(arguments);
  if (a.x.columns != a.gamma.size) return reference::batchnorm_evaluate(a);
  for_each_panel(a.x.rows, a.x.columns,
                 [&](std::int64_t begin, std::int64_t end) { evaluate_panel(a, begin, end); });
}

void batchnorm_evaluate_backward(const KernelArguments& arguments) {
  const auto a = EvaluateBackward::from(arguments);
  if (a.dy.columns != a.gamma.size) return reference::batchnorm_evaluate_backward(a);
  for_each_panel(a.dy.rows, a.dy.columns, [&](std::int64_t begin, std::int64_t end) {
    evaluate_backward_panel(a, begin, end);
  });
}

}  // namespace batchwise::cpu
