// Activation checkpointing: what the request names is not kept from the forward to the backward
// pass. The steps that made it run once more, from what is kept, right before the first step of the
// backward pass that reads it; the bits are the same, since a step that writes activations alone
// is a function of its inputs. Values between two of these that nothing keeps are made again too.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "engine/edit_distance.h"
#include "engine/error.h"
#include "engine/plan/saved_values.h"

namespace batchwise {
namespace {

/// Whether the name is that of a layer whose forward steps can run again, or of a value they make.
bool can_be_named(const Program& program, const SavedValues& saved, const std::string& name) {
  const ValueId value = program.find(name);
  if (value != kNoValue && saved.can_be_made_again(program.root(value))) return true;
  for (const Step& step : program.steps) {
    if (step.layer != name || step.backward || step.section != Section::pass) continue;
    if (saved.can_be_made_again(program.root(step.outputs[0]))) return true;
  }
  return false;
}

void check_names(const Program& program, const std::vector<std::string>& names) {
  const SavedValues saved(program);
  for (const std::string& name : names) {
    if (can_be_named(program, saved, name)) continue;
    std::string nearest;
    for (const Step& step : program.steps) {
      if (!can_be_named(program, saved, step.layer)) continue;
      if (nearest.empty() || edit_distance(name, step.layer) < edit_distance(name, nearest)) {
        nearest = step.layer;
      }
    }
    throw InputError(fmt::format(
        "training.checkpoint names \"{}\", which is no layer that computes; did you mean \"{}\"?",
        name, nearest));
  }
}

class Recomputation {
 public:
  Recomputation(Program program, const std::vector<std::string>& names)
      : program_(std::move(program)), saved_(program_), names_(names) {}

  Program build() {
    std::vector<Step> steps = std::move(program_.steps);
    forward_ = &steps;
    for (const Step& step : steps) {
      Step copy = step;
      if (step.backward) replace_inputs(copy);
      made_.push_back(std::move(copy));
    }
    program_.steps = std::move(made_);
    return std::move(program_);
  }

 private:
  [[nodiscard]] bool named(ValueId root) const {
    const int producer = saved_.producer(root);
    const Step& step = (*forward_)[static_cast<std::size_t>(producer)];
    return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) {
      return name == step.layer || name == program_.values[root].name;
    });
  }

  [[nodiscard]] bool made_again(ValueId root) const {
    return saved_.can_be_made_again(root) && (!saved_.is_kept(root) || named(root));
  }

  void replace_inputs(Step& step) {
    for (ValueId& id : step.inputs) {
      if (id != kNoValue) id = again(id);
    }
  }

  /// The value to read in the backward pass in place of `id`; adds the steps that make it.
  ValueId again(ValueId id) {
    if (const auto found = again_.find(id); found != again_.end()) return found->second;
    const Value value = program_.values[id];
    if (value.alias != kNoValue) {
      const ValueId base = again(value.alias);
      return again_[id] = base == value.alias ? id : add(value, base);
    }
    if (!made_again(id)) return again_[id] = id;
    Step step = (*forward_)[static_cast<std::size_t>(saved_.producer(id))];
    step.backward = true;
    replace_inputs(step);
    for (ValueId& output : step.outputs) {
      if (output != kNoValue) {
        const ValueId original = output;
        output = add(program_.values[original], kNoValue);
        again_[original] = output;
      }
    }
    made_.push_back(std::move(step));
    return again_.at(id);
  }

  ValueId add(Value value, ValueId alias) {
    value.name += ".again";
    value.alias = alias;
    program_.values.push_back(std::move(value));
    return static_cast<ValueId>(program_.values.size()) - 1;
  }

  Program program_;
  SavedValues saved_;
  const std::vector<std::string>& names_;
  const std::vector<Step>* forward_ = nullptr;  ///< the steps as they were
  std::vector<Step> made_;
  std::map<ValueId, ValueId> again_;
};

}  // namespace

Program recompute(Program program, const PlanRequest& request) {
  if (request.phase != Phase::training || request.recompute.empty()) return program;
  check_names(program, request.recompute);
  return Recomputation(std::move(program), request.recompute).build();
}

}  // namespace batchwise
