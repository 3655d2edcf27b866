// batchnorm's backward side: the sums over groups, the input's gradient and the parameters'.
// Contract: ops/batchnorm.h.
#include "kernels/cuda/channel_map.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/sample_sums.cuh"

namespace batchwise::BATCHWISE_CUDA {
namespace {

using Sums = BatchNormBackwardSumsArguments<float, float>;
using Input = BatchNormBackwardInputArguments<float, float>;
using Parameters = BatchNormBackwardParametersArguments<float, float>;

/// dy and dy xhat, summed side by side.
struct GradientTerm {
  static constexpr int kValues = 2;
  struct Constants {
    float mean, inverse_deviation;
  };
  MatrixView<const float> dy;
  MatrixView<const float> x;
  MatrixView<const float> mean;               ///< [groups, channels]
  MatrixView<const float> inverse_deviation;  ///< [groups, channels]
  BatchNormGroups groups;

  __device__ Constants constants(std::int64_t group, std::int64_t channel) const {
    return {mean.row(group)[channel], inverse_deviation.row(group)[channel]};
  }
  __device__ void load(std::int64_t row, std::int64_t column, float (&values)[2]) const {
    values[0] = dy.row(row)[column];
    values[1] = x.row(row)[column];
  }
  /// x becomes xhat.
  __device__ static void prepare(const Constants& constants, float (&values)[2]) {
    values[1] = (values[1] - constants.mean) * constants.inverse_deviation;
  }
  __device__ static void add(const float (&values)[2], float (&sums)[2]) {
    sums[0] = sums[0] + values[0];
    sums[1] = fmaf(values[0], values[1], sums[1]);
  }
};

template <int channels>
__global__ void __launch_bounds__(kSumThreads, kSumBlocks) sums_kernel(Sums a) {
  auto& memory = shared_memory<SumMemory<2, channels>>();
  const GroupSums<channels> block(a.x.columns, a.mean.columns, a.groups);
  const SumPlace<channels> own(block.first_channel, block.channel_count);
  float sums[2] = {};
  block.total(memory, GradientTerm{a.dy, a.x, a.mean, a.inverse_deviation, a.groups}, sums);
  if (!own.exists || own.chain >= block.group_count) return;
  a.sum_dy.row(block.first_group + own.chain)[own.channel] = sums[0];
  a.sum_dy_xhat.row(block.first_group + own.chain)[own.channel] = sums[1];
}

/// The rows of a pass that fall into a chunk of the update's batch.
__device__ __forceinline__ ChainRows rows_of_chunk(const SampleRange& range, std::int64_t chunk) {
  const std::int64_t begin = std::max(range.first, chunk * kSampleChunk);
  const std::int64_t end = std::min(range.end(), (chunk + 1) * kSampleChunk);
  return {begin - range.first, end > begin ? static_cast<int>(end - begin) : 0};
}

/// The sums over the update's batch, from where the pass before left them: an open chain in dgamma
/// and dbeta, finished chunks in the partial sums.
template <int channels>
__global__ void __launch_bounds__(kSumThreads, kSumBlocks) parameters_kernel(Parameters a) {
  auto& memory = shared_memory<SumMemory<2, channels>>();
  constexpr ReductionOrder order = ReductionOrder::over_samples();
  const SampleRange range = a.range;
  const std::int64_t first_channel = static_cast<std::int64_t>(blockIdx.x) * channels;
  const SumPlace<channels> own(first_channel, a.dgamma.size);
  const GradientTerm term{a.dy, a.x, a.mean, a.inverse_deviation, a.groups};
  const std::int64_t end = order.chunks(range.end());
  const std::int64_t begin = range.first / order.chunk();
  const SumTile tile = tile_of_chains(end - begin, range.count, SumMemory<2, channels>::kRows);
  const auto partial = [&](int value, int level) -> float& {
    return (value == 0 ? a.dbeta_partials : a.dgamma_partials)(level, own.channel);
  };
  for (std::int64_t first = begin; first < end; first += tile.chains) {
    const auto count = static_cast<int>(std::min<std::int64_t>(tile.chains, end - first));
    const bool resumes =
        own.exists && own.chain == 0 && !order.starts_chunk(range.first) && first == begin;
    float sums[2] = {resumes ? a.dbeta[own.channel] : 0.0f, resumes ? a.dgamma[own.channel] : 0.0f};
    run_chains<GradientTerm, channels>(
        memory, tile, term, [&](int chain) { return rows_of_chunk(range, first + chain); },
        first_channel, a.dgamma.size, a.x.columns / a.dgamma.size, sums);
    const bool last = first + count == end && range.end() == range.total;
    const bool stays_open = first + count == end && !last && !order.starts_chunk(range.end());
    const bool leaves = own.exists && own.chain == (last ? 0 : count - 1) && first + count == end;
    if (leaves && !last) {
      a.dbeta[own.channel] = sums[0];
      a.dgamma[own.channel] = sums[1];
    }
    fold_chunks(memory, own, first, stays_open ? count - 1 : count, last, partial, sums);
    if (leaves && last) {
      a.dbeta[own.channel] = sums[0];
      a.dgamma[own.channel] = sums[1];
    }
  }
}

struct InputMap : ChannelMap {
  struct Constants {
    float4 mean, inverse_deviation, scale, mean_dy, mean_dy_xhat;
  };
  struct Operands {
    float4 dy, x;
  };
  Input a;

