// optimizer: what happens once an update, over the whole parameter arena at a time.
//
//   update_results  loss_sum = sum of loss[0 .. batch), correct = how many predicted their label;
//                   finite = 1, or 0 where loss_sum is not. In double, over_samples.
//   gradient_norm   norm = |gradient_scale * g|, gradient_factor = gradient_scale, times
//                   min(1, clip / (norm + 1e-6)) where clip > 0; finite becomes 0 where norm is
//                   not. In double, as gradient_scale * sqrt(sum of g g); the arena is seen as rows
//                   of 1024: each column is a chain of fma down the rows in chunks folded by
//                   over_samples, and the columns fold in halves, column c + 512 onto c, then 256,
//                   ... (a short last row is padded with zeros).
//   optimizer_sgd      v = momentum v + g',  w -= rate v, or rate (g' + momentum v) with nesterov
//   optimizer_adam     m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g' g'
//                      w -= rate / c1 * m / (sqrt(v) / sqrt(c2) + eps)   (Kingma and Ba 2015)
//                      decoupled: first w -= rate decay w           (Loshchilov and Hutter 2019)
//   optimizer_rmsprop  v = alpha v + (1 - alpha) g' g',  u = g' / (sqrt(v) + eps)
//                      b = momentum b + u,  w -= rate b
//
// g' = g * gradient_factor + decay * w (decoupled: without the last term), rate = learning rate
// times the segment's factor, decay = weight decay times the segment's factor. Without momentum,
// w -= rate g' (sgd) or rate u (rmsprop). Constants (rate, decay, 1 - beta, rate / c1,
// 1 / sqrt(c2), gradient_factor, ...) are computed in double and rounded once to the arena's type;
// then, in this order of roundings:
//   g'       fma(decay, w, g * factor), or g * factor where decay is 0
//   sgd      v = fma(momentum, v, g');  w = fma(-rate, v, w)
//            nesterov: w = fma(-rate, fma(momentum, v, g'), w)
//   adam     decoupled, where decay is not 0: w = fma(-(rate * decay), w, w)
//            m = fma(beta1, m, (1 - beta1) * g');  v = fma(beta2, v, ((1 - beta2) * g') * g')
//            w = w - (rate / c1) * (m / fma(sqrt(v), 1 / sqrt(c2), eps))
//   rmsprop  v = fma(alpha, v, ((1 - alpha) * g') * g');  u = g' / (sqrt(v) + eps)
//            b = fma(momentum, b, u);  w = fma(-rate, b, w)
// Momenta (sgd's v, adam's m, rmsprop's b) whose magnitude is below 2^-100 become 0 before they are
// used or stored, and so do means of squares (the other v) below 2^-126: otherwise the state of
// weights that rarely see a gradient decays into subnormal numbers, with which CPUs compute a
// hundred times slower. A momentum so small moves a weight by less than rate * 2^-73 (eps = 1e-8).
// Nothing is written when status.finite is 0, nor in frozen segments.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise {

/// A momentum of a smaller magnitude is 0.
inline constexpr double kSmallestMomentum = 0x1p-100;
/// A mean of squares below this, the smallest normal f32, is 0.
inline constexpr double kSmallestSquare = 0x1p-126;

/// A run of parameters that share settings; the plan's table of them covers the arena, in the order
/// of offsets. Offsets are in elements and multiples of 16. Padding inside a segment is zero and
/// stays zero.
struct OptimizerSegment {
  std::int64_t offset = 0;
  std::int64_t count = 0;
  double learning_rate_factor = 1.0;
  double weight_decay_factor = 1.0;
  std::int64_t frozen = 0;  ///< 1: not touched
};

/// Columns of the arena as gradient_norm sees it.
inline constexpr std::int64_t kNormColumns = 1024;
[[nodiscard]] constexpr std::int64_t norm_rows(std::int64_t parameters) {
  return (parameters + kNormColumns - 1) / kNormColumns;
}
/// Chunks of those rows.
[[nodiscard]] constexpr std::int64_t norm_chunks(std::int64_t parameters) {
  return ReductionOrder::over_samples().chunks(norm_rows(parameters));
}

struct UpdateResultsArguments {
  TensorView loss;                           ///< [batch], f32 or f64
  VectorView<const std::int32_t> predicted;  ///< [batch]
  VectorView<const std::int32_t> labels;     ///< [samples]
  VectorView<const std::int32_t> indices;    ///< [batch], or absent
  UpdateStatus* status;
  const UpdateScalars* scalars;

  /// inputs: loss, predicted, labels, indices; outputs: status.
  [[nodiscard]] static UpdateResultsArguments from(const KernelArguments& a) {
    return {a.inputs[0],
            a.inputs[1].vector<const std::int32_t>(),
            a.inputs[2].vector<const std::int32_t>(),
            a.inputs[3].vector<const std::int32_t>(),
            static_cast<UpdateStatus*>(a.outputs[0].data),
            a.scalars};
  }
};

template <class T>
struct GradientNormArguments {
  VectorView<const T> gradient;  ///< [arena]
  UpdateStatus* status;
  MatrixView<double> chunk_sums;  ///< [chunks of rows, 1024]; workspace, left undefined
  const UpdateScalars* scalars;
  double clip;  ///< 0: off

  /// inputs: gradient; outputs: status, chunk_sums; attributes: clip.
  [[nodiscard]] static GradientNormArguments from(const KernelArguments& a) {
    return {a.inputs[0].vector<const T>(), static_cast<UpdateStatus*>(a.outputs[0].data),
            a.outputs[1].matrix<double>(), a.scalars, a.attributes->number("clip")};
  }
};

/// What every optimizer step receives; state slots are those of its formula, in its order.
template <class T>
struct OptimizerArguments {
  VectorView<const T> gradient;  ///< [arena]
  std::span<const OptimizerSegment> segments;
  const UpdateStatus* status;
  VectorView<T> weights;  ///< [arena]
  VectorView<T> slot0;    ///< [arena]; sgd: velocity; adam: first moment; rmsprop: square average
  VectorView<T> slot1;    ///< [arena]; adam: second moment; rmsprop: velocity; or absent
  const Attributes* attributes;
  const UpdateScalars* scalars;

  /// inputs: gradient, segments, status; outputs: weights, slot0, slot1. attributes: weight_decay;
  /// sgd: momentum, nesterov; adam: beta1, beta2, epsilon, decoupled; rmsprop: alpha, epsilon,
  /// momentum.
  [[nodiscard]] static OptimizerArguments from(const KernelArguments& a) {
    const auto* segments = static_cast<const OptimizerSegment*>(a.inputs[1].data);
    const auto count =
        static_cast<std::size_t>(a.inputs[1].shape.elements()) / sizeof(OptimizerSegment);
    return {a.inputs[0].vector<const T>(),
            {segments, count},
            static_cast<const UpdateStatus*>(a.inputs[2].data),
            a.outputs[0].vector<T>(),
            a.outputs[1].vector<T>(),
            a.outputs[2].vector<T>(),
            a.attributes,
            a.scalars};
  }
};

}  // namespace batchwise
