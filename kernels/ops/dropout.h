// dropout: zeroes a share `rate` of the elements and scales the rest by 1 / (1 - rate).
//
//   y[r, f] = word(r, f) >= threshold ? x[r, f] * scale : 0
//   threshold = floor(rate * 2^32), scale = 1 / (1 - rate) rounded to y's type
//   word(r, f) = philox({f / 4, id(r), low 32 bits of step, stream}, seed)[f % 4]
//
// id(r) is the sample's index in the training file (gather.h), so the mask follows the sample, not
// its place in the batch. The gradient is the same map applied to dy: nothing is saved. Overwrites;
// may work in place.
#pragma once

#include "kernels/ops/kernel.h"

namespace batchwise {

template <class T, class S>
struct DropoutArguments {
  MatrixView<const T> x;                   ///< [rows, features]
  VectorView<const std::int32_t> indices;  ///< [batch], or absent
  MatrixView<S> y;                         ///< [rows, features]
  double rate;                             ///< in [0, 1)
  std::uint32_t stream;                    ///< stream_of_name(layer)
  PassRange range;

  /// inputs: x, indices; outputs: y; attributes: rate, stream.
  [[nodiscard]] static DropoutArguments from(const KernelArguments& a) {
    return {a.inputs[0].matrix<const T>(),
            a.inputs[1].vector<const std::int32_t>(),
            a.outputs[0].matrix<S>(),
            a.attributes->number("rate"),
            static_cast<std::uint32_t>(a.attributes->integer("stream")),
            a.range(a.outputs[0].shape[0])};
  }

  [[nodiscard]] constexpr std::uint64_t seed() const { return range.scalars->seed; }
  [[nodiscard]] constexpr std::uint32_t step() const {
    return static_cast<std::uint32_t>(range.scalars->step);
  }
  [[nodiscard]] constexpr std::uint32_t sample(std::int64_t row) const {
    return static_cast<std::uint32_t>(indices.empty() ? range.first() + row
                                                      : indices[range.first() + row]);
  }
  [[nodiscard]] constexpr std::uint32_t threshold() const {
    return static_cast<std::uint32_t>(rate * 0x1p32);
  }
};

}  // namespace batchwise
