#include "engine/verify/case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

#include "kernels/ops/batchnorm.h"

namespace batchwise::verification {
namespace {

TensorView view_of(const Case& test, int index, const std::vector<std::byte*>& bases,
                   const std::vector<ElementType>& types, std::int64_t first, std::int64_t count) {
  if (index == kAbsent) return {};
  const auto at = static_cast<std::size_t>(index);
  const Operand& operand = test.operands[at];
  TensorView view{bases[at], types[at], operand.shape, operand.strides};
  if (operand.slice == Slice::whole) return view;
  std::int64_t first_entry = first;
  view.shape[0] = count;
  if (operand.slice == Slice::groups) {
    first_entry = test.group == 0 ? 0 : first / test.group;
    view.shape[0] = BatchNormGroups{count, test.group}.count();
  }
  const auto size = static_cast<std::int64_t>(size_in_bytes(types[at]));
  view.data = bases[at] + first_entry * operand.strides[0] * size;
  return view;
}

}  // namespace

std::int64_t Operand::span() const {
  std::int64_t last = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 0) return 0;
    last += (shape[axis] - 1) * strides[axis];
  }
  return last + 1;
}

std::int64_t Operand::offset_of(std::int64_t index) const {
  std::int64_t offset = 0;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    offset += index % shape[axis] * strides[axis];
    index /= shape[axis];
  }
  return offset;
}

std::string Operand::place_of(std::int64_t index) const {
  if (content == Content::status) {
    constexpr std::array kNumbers{"loss_sum", "correct", "gradient_norm", "gradient_factor",
                                  "finite"};
    return fmt::format("{}.{}", name, kNumbers[static_cast<std::size_t>(index)]);
  }
  std::vector<std::int64_t> position(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    position[static_cast<std::size_t>(axis)] = index % shape[axis];
    index /= shape[axis];
  }
  return fmt::format("{}[{}]", name, fmt::join(position, ", "));
}

std::int64_t Case::rows() const {
  return std::accumulate(passes.begin(), passes.end(), std::int64_t{0});
}

PassViews views_of_pass(const Case& test, const std::vector<std::byte*>& bases,
                        const std::vector<ElementType>& types, std::int64_t first,
                        std::int64_t count) {
  PassViews views;
  for (const int index : test.inputs) {
    views.inputs.push_back(view_of(test, index, bases, types, first, count));
  }
  for (const int index : test.outputs) {
    views.outputs.push_back(view_of(test, index, bases, types, first, count));
  }
  return views;
}

std::vector<ElementType> device_types(const Case& test) {
  std::vector<ElementType> types;
  for (const Operand& operand : test.operands) types.push_back(operand.type);
  return types;
}

}  // namespace batchwise::verification
