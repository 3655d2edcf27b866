// optimizer_sgd, optimizer_adam, optimizer_rmsprop: one pass over the whole arena, each element by
// itself. Contract: ops/optimizer.h.
#include "kernels/ops/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/operations.h"

namespace batchwise::BATCHWISE_CUDA {
namespace {

// Segments begin at multiples of 16 elements, so that a quad of the arena lies in one segment or in
// none. A thread takes every n-th quad: what an update or a segment computes in double is computed
// once for all of a thread's quads.

/// Eight blocks on each multiprocessor of the largest GPUs.
constexpr std::int64_t kMostBlocks = 8 * 160;

/// The arrays of an update, each a matrix of one row. Slots that a rule does not have are not read.
struct Arena {
  MatrixView<const float> gradient;
  MatrixView<float> weights;
  MatrixView<float> slot0;
  MatrixView<float> slot1;
  bool wide;  ///< all are aligned
};

struct SegmentTable {
  const OptimizerSegment* data;  ///< in the order of offsets
  std::int64_t size;
};

/// One element as a rule sees it.
struct Element {
  float gradient;  ///< scaled and clipped
  float& weight;
  float& slot0;
  float& slot1;
};

/// The last segment that begins at or before `index`, or else the first.
__device__ __forceinline__ const OptimizerSegment& segment_of(const SegmentTable& table,
                                                              std::int64_t index) {
  std::int64_t first = 0;
  for (std::int64_t count = table.size; count > 1;) {
    const std::int64_t half = count / 2;
    if (table.data[first + half].offset <= index) first += half;
    count -= half;
  }
  return table.data[first];
}

/// State as it is used and stored: 0 where it is too small to matter.
__device__ __forceinline__ float settled(float state, double smallest) {
  return fabsf(state) < static_cast<float>(smallest) ? 0.0f : state;
}

/// The decay's term of the gradient. Adding 0 * weight instead of nothing would change bits.
struct Decay {
  bool on = false;
  float factor = 0.0f;

  __device__ __forceinline__ void set(double decay) {
    on = decay != 0.0;
    factor = static_cast<float>(decay);
  }
  __device__ __forceinline__ float added_to(float gradient, float weight) const {
    return on ? fmaf(factor, weight, gradient) : gradient;
  }
};

// A rule is one optimizer. begin() prepares what holds for the update, enter() what holds for a
// segment with this rate and decay, step() updates one element.

enum class Momentum { none, plain, nesterov };

template <Momentum kMomentum>
struct Sgd {
  static constexpr int kSlots = kMomentum == Momentum::none ? 0 : 1;
  float momentum;
  Decay decay = {};
  float rate = 0.0f;  ///< negative

  __device__ __forceinline__ void begin(const UpdateScalars&) {}
  __device__ __forceinline__ void enter(double segment_rate, double segment_decay) {
    decay.set(segment_decay);
    rate = static_cast<float>(-segment_rate);
  }
  __device__ __forceinline__ void step(const Element& e) const {
    const float gradient = decay.added_to(e.gradient, e.weight);
    float direction = gradient;
    if constexpr (kMomentum != Momentum::none) {
      e.slot0 = settled(fmaf(momentum, e.slot0, gradient), kSmallestMomentum);
      direction = kMomentum == Momentum::nesterov ? fmaf(momentum, e.slot0, gradient) : e.slot0;
    }
    e.weight = fmaf(rate, direction, e.weight);
  }
};

template <bool kDecoupled>
struct Adam {
  static constexpr int kSlots = 2;
  float beta1, rest1, beta2, rest2, epsilon;
  double bias_correction1 = 1.0;
  float inverse_root = 0.0f;  ///< of the second bias correction
  Decay decay = {};           ///< decoupled: -rate * decay
  float rate = 0.0f;

  __device__ __forceinline__ void begin(const UpdateScalars& scalars) {
    bias_correction1 = scalars.bias_correction1;
    inverse_root = static_cast<float>(1.0 / sqrt(scalars.bias_correction2));
  }
  __device__ __forceinline__ void enter(double segment_rate, double segment_decay) {
    decay.set(kDecoupled ? -(segment_rate * segment_decay) : segment_decay);
    decay.on = segment_decay != 0.0;
    rate = static_cast<float>(segment_rate / bias_correction1);
  }
  __device__ __forceinline__ void step(const Element& e) const {
    const float gradient = kDecoupled ? e.gradient : decay.added_to(e.gradient, e.weight);
    if constexpr (kDecoupled) e.weight = decay.added_to(e.weight, e.weight);
    e.slot0 = settled(fmaf(beta1, e.slot0, rest1 * gradient), kSmallestMomentum);
    e.slot1 = settled(fmaf(beta2, e.slot1, (rest2 * gradient) * gradient), kSmallestSquare);
    const float denominator = fmaf(sqrtf(e.slot1), inverse_root, epsilon);
    e.weight = e.weight - rate * (e.slot0 / denominator);
  }
};

template <bool kMomentum>
struct Rmsprop {
  static constexpr int kSlots = kMomentum ? 2 : 1;
  float alpha, rest, epsilon, momentum;
  Decay decay = {};
  float rate = 0.0f;  ///< negative

