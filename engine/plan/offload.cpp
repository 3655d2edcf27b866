// Activations in host memory: what the forward pass keeps for the backward pass is copied out as
// soon as it is made and copied back right before the first step that reads it. Everything is in
// one lane, so a step waits for its copies: this is what training past a card's memory costs.
#include "engine/plan/saved_values.h"

namespace batchwise {
namespace {

class Offloading {
 public:
  explicit Offloading(Program program)
      : program_(std::move(program)),
        saved_(program_),
        host_(program_.values.size(), kNoValue),
        back_(program_.values.size(), kNoValue) {}

  Program build() {
    std::vector<Step> steps = std::move(program_.steps);
    for (std::size_t index = 0; index < steps.size(); ++index) {
      const bool forward = steps[index].section == Section::pass && !steps[index].backward;
      if (forward) last_forward_ = static_cast<int>(index);
    }
    for (std::size_t index = 0; index < steps.size(); ++index) {
      Step step = steps[index];
      if (step.backward) {
        for (ValueId& id : step.inputs) {
          if (id != kNoValue) id = fetched(id, step);
        }
      }
      made_.push_back(step);
      if (!step.backward) copy_out(step, static_cast<int>(index));
    }
    program_.steps = std::move(made_);
    return std::move(program_);
  }

 private:
  /// What grows with the rows of a pass and is not read right away; statistics of groups are too
  /// small to be worth a copy.
  [[nodiscard]] bool moves(ValueId root) const {
    return saved_.is_kept(root) && program_.values[root].extent == Extent::per_row &&
           saved_.producer(root) != last_forward_;
  }

  void copy_out(const Step& step, int index) {
    if (step.section != Section::pass) return;
    for (const ValueId id : step.outputs) {
      if (id == kNoValue || !moves(id) || saved_.producer(id) != index) continue;
      host_[id] = add(program_.values[id], ".on_host", ArenaKind::host, kNoValue);
      made_.push_back({.operation = "copy_to_host",
                       .layer = step.layer,
                       .inputs = {id},
                       .outputs = {host_[id]}});
    }
  }

  /// The value that a step of the backward pass reads in place of `id`.
  ValueId fetched(ValueId id, const Step& reader) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= back_.size()) return id;  // made in the meantime
    if (back_[index] != kNoValue) return back_[index];
    const ValueId alias = program_.values[id].alias;
    if (alias != kNoValue) {
      const ValueId base = fetched(alias, reader);
      const ValueId view =
          base == alias ? id : add(program_.values[id], ".back", ArenaKind::activations, base);
      return back_[index] = view;
    }
    if (!moves(id)) return back_[index] = id;
    back_[index] = add(program_.values[id], ".back", ArenaKind::activations, kNoValue);
    made_.push_back({.operation = "copy_from_host",
                     .layer = reader.layer,
                     .backward = true,
                     .inputs = {host_[index]},
                     .outputs = {back_[index]}});
    return back_[index];
  }

  ValueId add(Value value, const char* suffix, ArenaKind arena, ValueId alias) {
    value.name += suffix;
    value.arena = arena;
    value.alias = alias;
    program_.values.push_back(std::move(value));
    return static_cast<ValueId>(program_.values.size()) - 1;
  }

  Program program_;
  SavedValues saved_;
  int last_forward_ = -1;  ///< the step before the backward pass
  std::vector<ValueId> host_;
  std::vector<ValueId> back_;
  std::vector<Step> made_;
};

}  // namespace

Program offload(Program program, const PlanRequest& request) {
  if (request.phase != Phase::training || !request.offload) return program;
  return Offloading(std::move(program)).build();
}

}  // namespace batchwise
