// A program: the values and steps that a graph becomes when it is differentiated, and that the
// later stages of the plan annotate. Steps run in order; nothing in it depends on a backend.
#pragma once

#include <string>
#include <vector>

#include "kernels/ops/kernel.h"
#include "kernels/ops/tensor_view.h"

namespace batchwise {

/// What a plan is for.
enum class Phase {
  training,    ///< passes over micro-batches, then an update
  evaluation,  ///< loss and predicted class of each sample
  prediction,  ///< probabilities, or logits
};

/// Where a value's bytes lie. Each arena is one allocation.
enum class ArenaKind {
  parameters,    ///< weights, then running statistics; independent of the batch
  gradients,     ///< laid out as the weights
  optimizer,     ///< each slot laid out as the weights
  partial_sums,  ///< open partial sums of the trees over samples, a copy of the gradients a level
  activations,   ///< what a pass computes; bytes shared by lifetime
  batch,         ///< per update: indices, losses, predictions, pooled statistics
  control,       ///< scalars in, status out, optimizer segments
  host,          ///< in the host's memory: activations kept there between the passes
  external,      ///< the resident data set: bound by the caller
};
inline constexpr int kArenaKinds = 9;
[[nodiscard]] std::string_view name_of(ArenaKind kind);

/// What the leading axis of a value counts; the value's shape leaves that axis out.
enum class Extent {
  fixed,       ///< no leading axis: shape is all there is
  per_row,     ///< rows of a pass (the micro-batch)
  per_group,   ///< BatchNorm groups of a pass
  per_sample,  ///< samples of an update's batch, or of the split evaluated
};

using ValueId = int;
inline constexpr ValueId kNoValue = -1;

struct Value {
  std::string name;
  ArenaKind arena = ArenaKind::activations;
  Extent extent = Extent::per_row;
  Dimensions shape;
  ElementType type = ElementType::f32;
  bool real = true;         ///< a real number: lowering gives it the plan's precision
  bool transposed = false;  ///< dense weights and their gradients: [inputs][padded units] in memory
  std::int64_t group = 0;   ///< per_group: rows a group; 0: one group
  bool covers_arena = false;  ///< lies over the other values of its arena, as "gradients" does
  bool workspace = false;     ///< what its one step needs to work and leaves undefined
  // Set by lowering.
  std::int64_t pitch = 0;    ///< elements from one row (transposed: column) to the next
  ValueId alias = kNoValue;  ///< takes the bytes of this value (reshape, or in place)
};

enum class Section {
  pass,    ///< once a micro-batch
  update,  ///< once an update, after its passes
};

struct Step {
  std::string operation;  ///< a kernel of the registry
  std::string layer;      ///< for messages and profiles
  Section section = Section::pass;
  bool backward = false;         ///< of the pass: after the loss
  bool measurement = false;      ///< runs only in passes that measure; nothing else depends on it
  std::vector<ValueId> inputs;   ///< kNoValue: absent
  std::vector<ValueId> outputs;  ///< kNoValue: absent
  Attributes attributes = {};
};

struct Program {
  Phase phase = Phase::training;
  std::vector<Value> values;
  std::vector<Step> steps;
  ValueId logits = kNoValue;         ///< the model's output
  ValueId probabilities = kNoValue;  ///< prediction only

  /// The value whose bytes `id` uses.
  [[nodiscard]] ValueId root(ValueId id) const;
  /// The value of that name, or kNoValue.
  [[nodiscard]] ValueId find(std::string_view name) const;
};

/// One line a step: operation, layer, inputs -> outputs.
[[nodiscard]] std::string to_text(const Program& program);

}  // namespace batchwise
