// batchnorm's forward side: statistics and what they are pooled into, normalisation, evaluation.
// Contract: ops/batchnorm.h.
#include "kernels/cuda/channel_map.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/sample_sums.cuh"

namespace batchwise::BATCHWISE_CUDA {
namespace {

using Statistics = BatchNormStatisticsArguments<float, float>;
using Normalize = BatchNormNormalizeArguments<float, float>;
using RunningUpdate = BatchNormRunningUpdateArguments<float>;
using Evaluate = BatchNormEvaluateArguments<float, float>;
using EvaluateBackward = BatchNormEvaluateBackwardArguments<float, float>;

/// Values of a group in a channel.
__device__ __forceinline__ std::int64_t values_of_group(const BatchNormGroups& groups,
                                                        std::int64_t group, std::int64_t pixels) {
  return (groups.end(group) - groups.begin(group)) * pixels;
}

__device__ __forceinline__ float inverse_deviation(float variance, double epsilon) {
  return 1.0f / sqrtf(variance + static_cast<float>(epsilon));
}

// ---- statistics: the sum of x, then of squared deviations ----

struct ValueTerm {
  static constexpr int kValues = 1;
  struct Constants {};
  MatrixView<const float> x;
  BatchNormGroups groups;

  __device__ Constants constants(std::int64_t, std::int64_t) const { return {}; }
  __device__ void load(std::int64_t row, std::int64_t column, float (&values)[1]) const {
    values[0] = x.row(row)[column];
  }
  __device__ static void prepare(const Constants&, float (&)[1]) {}
  __device__ static void add(const float (&values)[1], float (&sums)[1]) {
    sums[0] = sums[0] + values[0];
  }
};

struct DeviationTerm {
  static constexpr int kValues = 1;
  struct Constants {
    float mean;
  };
  MatrixView<const float> x;
  MatrixView<float> mean;  ///< [groups, channels], which this block has just written
  BatchNormGroups groups;

  __device__ Constants constants(std::int64_t group, std::int64_t channel) const {
    return {mean.row(group)[channel]};
  }
  __device__ void load(std::int64_t row, std::int64_t column, float (&values)[1]) const {
    values[0] = x.row(row)[column];
  }
  __device__ static void prepare(const Constants& constants, float (&values)[1]) {
    values[0] = values[0] - constants.mean;
  }
  __device__ static void add(const float (&values)[1], float (&sums)[1]) {
    sums[0] = fmaf(values[0], values[0], sums[0]);
  }
};

struct Moments {
  double mean;
  double squares;
};

/// Chan, Golub and LeVeque (1979) in the contract's order of roundings. share: of the further
/// values among all; weight: share times the number of values merged before.
__device__ __forceinline__ Moments merge(const Moments& merged, const Moments& further,
                                         double share, double weight) {
  const double delta = further.mean - merged.mean;
  return {merged.mean + delta * share,
          (merged.squares + further.squares) + (delta * delta) * weight};
}

/// How a group enters the pooled statistics.
struct Share {
  double share;
  double weight;
};
__device__ __forceinline__ Share share_of_group(const Statistics& a, std::int64_t group,
                                                std::int64_t pixels) {
  const std::int64_t merged = (a.range.first() + a.groups.begin(group)) * pixels;
  const std::int64_t values = values_of_group(a.groups, group, pixels);
  const double share = static_cast<double>(values) / static_cast<double>(merged + values);
  return {share, static_cast<double>(merged) * share};
}

/// The only group of a pass: its statistics are complete, and pooled at once.
__device__ __forceinline__ void finish_only_group(const Statistics& a, std::int64_t channel,
                                                  std::int64_t pixels, float mean, float squares) {
  const auto values = static_cast<float>(static_cast<double>(values_of_group(a.groups, 0, pixels)));
  a.inverse_deviation.row(0)[channel] = inverse_deviation(squares / values, a.epsilon);
  Moments moments{static_cast<double>(mean), static_cast<double>(squares)};
  if (a.range.first() != 0) {
    const auto [share, weight] = share_of_group(a, 0, pixels);
    moments = merge({a.pooled(0, channel), a.pooled(1, channel)}, moments, share, weight);
  }
  a.pooled(0, channel) = moments.mean;
  a.pooled(1, channel) = moments.squares;
}

/// Reads x twice, the second time from a cache where a block's rows fit one. With several groups
/// inverse_deviation receives the sums of squared deviations, for pool_kernel.
template <int channels>
__global__ void __launch_bounds__(kSumThreads, kSumBlocks) statistics_kernel(Statistics a) {
  auto& memory = shared_memory<SumMemory<1, channels>>();
  const GroupSums<channels> block(a.x.columns, a.mean.columns, a.groups);
  const SumPlace<channels> own(block.first_channel, block.channel_count);
  const std::int64_t group = block.first_group + own.chain;
  const bool writes = own.exists && own.chain < block.group_count;

  float sum[1] = {}, mean = 0.0f;
  block.total(memory, ValueTerm{a.x, a.groups}, sum);
  if (writes) {
    const auto values =
        static_cast<float>(static_cast<double>(values_of_group(a.groups, group, block.pixels)));
    mean = sum[0] / values;
    a.mean.row(group)[own.channel] = mean;
  }
  __syncthreads();

  float squares[1] = {};
  block.total(memory, DeviationTerm{a.x, a.mean, a.groups}, squares);
  if (!writes) return;
  if (a.groups.count() == 1) {
    finish_only_group(a, own.channel, block.pixels, mean, squares[0]);
  } else {
    a.inverse_deviation.row(group)[own.channel] = squares[0];
  }
}

constexpr int kPoolThreads = 256;
constexpr int kPoolChannels = 32;
constexpr int kPoolGroups = 64;

struct PoolMemory {
  float mean[kPoolGroups][kPoolChannels];
  float squares[kPoolGroups][kPoolChannels];
  Share shares[kPoolGroups];
};

/// Groups first .. of 32 channels into shared memory; their sums of squared deviations become
/// inverse deviations.
__device__ __forceinline__ void stage_groups(const Statistics& a, PoolMemory& memory,
                                             std::int64_t first, std::int64_t channel,
                                             std::int64_t pixels) {
  const int lane = static_cast<int>(threadIdx.x) % kPoolChannels;
  const auto count =
      static_cast<int>(std::min<std::int64_t>(kPoolGroups, a.groups.count() - first));
  if (static_cast<int>(threadIdx.x) < count) {
    memory.shares[threadIdx.x] = share_of_group(a, first + threadIdx.x, pixels);
  }
  if (channel >= a.mean.columns) return;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x) / kPoolChannels; i < count;
       i += kPoolThreads / kPoolChannels) {
    const float squares = a.inverse_deviation.row(first + i)[channel];
    const auto values =
        static_cast<float>(static_cast<double>(values_of_group(a.groups, first + i, pixels)));
    memory.squares[i][lane] = squares;
    memory.mean[i][lane] = a.mean.row(first + i)[channel];
    a.inverse_deviation.row(first + i)[channel] = inverse_deviation(squares / values, a.epsilon);
  }
}

