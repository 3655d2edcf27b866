// What the forward pass keeps for the backward pass, in the cheapest form that gives the same bits.
// Some steps read no more of a value y than its signs: where its elements are above zero. y itself
// is then not kept when nothing else of the backward pass reads it:
//
// - Another value that is kept anyway may have the signs of y: of y -> dropout -> d it is d, which
// a
//   dense layer keeps. y and d can then share their bytes. Where dropout keeps an element it
//   multiplies by a finite scale >= 1, so that d > 0 where y > 0 and nowhere else: products that
//   underflow are those of a factor below 1, and 0, -0, negative numbers and NaN stay what they
//   are. Where it zeroes, d and y may differ, but the backward pass zeroes the gradient there, and
//   +0 becomes +0 in the reader (relu: +0 or +0; leaky_relu: +0 or 0.01 (+0)) whatever the sign.
//   Dropout maps +0 to +0, so the same holds through several. Which kernels these are is said by
//   their records, `reads_sign_of` and `keeps_sign_of`.
// - Else one bit an element is kept, and the reader's form on bits runs in its place.
//
// A lower precision is no such form: fp32 means fp32, and what is rounded has other bits.
#include "engine/operations/operation.h"
#include "engine/plan/saved_values.h"
#include "kernels/ops/sign_bits.h"

namespace batchwise {
namespace {

bool has(const Program& program, const std::vector<ValueId>& ids, ValueId root) {
  for (const ValueId id : ids) {
    if (id != kNoValue && program.root(id) == root) return true;
  }
  return false;
}

/// Whether a step other than `reader` reads the value after the forward pass.
bool is_read_by_others(const Program& program, std::size_t reader, ValueId root) {
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    const Step& step = program.steps[index];
    const bool forward = step.section == Section::pass && !step.backward;
    if (index != reader && !forward && has(program, step.inputs, root)) return true;
  }
  return false;
}

/// Whether `backward` maps gradients as `forward` maps values: the same kernel, except for input
/// `mapped` with the same operands.
bool is_same_map(const Step& forward, const Step& backward, std::size_t mapped) {
  if (forward.operation != backward.operation) return false;
  if (forward.attributes.entries() != backward.attributes.entries()) return false;
  std::vector<ValueId> inputs = backward.inputs;
  inputs[mapped] = forward.inputs[mapped];
  return inputs == forward.inputs;
}

/// The step of the backward pass that writes the value, or null.
const Step* maker_of_gradient(const Program& program, ValueId gradient) {
  for (const Step& step : program.steps) {
    if (step.backward && has(program, step.outputs, program.root(gradient))) return &step;
  }
  return nullptr;
}

/// The step of the forward pass that gives a value the signs of `root` where `backward`, which made
/// the gradient there, leaves any; or null.
const Step* keeper_of_signs(const Program& program, ValueId root, const Step& backward) {
  const int mapped = find_kernel_record(backward.operation).keeps_sign_of;
  if (mapped < 0) return nullptr;
  const auto input = static_cast<std::size_t>(mapped);
  for (const Step& step : program.steps) {
    if (step.backward || !is_same_map(step, backward, input)) continue;
    if (program.root(step.inputs[input]) == root) return &step;
  }
  return nullptr;
}

/// A value that is kept anyway and has the signs of `value` wherever the gradient that `reader`
/// takes is not +0; or kNoValue.
ValueId kept_with_same_signs(const Program& program, const Step& reader, ValueId value) {
  const SavedValues saved(program);
  ValueId gradient = reader.inputs[0];
  while (true) {
    const Step* backward = maker_of_gradient(program, gradient);
    if (backward == nullptr) return kNoValue;
    const Step* forward = keeper_of_signs(program, program.root(value), *backward);
    if (forward == nullptr) return kNoValue;
    value = forward->outputs[0];
    if (saved.is_kept(program.root(value))) return value;
    const int mapped = find_kernel_record(forward->operation).keeps_sign_of;
    gradient = backward->inputs[static_cast<std::size_t>(mapped)];
  }
}

/// Whether bits are fewer bytes, and for a while instead of the value: it is in memory until its
/// last step of the forward pass, and if that is the step before the reader, bits come on top.
bool bits_are_cheaper(const Program& program, std::size_t reader, ValueId root) {
  const Value& value = program.values[root];
  if (value.extent != Extent::per_row) return false;
  if (sign_words(value.shape.elements()) == value.shape.elements()) return false;
  return !has(program, program.steps[reader - 1].inputs, root) &&
         !has(program, program.steps[reader - 1].outputs, root);
}

/// Keeps the bits of a value of the forward pass, written right after it, for the step `reader`.
void keep_bits(Program& program, std::size_t reader, std::size_t input, ValueId root) {
  const Value value = program.values[root];
  const auto bits = static_cast<ValueId>(program.values.size());
  program.values.push_back({.name = value.name + ".signs",
                            .shape = {sign_words(value.shape.elements())},
                            .type = ElementType::i32,
                            .real = false});
  Step& step = program.steps[reader];
  step.operation = find_kernel_record(step.operation).bits_form;
  step.inputs[input] = bits;
  const auto maker = program.steps.begin() + SavedValues(program).producer(root);
  program.steps.insert(
      maker + 1,
      {.operation = "sign_bits", .layer = maker->layer, .inputs = {root}, .outputs = {bits}});
}

/// The input of which the step reads nothing but signs, or -1.
int input_read_for_signs(const Step& step) {
  const auto reads_sign_of = find_kernel_record(step.operation).reads_sign_of;
  return reads_sign_of == nullptr ? -1 : reads_sign_of(step.attributes);
}

}  // namespace

Program choose_saved_forms(Program program, const PlanRequest& request) {
  if (request.phase != Phase::training) return program;
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    if (!program.steps[index].backward) continue;
    const int read = input_read_for_signs(program.steps[index]);
    if (read < 0) continue;
    const auto input = static_cast<std::size_t>(read);
    const ValueId value = program.steps[index].inputs[input];
    const ValueId root = program.root(value);
    if (!SavedValues(program).is_kept(root) || is_read_by_others(program, index, root)) continue;
    const ValueId other = kept_with_same_signs(program, program.steps[index], value);
    if (other != kNoValue) {
      program.steps[index].inputs[input] = other;
    } else if (bits_are_cheaper(program, index, root)) {
      keep_bits(program, index, input, root);
      ++index;  // the steps from the maker on have moved
    }
  }
  return program;
}

}  // namespace batchwise
