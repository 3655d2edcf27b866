// batchnorm's backward side: the groups' sums, the input's gradient and the parameters' gradients.
// As in batchnorm.cpp, one pixel a channel is vectorised and more are left to the reference.
#include <algorithm>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_chunks.h"
#include "kernels/reference/batchnorm.h"

namespace batchwise::cpu {
namespace {

using Sums = BatchNormBackwardSumsArguments<float, float>;
using Input = BatchNormBackwardInputArguments<float, float>;
using Parameters = BatchNormBackwardParametersArguments<float, float>;

/// Calls body(channel, lanes) for vectors of channels, split between threads.
template <class Body>
void for_each_vector(std::int64_t rows, std::int64_t channels, Body&& body) {
  const double nanoseconds = 0.3 * static_cast<double>(rows * channels);
  parallel_ranges(channels, kLanes, nanoseconds, [&](std::int64_t begin, std::int64_t end) {
    for (; begin < end; begin += kLanes) {
      body(begin, static_cast<int>(std::min<std::int64_t>(kLanes, end - begin)));
    }
  });
}

/// A group's statistics for a vector of channels.
struct GroupVector {
  Vector mean;
  Vector inverse_deviation;

  template <class Arguments>
  GroupVector(const Arguments& a, std::int64_t group, std::int64_t channel, int lanes)
      : mean(load(&a.mean(group, channel), lanes)),
        inverse_deviation(load(&a.inverse_deviation(group, channel), lanes)) {}

  [[nodiscard]] Vector normalized(Vector x) const { return (x - mean) * inverse_deviation; }
};

void group_sums(const Sums& a, std::int64_t group, std::int64_t channel, int lanes) {
  const std::int64_t begin = a.groups.begin(group);
  const GroupVector statistics(a, group, channel, lanes);
  Vector sums[2] = {};
  sum_over_samples(a.groups.end(group) - begin, sums, [&](std::int64_t row, Vector(&s)[2]) {
    const Vector dy = load(&a.dy(begin + row, channel), lanes);
    const Vector x = load(&a.x(begin + row, channel), lanes);
    s[0] = s[0] + dy;
    s[1] = fused_multiply_add(dy, statistics.normalized(x), s[1]);
  });
  store(&a.sum_dy(group, channel), sums[0], lanes);
  store(&a.sum_dy_xhat(group, channel), sums[1], lanes);
}

void group_input(const Input& a, std::int64_t group, std::int64_t channel, int lanes) {
  const std::int64_t begin = a.groups.begin(group), end = a.groups.end(group);
  const GroupVector statistics(a, group, channel, lanes);
  const Vector values = broadcast(static_cast<float>(end - begin));
  const Vector mean_dy = load(&a.sum_dy(group, channel), lanes) / values;
  const Vector mean_dy_xhat = load(&a.sum_dy_xhat(group, channel), lanes) / values;
  const Vector scale = load(&a.gamma[channel], lanes) * statistics.inverse_deviation;
  for (std::int64_t row = begin; row < end; ++row) {
    const Vector dy = load(&a.dy(row, channel), lanes);
    const Vector xhat = statistics.normalized(load(&a.x(row, channel), lanes));
    store(&a.dx(row, channel), scale * ((dy - mean_dy) - xhat * mean_dy_xhat), lanes);
  }
}

/// Adds the chunk's rows to the gradients of a vector of channels.
void chunk_parameters(const Parameters& a, const SampleChunk& chunk, std::int64_t channel,
                      int lanes) {
  Vector dgamma = chunk.resumed ? load(&a.dgamma[channel], lanes) : Vector{};
  Vector dbeta = chunk.resumed ? load(&a.dbeta[channel], lanes) : Vector{};
  const std::int64_t chunk_end = chunk.first_row + chunk.rows;
  for (std::int64_t row = chunk.first_row; row < chunk_end;) {
    const std::int64_t group = row / a.groups.size();
    const GroupVector statistics(a, group, channel, lanes);
    for (const std::int64_t end = std::min(chunk_end, a.groups.end(group)); row < end; ++row) {
      const Vector dy = load(&a.dy(row, channel), lanes);
      const Vector x = load(&a.x(row, channel), lanes);
      dgamma = fused_multiply_add(dy, statistics.normalized(x), dgamma);
      dbeta = dbeta + dy;
    }
  }
  store(&a.dgamma[channel], dgamma, lanes);
  store(&a.dbeta[channel], dbeta, lanes);
  fold(chunk, &a.dgamma[channel], channel, lanes, a.dgamma_partials);
  fold(chunk, &a.dbeta[channel], channel, lanes, a.dbeta_partials);
}

}  // namespace

void batchnorm_backward_sums(const KernelArguments& arguments) {
  const auto a = Sums::from(arguments);
  if (a.x.columns != a.mean.columns) return reference::batchnorm_backward_sums(a);
  for_each_vector(a.x.rows, a.x.columns, [&](std::int64_t channel, int lanes) {
    for (std::int64_t group = 0; group < a.groups.count(); ++group) {
      group_sums(a, group, channel, lanes);
    }
  });
}

void batchnorm_backward_input(const KernelArguments& arguments) {
  const auto a = Input::from(arguments);
  if (a.x.columns != a.mean.columns) return reference::batchnorm_backward_input(a);
  for_each_vector(a.x.rows, a.x.columns, [&](std::int64_t channel, int lanes) {
    for (std::int64_t group = 0; group < a.groups.count(); ++group) {
      group_input(a, group, channel, lanes);
    }
  });
}

void batchnorm_backward_parameters(const KernelArguments& arguments) {
  const auto a = Parameters::from(arguments);
  if (a.x.columns != a.mean.columns) return reference::batchnorm_backward_parameters(a);
  for_each_vector(a.x.rows, a.x.columns, [&](std::int64_t channel, int lanes) {
    for_each_sample_chunk(
        a.range, [&](const SampleChunk& chunk) { chunk_parameters(a, chunk, channel, lanes); });
  });
}

}  // namespace batchwise::cpu
