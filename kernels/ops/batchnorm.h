// batchnorm: normalisation of each channel over a group of samples (Ioffe and Szegedy 2015), with
// ghost groups (Hoffer, Hubara and Soudry 2017) and running statistics for inference.
//
// x is [rows, channels * pixels]; a channel's values are x[r, c * pixels + p]. The rows of a pass
// fall into groups of `group` consecutive rows, the last one smaller (group 0: all rows are one).
// n is a group's number of values a channel, rows of the group times pixels.
//
//   batchnorm_statistics           mean[g, c] = (sum x) / n,  v = (sum (x - mean)^2) / n
//                                  inverse_deviation[g, c] = 1 / sqrt(v + eps)
//                                  pooled: mean and M2 of the update's batch so far (see below)
//   batchnorm_normalize            y = fma(xhat, gamma, beta)
//                                  xhat = (x - mean) * inverse_deviation
//   batchnorm_backward_sums        sum_dy[g, c] = sum dy,  sum_dy_xhat[g, c] = sum dy xhat
//   batchnorm_backward_input       dx = gamma inverse_deviation
//                                       (dy - sum_dy / n - xhat sum_dy_xhat / n)
//   batchnorm_backward_parameters  dgamma[c] = sum_m dy xhat,  dbeta[c] = sum_m dy
//   batchnorm_running_update       running_mean = (1 - momentum) running_mean + momentum mean
//                                  running_var likewise with M2 / max(N - 1, 1), N over the whole
//                                  batch; computed in double, rounded once; void when the update is
//   batchnorm_evaluate             y from the running statistics, as batchnorm_normalize with
//                                  inverse_deviation = 1 / sqrt(running_var + eps)
//   batchnorm_evaluate_backward    dx = dy (gamma inverse_deviation), for a frozen layer
//
// Order: over a sample's pixels over_features; the samples' sums then over_samples, by the index in
// the group for group sums and by the index in the update's batch, resumed through `partials`, for
// the parameters' gradients. With one pixel the sample's sum is the term itself, chained by fma
// where it is a product; with more, each sample's sum is a chain over its pixels from zero and is
// then added: fma(dy, xhat, sum), fma(d, d, sum) with d = x - mean, sum + x, sum + dy. dx is
// evaluated as (gamma * inverse_deviation) * ((dy - sum_dy / n) - xhat * (sum_dy_xhat / n)).
// pooled is [2, channels] in f64 for every backend: groups are merged in order by Chan, Golub and
// LeVeque's (1979) formula, starting anew where the range begins at 0. In this order of roundings,
// a the values merged before, b the group's, both read in double from the group's results:
//   delta = mean_b - mean,  share = n_b / (n_a + n_b)
//   mean = mean + delta * share,  M2 = (M2 + M2_b) + (delta * delta) * (n_a * share)
#pragma once

#include "kernels/ops/kernel.h"
#include "kernels/ops/partial_sums.h"

namespace batchwise {

/// How a pass's rows fall into groups.
struct BatchNormGroups {
  std::int64_t rows = 0;
  std::int64_t group = 0;  ///< 0: all rows

  [[nodiscard]] constexpr std::int64_t size() const { return group == 0 ? rows : group; }
  [[nodiscard]] constexpr std::int64_t count() const {
    return rows == 0 ? 0 : (rows + size() - 1) / size();
  }
  [[nodiscard]] constexpr std::int64_t begin(std::int64_t g) const { return g * size(); }
  [[nodiscard]] constexpr std::int64_t end(std::int64_t g) const {
    return (g + 1) * size() < rows ? (g + 1) * size() : rows;
  }
};

template <class T, class S>
struct BatchNormStatisticsArguments {
  MatrixView<const T> x;            ///< [rows, channels * pixels]
  MatrixView<S> mean;               ///< [groups, channels]
  MatrixView<S> inverse_deviation;  ///< [groups, channels]
  MatrixView<double> pooled;        ///< [2, channels]: mean, M2
  BatchNormGroups groups;
  double epsilon;
  PassRange range;

