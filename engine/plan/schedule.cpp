// Dependencies and lifetimes of a lowered program in one lane.
#include <algorithm>
#include <iterator>
#include <numeric>

#include "engine/plan/plan.h"

namespace batchwise {
namespace {

/// Who touched a value's bytes last.
struct Uses {
  int writer = -1;
  std::vector<int> readers_since;
};

/// Whether two roots have bytes in common by what they are; what shares activation bytes is decided
/// later, from lifetimes.
bool overlap(const Program& program, ValueId a, ValueId b) {
  const Value& left = program.values[a];
  const Value& right = program.values[b];
  return a == b || (left.arena == right.arena && (left.covers_arena || right.covers_arena));
}

void add_unique(std::vector<int>& list, int step) {
  if (step >= 0 && std::find(list.begin(), list.end(), step) == list.end()) list.push_back(step);
}

}  // namespace

Schedule schedule(const Program& program) {
  Schedule result;
  result.dependencies.resize(program.steps.size());
  result.first_use.assign(program.values.size(), -1);
  result.last_use.assign(program.values.size(), -1);
  std::vector<Uses> uses(program.values.size());

  std::vector<ValueId> all(program.values.size());
  std::iota(all.begin(), all.end(), 0);
  std::vector<ValueId> covering;
  std::copy_if(all.begin(), all.end(), std::back_inserter(covering),
               [&](ValueId id) { return program.values[id].covers_arena; });
  const auto for_each_overlapping = [&](ValueId root, auto&& visit) {
    const bool covers = program.values[root].covers_arena;
    if (!covers) visit(uses[root]);
    for (const ValueId other : covers ? all : covering) {
      if (overlap(program, root, other)) visit(uses[other]);
    }
  };
  const auto note_use = [&](ValueId root, int step) {
    if (result.first_use[root] < 0) result.first_use[root] = step;
    result.last_use[root] = step;
  };
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    const int step = static_cast<int>(index);
    std::vector<int>& needs = result.dependencies[index];
    for (const ValueId id : program.steps[index].inputs) {
      if (id == kNoValue) continue;
      const ValueId root = program.root(id);
      for_each_overlapping(root, [&](const Uses& other) { add_unique(needs, other.writer); });
      uses[root].readers_since.push_back(step);
      note_use(root, step);
    }
    for (const ValueId id : program.steps[index].outputs) {
      if (id == kNoValue) continue;
      const ValueId root = program.root(id);
      for_each_overlapping(root, [&](const Uses& other) {
        if (other.writer != step) add_unique(needs, other.writer);
        for (const int reader : other.readers_since) {
          if (reader != step) add_unique(needs, reader);
        }
      });
      uses[root] = {.writer = step, .readers_since = {}};
      note_use(root, step);
    }
    std::sort(needs.begin(), needs.end());
  }
  // What a prediction leaves is read after its pass.
  const ValueId result_value =
      program.probabilities != kNoValue ? program.probabilities : program.logits;
  if (program.phase == Phase::prediction && result_value != kNoValue) {
    result.last_use[program.root(result_value)] = static_cast<int>(program.steps.size());
  }
  return result;
}

}  // namespace batchwise