/// Merges the groups of 32 channels in order.
__global__ void __launch_bounds__(kPoolThreads) pool_kernel(Statistics a) {
  auto& memory = shared_memory<PoolMemory>();
  const int lane = static_cast<int>(threadIdx.x) % kPoolChannels;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * kPoolChannels + lane;
  const std::int64_t pixels = a.x.columns / a.mean.columns;
  const bool merges = static_cast<int>(threadIdx.x) < kPoolChannels && channel < a.mean.columns;
  bool anew = a.range.first() == 0;
  Moments merged{0.0, 0.0};
  if (merges && !anew) merged = {a.pooled(0, channel), a.pooled(1, channel)};
  for (std::int64_t first = 0; first < a.groups.count(); first += kPoolGroups) {
    stage_groups(a, memory, first, channel, pixels);
    __syncthreads();
    const auto count =
        static_cast<int>(std::min<std::int64_t>(kPoolGroups, a.groups.count() - first));
    for (int i = 0; merges && i < count; ++i) {
      const Moments further{static_cast<double>(memory.mean[i][lane]),
                            static_cast<double>(memory.squares[i][lane])};
      merged =
          anew ? further : merge(merged, further, memory.shares[i].share, memory.shares[i].weight);
      anew = false;
    }
    __syncthreads();
  }
  if (!merges) return;
  a.pooled(0, channel) = merged.mean;
  a.pooled(1, channel) = merged.squares;
}

// ---- running statistics: a thread a channel ----

constexpr int kRunningThreads = 128;

__device__ __forceinline__ float blend(float running, double current, double momentum) {
  return static_cast<float>((1.0 - momentum) * static_cast<double>(running) + momentum * current);
}

__global__ void __launch_bounds__(kRunningThreads) running_update_kernel(RunningUpdate a) {
  const std::int64_t channel =
      static_cast<std::int64_t>(blockIdx.x) * kRunningThreads + threadIdx.x;
  if (channel >= a.running_mean.size || a.status->finite == 0.0) return;
  const auto degrees_of_freedom =
      static_cast<double>(std::max<std::int64_t>(a.values() - 1, std::int64_t{1}));
  a.running_mean[channel] = blend(a.running_mean[channel], a.pooled(0, channel), a.momentum);
  a.running_var[channel] =
      blend(a.running_var[channel], a.pooled(1, channel) / degrees_of_freedom, a.momentum);
}

// ---- maps: normalisation in a group's statistics or in the running ones ----

struct NormalizeConstants {
  float4 mean, inverse_deviation, gamma, beta;
};

__device__ __forceinline__ float normalize(float x, float mean, float inverse_deviation,
                                           float gamma, float beta) {
  return fmaf((x - mean) * inverse_deviation, gamma, beta);
}

__device__ __forceinline__ float4 normalize(const float4& x, const NormalizeConstants& c) {
  const auto& [mean, inverse, gamma, beta] = c;
  return make_float4(normalize(x.x, mean.x, inverse.x, gamma.x, beta.x),
                     normalize(x.y, mean.y, inverse.y, gamma.y, beta.y),
                     normalize(x.z, mean.z, inverse.z, gamma.z, beta.z),
                     normalize(x.w, mean.w, inverse.w, gamma.w, beta.w));
}

