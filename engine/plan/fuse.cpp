// From a program to one with fewer steps: two that one kernel does at once become one, and the
// value between them is never in memory.
#include "engine/plan/plan.h"
#include "kernels/ops/activation.h"

namespace batchwise {
namespace {

/// Steps that read the value, under whichever of its shapes.
std::vector<std::size_t> readers_of(const Program& program, ValueId value) {
  std::vector<std::size_t> readers;
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    for (const ValueId id : program.steps[index].inputs) {
      if (id != kNoValue && program.root(id) == program.root(value)) readers.push_back(index);
    }
  }
  return readers;
}

bool is_result(const Program& program, ValueId value) {
  return program.logits != kNoValue && program.root(program.logits) == program.root(value);
}

/// dense_forward whose output one activation alone reads. gelu's gradient reads it too, and so its
/// activation stays a step of its own in every phase.
void fuse_activation(Program& program, std::size_t index) {
  Step& dense = program.steps[index];
  if (dense.operation != "dense_forward" || is_result(program, dense.outputs[0])) return;
  const std::vector<std::size_t> readers = readers_of(program, dense.outputs[0]);
  if (readers.size() != 1) return;
  const Step& activation = program.steps[readers[0]];
  if (activation.operation != "activation_forward") return;
  if (activation.inputs[0] != dense.outputs[0]) return;
  const auto function = static_cast<ActivationFunction>(activation.attributes.integer("function"));
  if (saves_input(function)) return;
  dense.operation = "dense_activation_forward";
  dense.outputs = activation.outputs;
  dense.attributes = activation.attributes;
  program.steps.erase(program.steps.begin() + static_cast<std::ptrdiff_t>(readers[0]));
}

/// The gradients of a layer's weight and bias, whose steps are neighbours. Only a library's product
/// does both at once, and only where one pass is the whole update: it overwrites the bias's.
void fuse_weight_and_bias(Program& program, std::size_t index) {
  if (index + 1 == program.steps.size()) return;
  Step& weight = program.steps[index];
  const Step& bias = program.steps[index + 1];
  if (weight.operation != "dense_backward_weight" || bias.operation != "dense_backward_bias")
    return;
  if (weight.inputs[1] != bias.inputs[0]) return;
  weight.operation = "dense_backward_weight_bias";
  weight.outputs.insert(weight.outputs.end(), bias.outputs.begin(), bias.outputs.end());
  program.steps.erase(program.steps.begin() + static_cast<std::ptrdiff_t>(index) + 1);
}

}  // namespace

Program fuse(Program program, const PlanRequest& request) {
  const bool fuses_gradients =
      request.target.multiplies_by_library() && request.micro_batch_size == request.batch_size;
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    fuse_activation(program, index);
    if (fuses_gradients) fuse_weight_and_bias(program, index);
  }
  return program;
}

}  // namespace batchwise
