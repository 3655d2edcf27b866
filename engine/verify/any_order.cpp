// Bounds of matrix products whose sums a library adds in an order of its own, for mode `fast`. In
// whatever order n products are summed, each is rounded at most n times, so that the error is at
// most gamma(n) times the sum of their magnitudes, plus n underflows (docs/numerics.md, Bounds).
#include <algorithm>
#include <cmath>

#include "engine/verify/run_case.h"
#include "kernels/ops/activation.h"
#include "kernels/reference/activation.h"
#include "kernels/reference/kernels.h"
#include "kernels/reference/running_error.h"

namespace batchwise::verification {
namespace {

using reference::RunningError;

/// Products in the sum behind each result; 0: the operation is no matrix product.
std::int64_t terms_of(const Case& test) {
  const std::string& operation = test.operation;
  const Operand& first = test.operands[static_cast<std::size_t>(test.inputs[0])];
  if (operation == "dense_forward" || operation == "dense_activation_forward" ||
      operation == "dense_backward_input") {
    return first.shape.elements() / std::max<std::int64_t>(1, first.shape[0]);
  }
  const bool over_samples =
      operation == "dense_backward_weight" || operation == "dense_backward_weight_bias";
  return over_samples ? test.rows() : 0;
}

}  // namespace

void bound_any_order(const Case& test, std::vector<std::vector<Expected>>& expected) {
  const std::int64_t terms = terms_of(test);
  if (terms == 0) return;
  Case sums = test;
  const bool activated = test.operation == "dense_activation_forward";
  if (activated) sums.operation = "dense_forward";
  Case magnitudes = sums;
  for (Operand& operand : magnitudes.operands) {
    // The sign is the highest bit of a float's last byte.
    if (operand.content != Content::real) continue;
    for (std::size_t byte = 3; byte < operand.bytes.size(); byte += 4) {
      operand.bytes[byte] &= std::byte{0x7F};
    }
  }
  const auto values = run_oracle(sums);
  const auto magnitude = run_oracle(magnitudes);

  // The bias, and what the pass before left, are terms too.
  const auto n = static_cast<double>(terms + 2);
  const double gamma = n * 0x1p-24 / (1.0 - n * 0x1p-24);
  for (std::size_t index = 0; index < expected.size(); ++index) {
    for (std::size_t number = 0; number < expected[index].size(); ++number) {
      const double bound = gamma * magnitude[index][number].value + n * 0x1p-149;
      RunningError result = RunningError::known(values[index][number].value, bound);
      if (activated) {
        const auto function = static_cast<ActivationFunction>(test.attributes.integer("function"));
        result = reference::activate(function, result);
      }
      expected[index][number] = {result.value(), result.error()};
    }
  }
}

}  // namespace batchwise::verification
