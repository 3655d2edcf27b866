// What a training program keeps from the forward to the backward pass. Internal to engine/plan.
#pragma once

#include <vector>

#include "engine/plan/plan.h"

namespace batchwise {

/// The program as far as what it keeps is settled: what recompute() takes.
[[nodiscard]] Program program_before_recompute(const Graph& graph,
                                               const ParameterLayout& parameters,
                                               const PlanRequest& request);

/// Of a program before it is lowered. Values are named by their roots.
class SavedValues {
 public:
  explicit SavedValues(const Program& program);

  /// The step of the forward pass that writes the value, or -1.
  [[nodiscard]] int producer(ValueId root) const { return producer_[root]; }
  /// Whether a step of the backward pass reads it and one of the forward pass writes it.
  [[nodiscard]] bool is_kept(ValueId root) const { return producer_[root] >= 0 && read_[root]; }
  /// Whether the step that writes it may run again: it writes activations alone.
  [[nodiscard]] bool can_be_made_again(ValueId root) const { return again_[root]; }

  /// The values that are kept and could be made again, in the order of their making.
  [[nodiscard]] std::vector<ValueId> candidates() const;

 private:
  std::vector<int> producer_;
  std::vector<bool> read_;
  std::vector<bool> again_;
};

}  // namespace batchwise
