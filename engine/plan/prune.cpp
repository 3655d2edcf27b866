// Drops the steps whose results nothing needs: the input's gradient of the first layer, the
// backward pass before the first layer that learns, ...
#include <algorithm>
#include <iterator>

#include "engine/plan/plan.h"

namespace batchwise {
namespace {

/// Whether the value is read after its pass: what a program is for, not what serves it.
bool outlives_pass(const Program& program, ValueId id) {
  if (program.values[id].arena != ArenaKind::activations) return true;
  if (program.phase != Phase::prediction) return false;
  return id == (program.probabilities != kNoValue ? program.probabilities : program.logits);
}

}  // namespace

Program prune(Program program) {
  std::vector<bool> needed(program.values.size(), false);
  std::vector<Step> kept;
  for (auto step = program.steps.rbegin(); step != program.steps.rend(); ++step) {
    const bool keep = std::any_of(step->outputs.begin(), step->outputs.end(), [&](ValueId id) {
      return id != kNoValue && (outlives_pass(program, id) || needed[program.root(id)]);
    });
    if (!keep) continue;
    for (const ValueId id : step->inputs) {
      if (id != kNoValue) needed[program.root(id)] = true;
    }
    kept.push_back(std::move(*step));
  }
  program.steps.assign(std::make_move_iterator(kept.rbegin()),
                       std::make_move_iterator(kept.rend()));
  return program;
}

}  // namespace batchwise