  /// inputs: x; outputs: mean, inverse_deviation, pooled; attributes: group, epsilon.
  [[nodiscard]] static BatchNormStatisticsArguments from(const KernelArguments& a) {
    const std::int64_t rows = a.inputs[0].shape[0];
    return {a.inputs[0].matrix<const T>(),
            a.outputs[0].matrix<S>(),
            a.outputs[1].matrix<S>(),
            a.outputs[2].matrix<double>(),
            {rows, a.attributes->integer("group")},
            a.attributes->number("epsilon"),
            a.range(rows)};
  }
};

template <class T, class S>
struct BatchNormNormalizeArguments {
  MatrixView<const T> x;                  ///< [rows, channels * pixels]
  MatrixView<const T> mean;               ///< [groups, channels]
  MatrixView<const T> inverse_deviation;  ///< [groups, channels]
  VectorView<const T> gamma;              ///< [channels]
  VectorView<const T> beta;               ///< [channels]
  MatrixView<S> y;                        ///< [rows, channels * pixels]
  BatchNormGroups groups;

  /// inputs: x, mean, inverse_deviation, gamma, beta; outputs: y; attributes: group.
  [[nodiscard]] static BatchNormNormalizeArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].matrix<const T>(),
            a.inputs[2].matrix<const T>(),
            a.inputs[3].vector<const T>(),
            a.inputs[4].vector<const T>(),
            a.outputs[0].matrix<S>(),
            {a.inputs[0].shape[0], a.attributes->integer("group")}};
  }
};

template <class T, class S>
struct BatchNormBackwardSumsArguments {
  MatrixView<const T> dy;                 ///< [rows, channels * pixels]
  MatrixView<const T> x;                  ///< [rows, channels * pixels]
  MatrixView<const T> mean;               ///< [groups, channels]
  MatrixView<const T> inverse_deviation;  ///< [groups, channels]
  MatrixView<S> sum_dy;                   ///< [groups, channels]
  MatrixView<S> sum_dy_xhat;              ///< [groups, channels]
  BatchNormGroups groups;

  /// inputs: dy, x, mean, inverse_deviation; outputs: sum_dy, sum_dy_xhat; attributes: group.
  [[nodiscard]] static BatchNormBackwardSumsArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].matrix<const T>(),
            a.inputs[2].matrix<const T>(),
            a.inputs[3].matrix<const T>(),
            a.outputs[0].matrix<S>(),
            a.outputs[1].matrix<S>(),
            {a.inputs[0].shape[0], a.attributes->integer("group")}};
  }
};

template <class T, class S>
struct BatchNormBackwardInputArguments {
  MatrixView<const T> dy;                 ///< [rows, channels * pixels]
  MatrixView<const T> x;                  ///< [rows, channels * pixels]
  MatrixView<const T> mean;               ///< [groups, channels]
  MatrixView<const T> inverse_deviation;  ///< [groups, channels]
  MatrixView<const T> sum_dy;             ///< [groups, channels]
  MatrixView<const T> sum_dy_xhat;        ///< [groups, channels]
  VectorView<const T> gamma;              ///< [channels]
  MatrixView<S> dx;                       ///< [rows, channels * pixels]; may be dy's bytes
  BatchNormGroups groups;

  /// inputs: dy, x, mean, inverse_deviation, sum_dy, sum_dy_xhat, gamma; outputs: dx;
  /// attributes: group.
  [[nodiscard]] static BatchNormBackwardInputArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].matrix<const T>(),
            a.inputs[2].matrix<const T>(),
            a.inputs[3].matrix<const T>(),
            a.inputs[4].matrix<const T>(),
            a.inputs[5].matrix<const T>(),
            a.inputs[6].vector<const T>(),
            a.outputs[0].matrix<S>(),
            {a.inputs[0].shape[0], a.attributes->integer("group")}};
  }
};

