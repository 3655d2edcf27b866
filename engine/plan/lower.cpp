// From a program to a lowered one: kernels get the workspace they want, values get types and
// layouts, and steps work in place where their operation's record allows.
#include <algorithm>

#include "engine/operations/operation.h"
#include "engine/plan/plan.h"

namespace batchwise {
namespace {

std::vector<Dimensions> shapes_of(const Program& program, const std::vector<ValueId>& ids,
                                  const PlanRequest& request) {
  std::vector<Dimensions> shapes;
  for (const ValueId id : ids) {
    shapes.push_back(id == kNoValue ? Dimensions{}
                                    : shape_of(program.values[id], request.micro_batch_size,
                                               request.batch_size));
  }
  return shapes;
}

void add_workspaces(Program& program, const PlanRequest& request) {
  for (Step& step : program.steps) {
    const auto workspace = find_kernel_record(step.operation).workspace;
    if (workspace == nullptr) continue;
    const std::int64_t bytes = workspace(shapes_of(program, step.inputs, request),
                                         shapes_of(program, step.outputs, request), request.target);
    if (bytes == 0) continue;
    step.outputs.push_back(static_cast<ValueId>(program.values.size()));
    program.values.push_back({.name = step.layer + "." + step.operation + ".workspace",
                              .extent = Extent::fixed,
                              .shape = {bytes},
                              .type = ElementType::u8,
                              .real = false,
                              .workspace = true});
  }
}

void set_layout(Value& value, ElementType real) {
  if (value.real) value.type = real;
  if (value.transposed) {
    value.pitch = round_up(value.shape[0], kRowAlignment);
  } else if (value.extent == Extent::fixed) {
    value.pitch = value.shape.rank() == 0 ? 1 : value.shape.elements() / value.shape[0];
  } else {
    const std::int64_t elements = value.shape.elements();
    value.pitch = elements == 1 ? 1 : round_up(elements, kRowAlignment);
  }
}

std::vector<int> last_uses(const Program& program) {
  std::vector<int> last(program.values.size(), -1);
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    for (const auto* ids : {&program.steps[index].inputs, &program.steps[index].outputs}) {
      for (const ValueId id : *ids) {
        if (id != kNoValue) last[program.root(id)] = static_cast<int>(index);
      }
    }
  }
  return last;
}

/// Lets output 0 of a step take the bytes of an input that nothing uses later.
void work_in_place(Program& program) {
  std::vector<int> last = last_uses(program);
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    const Step& step = program.steps[index];
    const int input = find_kernel_record(step.operation).in_place_input;
    if (input < 0) continue;
    const ValueId from = step.inputs[static_cast<std::size_t>(input)];
    const ValueId to = step.outputs[0];
    const Value& source = program.values[from];
    Value& target = program.values[to];
    const bool same_bytes = source.arena == ArenaKind::activations &&
                            target.arena == ArenaKind::activations &&
                            source.extent == target.extent && source.pitch == target.pitch &&
                            source.type == target.type;
    const ValueId root = program.root(from);
    const bool last_use = last[root] == static_cast<int>(index);
    if (!same_bytes || !last_use || target.alias != kNoValue) continue;
    target.alias = root;
    last[root] = std::max(last[root], last[to]);
  }
}

}  // namespace

Program lower(Program program, const PlanRequest& request) {
  add_workspaces(program, request);
  for (Value& value : program.values) set_layout(value, request.real);
  work_in_place(program);
  return program;
}

}  // namespace batchwise