__device__ __forceinline__ float4 inverse_deviations(const float4& variance, double epsilon) {
  return make_float4(inverse_deviation(variance.x, epsilon), inverse_deviation(variance.y, epsilon),
                     inverse_deviation(variance.z, epsilon),
                     inverse_deviation(variance.w, epsilon));
}

struct NormalizeMap : ChannelMap {
  using Operands = float4;
  Normalize a;

  __device__ NormalizeConstants constants(std::int64_t group, const ChannelQuad& quad) const {
    return {load_channels(a.mean.row(group), quad, wide_channels),
            load_channels(a.inverse_deviation.row(group), quad, wide_channels),
            load_channels(a.gamma.data, quad, wide_channels),
            load_channels(a.beta.data, quad, wide_channels)};
  }
  __device__ float4 operands(const Quad& quad) const { return load(a.x, quad, wide); }
  __device__ static float4 result(const NormalizeConstants& constants, const float4& x) {
    return normalize(x, constants);
  }
};

struct EvaluateMap : ChannelMap {
  using Operands = float4;
  Evaluate a;

  __device__ NormalizeConstants constants(std::int64_t, const ChannelQuad& quad) const {
    const float4 variance = load_channels(a.running_var.data, quad, wide_channels);
    return {load_channels(a.running_mean.data, quad, wide_channels),
            inverse_deviations(variance, a.epsilon),
            load_channels(a.gamma.data, quad, wide_channels),
            load_channels(a.beta.data, quad, wide_channels)};
  }
  __device__ float4 operands(const Quad& quad) const { return load(a.x, quad, wide); }
  __device__ static float4 result(const NormalizeConstants& constants, const float4& x) {
    return normalize(x, constants);
  }
};

struct EvaluateBackwardMap : ChannelMap {
  using Operands = float4;
  EvaluateBackward a;

  /// The factor from dy to dx.
  __device__ float4 constants(std::int64_t, const ChannelQuad& quad) const {
    const float4 inverse =
        inverse_deviations(load_channels(a.running_var.data, quad, wide_channels), a.epsilon);
    const float4 gamma = load_channels(a.gamma.data, quad, wide_channels);
    return make_float4(gamma.x * inverse.x, gamma.y * inverse.y, gamma.z * inverse.z,
                       gamma.w * inverse.w);
  }
  __device__ float4 operands(const Quad& quad) const { return load(a.dy, quad, wide); }
  __device__ static float4 result(const float4& factor, const float4& dy) {
    return make_float4(dy.x * factor.x, dy.y * factor.y, dy.z * factor.z, dy.w * factor.w);
  }
};

}  // namespace

void batchnorm_statistics(const KernelArguments& arguments) {
  const auto a = Statistics::from(arguments);
  const std::int64_t channels = a.mean.columns;
  with_channels_of_block(a.x.columns / channels, [&]<int channels_of_block>() {
    launch<statistics_kernel<channels_of_block>>(
        shape_of_group_sums<channels_of_block>(channels, a.groups), arguments.stream, a);
  });
  if (a.groups.count() > 1) {
    launch<pool_kernel>({blocks_for(channels, kPoolChannels), kPoolThreads}, arguments.stream, a);
  }
}

void batchnorm_normalize(const KernelArguments& arguments) {
  const auto a = Normalize::from(arguments);
  const bool wide_channels = a.x.columns == a.gamma.size && is_wide(a.mean) &&
                             is_wide(a.inverse_deviation) && is_wide(a.gamma) && is_wide(a.beta);
  launch_channel_map(
      NormalizeMap{{a.y, a.gamma.size, a.groups, is_wide(a.x) && is_wide(a.y), wide_channels}, a},
      arguments.stream);
}

void batchnorm_running_update(const KernelArguments& arguments) {
  const auto a = RunningUpdate::from(arguments);
  launch<running_update_kernel>({blocks_for(a.running_mean.size, kRunningThreads), kRunningThreads},
                                arguments.stream, a);
}

void batchnorm_evaluate(const KernelArguments& arguments) {
  const auto a = Evaluate::from(arguments);
  const bool wide_channels = a.x.columns == a.gamma.size && is_wide(a.running_mean) &&
                             is_wide(a.running_var) && is_wide(a.gamma) && is_wide(a.beta);
  launch_channel_map(
      EvaluateMap{{a.y, a.gamma.size, {a.x.rows, 0}, is_wide(a.x) && is_wide(a.y), wide_channels},
                  a},
      arguments.stream);
}

void batchnorm_evaluate_backward(const KernelArguments& arguments) {
  const auto a = EvaluateBackward::from(arguments);
  const bool wide_channels =
      a.dy.columns == a.gamma.size && is_wide(a.running_var) && is_wide(a.gamma);
  launch_channel_map(
      EvaluateBackwardMap{
          {a.dx, a.gamma.size, {a.dy.rows, 0}, is_wide(a.dy) && is_wide(a.dx), wide_channels}, a},
      arguments.stream);
}

}  // namespace batchwise::BATCHWISE_CUDA
