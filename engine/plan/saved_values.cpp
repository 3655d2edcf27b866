#include "engine/plan/saved_values.h"

#include <algorithm>

namespace batchwise {
namespace {

bool writes_activations_alone(const Program& program, const Step& step) {
  return std::all_of(step.outputs.begin(), step.outputs.end(), [&](ValueId id) {
    return id == kNoValue || program.values[id].arena == ArenaKind::activations;
  });
}

}  // namespace

SavedValues::SavedValues(const Program& program)
    : producer_(program.values.size(), -1),
      read_(program.values.size(), false),
      again_(program.values.size(), false) {
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    const Step& step = program.steps[index];
    if (step.section != Section::pass) continue;
    for (const ValueId id : step.inputs) {
      if (id != kNoValue && step.backward) read_[program.root(id)] = true;
    }
    if (step.backward) continue;
    for (const ValueId id : step.outputs) {
      if (id == kNoValue || program.values[id].arena != ArenaKind::activations) continue;
      producer_[program.root(id)] = static_cast<int>(index);
      again_[program.root(id)] = writes_activations_alone(program, step);
    }
  }
}

std::vector<ValueId> SavedValues::candidates() const {
  std::vector<ValueId> roots;
  for (ValueId root = 0; root < static_cast<ValueId>(producer_.size()); ++root) {
    if (is_kept(root) && can_be_made_again(root)) roots.push_back(root);
  }
  std::stable_sort(roots.begin(), roots.end(),
                   [this](ValueId a, ValueId b) { return producer_[a] < producer_[b]; });
  return roots;
}

}  // namespace batchwise