  __device__ __forceinline__ void begin(const UpdateScalars&) {}
  __device__ __forceinline__ void enter(double segment_rate, double segment_decay) {
    decay.set(segment_decay);
    rate = static_cast<float>(-segment_rate);
  }
  __device__ __forceinline__ void step(const Element& e) const {
    const float gradient = decay.added_to(e.gradient, e.weight);
    e.slot0 = settled(fmaf(alpha, e.slot0, (rest * gradient) * gradient), kSmallestSquare);
    float direction = gradient / (sqrtf(e.slot0) + epsilon);
    if constexpr (kMomentum) {
      e.slot1 = settled(fmaf(momentum, e.slot1, direction), kSmallestMomentum);
      direction = e.slot1;
    }
    e.weight = fmaf(rate, direction, e.weight);
  }
};

/// Loads a quad of a rule's arrays, updates it, and stores what the rule has.
template <class Rule>
__device__ __forceinline__ void step_quad(const Arena& arena, const Quad& quad, float factor,
                                          const Rule& rule) {
  const auto read = [&](const MatrixView<float>& view) {
    return load({view.data, view.rows, view.columns, view.row_stride}, quad, arena.wide);
  };
  const float4 g = load(arena.gradient, quad, arena.wide);
  float4 w = read(arena.weights), slot0 = {}, slot1 = {};
  if constexpr (Rule::kSlots > 0) slot0 = read(arena.slot0);
  if constexpr (Rule::kSlots > 1) slot1 = read(arena.slot1);
  rule.step({g.x * factor, w.x, slot0.x, slot1.x});
  rule.step({g.y * factor, w.y, slot0.y, slot1.y});
  rule.step({g.z * factor, w.z, slot0.z, slot1.z});
  rule.step({g.w * factor, w.w, slot0.w, slot1.w});
  store(arena.weights, quad, arena.wide, w);
  if constexpr (Rule::kSlots > 0) store(arena.slot0, quad, arena.wide, slot0);
  if constexpr (Rule::kSlots > 1) store(arena.slot1, quad, arena.wide, slot1);
}

template <class Rule>
__global__ void __launch_bounds__(kElementwiseThreads)
    optimizer_kernel(Arena arena, SegmentTable table, const UpdateStatus* status,
                     const UpdateScalars* scalars, double weight_decay, Rule rule) {
  if (status->finite == 0.0) return;
  const auto factor = static_cast<float>(status->gradient_factor);
  const double learning_rate = scalars->learning_rate;
  rule.begin(*scalars);
  bool frozen = false;
  std::int64_t end = 0;  // of the segment
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x * 4;
  for (std::int64_t index = thread * 4; index < arena.weights.columns; index += stride) {
    if (index >= end) {
      const OptimizerSegment& segment = segment_of(table, index);
      const bool in_front = index < segment.offset;  // a gap before the first segment
      frozen = in_front || segment.frozen != 0;
      end = in_front ? segment.offset : segment.offset + segment.count;
      rule.enter(learning_rate * segment.learning_rate_factor,
                 weight_decay * segment.weight_decay_factor);
    }
    const std::int64_t left = end - index;
    if (frozen || left <= 0) continue;
    step_quad(arena, {0, index, left < 4 ? static_cast<int>(left) : 4}, factor, rule);
  }
}

template <class Rule>
void launch_optimizer(const KernelArguments& arguments, const Rule& rule) {
  const auto a = OptimizerArguments<float>::from(arguments);
  const auto row = [](auto view) { return MatrixView{view.data, 1, view.size, 0}; };
  Arena arena{row(a.gradient), row(a.weights), row(a.slot0), row(a.slot1), false};
  arena.wide = is_wide(arena.gradient) && is_wide(arena.weights) && is_wide(arena.slot0) &&
               is_wide(arena.slot1);
  LaunchShape shape = shape_of_map(1, a.weights.size);
  shape.blocks.x = static_cast<unsigned>(std::min<std::int64_t>(shape.blocks.x, kMostBlocks));
  launch<optimizer_kernel<Rule>>(
      shape, arguments.stream, arena,
      SegmentTable{a.segments.data(), static_cast<std::int64_t>(a.segments.size())}, a.status,
      a.scalars, a.attributes->number("weight_decay"), rule);
}

}  // namespace

void optimizer_sgd(const KernelArguments& arguments) {
  const double momentum = arguments.attributes->number("momentum");
  const auto factor = static_cast<float>(momentum);
  if (momentum == 0.0) {
    launch_optimizer(arguments, Sgd<Momentum::none>{factor});
  } else if (arguments.attributes->integer("nesterov") == 0) {
    launch_optimizer(arguments, Sgd<Momentum::plain>{factor});
  } else {
    launch_optimizer(arguments, Sgd<Momentum::nesterov>{factor});
  }
}

void optimizer_adam(const KernelArguments& arguments) {
  const double beta1 = arguments.attributes->number("beta1");
  const double beta2 = arguments.attributes->number("beta2");
  const auto run = [&](auto rule) {
    rule.beta1 = static_cast<float>(beta1);
    rule.rest1 = static_cast<float>(1.0 - beta1);
    rule.beta2 = static_cast<float>(beta2);
    rule.rest2 = static_cast<float>(1.0 - beta2);
    rule.epsilon = static_cast<float>(arguments.attributes->number("epsilon"));
    launch_optimizer(arguments, rule);
  };
  if (arguments.attributes->integer("decoupled") != 0) {
    run(Adam<true>{});
  } else {
    run(Adam<false>{});
  }
}

void optimizer_rmsprop(const KernelArguments& arguments) {
  const double alpha = arguments.attributes->number("alpha");
  const double momentum = arguments.attributes->number("momentum");
  const auto run = [&](auto rule) {
    rule.alpha = static_cast<float>(alpha);
    rule.rest = static_cast<float>(1.0 - alpha);
    rule.epsilon = static_cast<float>(arguments.attributes->number("epsilon"));
    rule.momentum = static_cast<float>(momentum);
    launch_optimizer(arguments, rule);
  };
  if (momentum != 0.0) {
    run(Rmsprop<true>{});
  } else {
    run(Rmsprop<false>{});
  }
}

}  // namespace batchwise::BATCHWISE_CUDA