template <class T, class S>
struct BatchNormBackwardParametersArguments {
  MatrixView<const T> dy;                 ///< [rows, channels * pixels]
  MatrixView<const T> x;                  ///< [rows, channels * pixels]
  MatrixView<const T> mean;               ///< [groups, channels]
  MatrixView<const T> inverse_deviation;  ///< [groups, channels]
  VectorView<S> dgamma;                   ///< [channels]; resumed
  VectorView<S> dbeta;                    ///< [channels]; resumed
  PartialSums<S> dgamma_partials;
  PartialSums<S> dbeta_partials;
  BatchNormGroups groups;
  PassRange range;

  /// inputs: dy, x, mean, inverse_deviation; outputs: dgamma, dbeta, dgamma_partials,
  /// dbeta_partials; attributes: group.
  [[nodiscard]] static BatchNormBackwardParametersArguments from(const KernelArguments& a) {
    const std::int64_t rows = a.inputs[0].shape[0];
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].matrix<const T>(),
            a.inputs[2].matrix<const T>(),
            a.inputs[3].matrix<const T>(),
            a.outputs[0].vector<S>(),
            a.outputs[1].vector<S>(),
            PartialSums<S>::from(a.outputs[2]),
            PartialSums<S>::from(a.outputs[3]),
            {rows, a.attributes->integer("group")},
            a.range(rows)};
  }
};

template <class T>
struct BatchNormRunningUpdateArguments {
  MatrixView<const double> pooled;  ///< [2, channels]: mean, M2
  const UpdateStatus* status;
  VectorView<T> running_mean;  ///< [channels]
  VectorView<T> running_var;   ///< [channels]
  double momentum;
  std::int64_t pixels;
  const UpdateScalars* scalars;

  /// inputs: pooled, status; outputs: running_mean, running_var; attributes: momentum, pixels.
  [[nodiscard]] static BatchNormRunningUpdateArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const double>(),
            static_cast<const UpdateStatus*>(a.inputs[1].data),
            a.outputs[0].vector<T>(),
            a.outputs[1].vector<T>(),
            a.attributes->number("momentum"),
            a.attributes->integer("pixels"),
            a.scalars};
  }

  /// N: samples of the batch times pixels.
  [[nodiscard]] constexpr std::int64_t values() const { return scalars->batch_samples * pixels; }
};

template <class T, class S>
struct BatchNormEvaluateArguments {
  MatrixView<const T> x;             ///< [rows, channels * pixels]
  VectorView<const T> running_mean;  ///< [channels]
  VectorView<const T> running_var;   ///< [channels]
  VectorView<const T> gamma;         ///< [channels]
  VectorView<const T> beta;          ///< [channels]
  MatrixView<S> y;                   ///< [rows, channels * pixels]; may be x's bytes
  double epsilon;

  /// inputs: x, running_mean, running_var, gamma, beta; outputs: y; attributes: epsilon.
  [[nodiscard]] static BatchNormEvaluateArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),  a.inputs[1].vector<const T>(),
            a.inputs[2].vector<const T>(),  a.inputs[3].vector<const T>(),
            a.inputs[4].vector<const T>(),  a.outputs[0].matrix<S>(),
            a.attributes->number("epsilon")};
  }
};

template <class T, class S>
struct BatchNormEvaluateBackwardArguments {
  MatrixView<const T> dy;           ///< [rows, channels * pixels]
  VectorView<const T> running_var;  ///< [channels]
  VectorView<const T> gamma;        ///< [channels]
  MatrixView<S> dx;                 ///< [rows, channels * pixels]; may be dy's bytes
  double epsilon;

  /// inputs: dy, running_var, gamma; outputs: dx; attributes: epsilon.
  [[nodiscard]] static BatchNormEvaluateBackwardArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(), a.inputs[1].vector<const T>(),
            a.inputs[2].vector<const T>(), a.outputs[0].matrix<S>(),
            a.attributes->number("epsilon")};
  }
};

}  // namespace batchwise