  __device__ Constants constants(std::int64_t group, const ChannelQuad& quad) const {
    const std::int64_t rows = groups.end(group) - groups.begin(group);
    const std::int64_t pixels = output.columns / channels;
    const auto values = static_cast<float>(static_cast<double>(rows * pixels));
    const float4 inverse = load_channels(a.inverse_deviation.row(group), quad, wide_channels);
    const float4 gamma = load_channels(a.gamma.data, quad, wide_channels);
    const float4 dy = load_channels(a.sum_dy.row(group), quad, wide_channels);
    const float4 dy_xhat = load_channels(a.sum_dy_xhat.row(group), quad, wide_channels);
    return {load_channels(a.mean.row(group), quad, wide_channels), inverse,
            make_float4(gamma.x * inverse.x, gamma.y * inverse.y, gamma.z * inverse.z,
                        gamma.w * inverse.w),
            make_float4(dy.x / values, dy.y / values, dy.z / values, dy.w / values),
            make_float4(dy_xhat.x / values, dy_xhat.y / values, dy_xhat.z / values,
                        dy_xhat.w / values)};
  }
  __device__ Operands operands(const Quad& quad) const {
    return {load(a.dy, quad, wide), load(a.x, quad, wide)};
  }
  __device__ static float gradient(float dy, float x, float mean, float inverse_deviation,
                                   float scale, float mean_dy, float mean_dy_xhat) {
    const float xhat = (x - mean) * inverse_deviation;
    return scale * ((dy - mean_dy) - xhat * mean_dy_xhat);
  }
  __device__ static float4 result(const Constants& constants, const Operands& operands) {
    const auto& [mean, inverse, scale, mean_dy, mean_dy_xhat] = constants;
    const auto& [dy, x] = operands;
    return make_float4(gradient(dy.x, x.x, mean.x, inverse.x, scale.x, mean_dy.x, mean_dy_xhat.x),
                       gradient(dy.y, x.y, mean.y, inverse.y, scale.y, mean_dy.y, mean_dy_xhat.y),
                       gradient(dy.z, x.z, mean.z, inverse.z, scale.z, mean_dy.z, mean_dy_xhat.z),
                       gradient(dy.w, x.w, mean.w, inverse.w, scale.w, mean_dy.w, mean_dy_xhat.w));
  }
};

}  // namespace

void batchnorm_backward_sums(const KernelArguments& arguments) {
  const auto a = Sums::from(arguments);
  const std::int64_t channels = a.mean.columns;
  with_channels_of_block(a.x.columns / channels, [&]<int channels_of_block>() {
    launch<sums_kernel<channels_of_block>>(
        shape_of_group_sums<channels_of_block>(channels, a.groups), arguments.stream, a);
  });
}

void batchnorm_backward_input(const KernelArguments& arguments) {
  const auto a = Input::from(arguments);
  const bool wide_channels = a.x.columns == a.gamma.size && is_wide(a.mean) &&
                             is_wide(a.inverse_deviation) && is_wide(a.sum_dy) &&
                             is_wide(a.sum_dy_xhat) && is_wide(a.gamma);
  launch_channel_map(InputMap{{a.dx, a.gamma.size, a.groups,
                               is_wide(a.dy) && is_wide(a.x) && is_wide(a.dx), wide_channels},
                              a},
                     arguments.stream);
}

void batchnorm_backward_parameters(const KernelArguments& arguments) {
  const auto a = Parameters::from(arguments);
  if (a.range.count == 0) return;
  with_channels_of_block(a.x.columns / a.dgamma.size, [&]<int channels_of_block>() {
    launch<parameters_kernel<channels_of_block>>(
        {blocks_for(a.dgamma.size, channels_of_block), kSumThreads}, arguments.stream, a);
  });
}

}  // namespace batchwise::BATCHWISE_CUDA
