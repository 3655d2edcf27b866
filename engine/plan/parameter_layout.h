// Where each stored tensor lies in the parameter arena. It depends on the graph alone, so weights,
// gradients and optimizer state keep their places when the batch size changes.
#pragma once

#include <vector>

#include "engine/model/graph.h"

namespace batchwise {

/// Matrices lie transposed, [inputs][padded units], so that kernels read a row of units at a time;
/// everything is padded to 16 elements. Padding is zero and stays zero.
struct ParameterPlace {
  ParameterSpec spec;
  std::int64_t offset = 0;  ///< in elements, a multiple of 16
  std::int64_t count = 0;   ///< elements with padding
  std::int64_t pitch = 0;   ///< of a matrix: elements from one input to the next

  /// Whether it has a gradient and optimizer state.
  [[nodiscard]] bool trained() const;
  [[nodiscard]] bool transposed() const { return spec.shape.rank() == 2; }
  /// In elements, of logical element `index` in row-major order of spec.shape.
  [[nodiscard]] std::int64_t offset_of(std::int64_t index) const;
};

struct ParameterLayout {
  std::vector<ParameterPlace> places;  ///< trained, then frozen weights, then running statistics
  /// Of the trained ones, which gradients and optimizer state are laid out as; where all are
  /// frozen, of those, so that there always is an array.
  std::int64_t weights_elements = 0;
  std::int64_t total_elements = 0;  ///< all

  [[nodiscard]] const ParameterPlace& find(std::string_view name) const;
  /// Logical elements of all trainable tensors that are not frozen.
  [[nodiscard]] std::int64_t trainable_count() const;
};

[[nodiscard]] ParameterLayout make_parameter_layout(const Graph& graph);

/// Throws InputError for sizes (elements or bytes, worked out in double) beyond any machine's
/// memory, 2^48. What passes can be multiplied and added in 64 bits.
void refuse_beyond_any_memory(double size);

/// Rounds up to a multiple of `unit`.
[[nodiscard]] constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Rows are padded to this many elements: 64 bytes of f32.
inline constexpr std::int64_t kRowAlignment = 16;

}  // namespace batchwise
