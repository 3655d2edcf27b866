// The plan: everything the engine knows about a network at a batch size, made before any memory is
// taken. Made in stages, each a function from one value to the next:
//
//   build_graph -> differentiate -> prune -> fuse -> choose_saved_forms -> recompute -> offload
//               -> lower -> schedule -> place
//
// train, evaluate, predict and every report read the same plan.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "engine/model/experiment.h"
#include "engine/model/graph.h"
#include "engine/plan/parameter_layout.h"
#include "engine/plan/program.h"
#include "engine/plan/target.h"

namespace batchwise {

struct PlanRequest {
  Phase phase = Phase::training;
  std::int64_t batch_size = 1;  ///< training: samples of an update; else: samples of the split
  std::int64_t micro_batch_size = 1;  ///< rows of a pass, at most batch_size
  std::int64_t last_batch_size =
      0;  ///< training: samples of an epoch's smaller last batch; 0: none
  ElementType real = ElementType::f32;
  Target target = {};
  OptimizerConfig optimizer;  ///< training
  /// Training: layers, or single values, that are not kept for the backward pass but computed again
  /// in it.
  std::vector<std::string> recompute = {};
  bool offload = false;  ///< training: what is kept lies in host memory in between
  /// Training: passes can measure the squared norm of each sample's gradient, over the weights and
  /// biases of the dense layers that are trained (ops/sample_norms.h), as the value "sample_norms".
  bool sample_norms = false;
  bool probabilities = true;  ///< prediction: softmax after the logits
  ElementType data_type = ElementType::u8;
  std::int64_t data_samples = 0;  ///< rows of the resident data set that is read
  std::int64_t normalization_channels = 1;
};

/// Order of execution. All steps are in one lane: each waits for the one before.
struct Schedule {
  std::vector<std::vector<int>> dependencies;  ///< per step: the steps whose results it needs
  std::vector<int> first_use;                  ///< per value (roots): step, -1 when unused
  std::vector<int> last_use;
};

/// Bytes of every arena and offsets of every value in its arena.
struct Placement {
  std::vector<std::int64_t> offset_bytes;  ///< per value; meaningful for roots
  std::array<std::int64_t, kArenaKinds> arena_bytes{};
  // The activation arena as a formula: bytes(rows) = per_unit * ceil(rows / 64) + rest(rows).
  std::int64_t activation_bytes_per_unit = 0;  ///< of buffers that scale with the rows
  std::int64_t activation_rest_bytes = 0;      ///< of the others: workspaces, whole-batch groups
  std::int64_t workspace_bytes = 0;            ///< of the rest: what the greediest kernel works in
  std::int64_t activation_lower_bound = 0;     ///< largest sum of buffers alive at once
  std::int64_t host_bytes_per_unit = 0;        ///< of the host arena, the same formula without rest
};

/// Of every buffer in its arena; suits vector loads of every device.
inline constexpr std::int64_t kArenaAlignmentBytes = 256;

/// Buffers that scale with the batch are placed once for this many samples.
inline constexpr std::int64_t kUnitSamples = 64;

struct Plan {
  PlanRequest request;
  ParameterLayout parameters;
  Program program;  ///< lowered
  Schedule schedule;
  Placement placement;
  int optimizer_slots = 0;
  int partial_sum_levels = 0;

  [[nodiscard]] std::int64_t arena_bytes(ArenaKind kind) const {
    return placement.arena_bytes[static_cast<std::size_t>(kind)];
  }
};

/// Throws InputError when BatchNorm's groups do not fit the batches of a training plan: a batch
/// normalised as a whole cannot be split, and a group of one value has no variance.
void check_batchnorm_groups(const Graph& graph, const PlanRequest& request);

/// Forward, loss, backward and update as calls of kernels on values without types or layouts.
[[nodiscard]] Program differentiate(const Graph& graph, const ParameterLayout& parameters,
                                    const PlanRequest& request);
/// Drops the steps whose results nothing needs: the input's gradient, what comes before the first
/// layer that learns, ...
[[nodiscard]] Program prune(Program program);
/// Joins steps that one kernel of the request's target does at once. A fused operation's contract
/// is the composition of those it replaces.
[[nodiscard]] Program fuse(Program program, const PlanRequest& request);
/// Training: what the backward pass reads nothing of but signs is kept as a value that is kept
/// anyway, or as one bit an element, where that has the same bits and takes less memory.
[[nodiscard]] Program choose_saved_forms(Program program, const PlanRequest& request);
/// Training: values that `request.recompute` names are computed again in the backward pass, from
/// what is kept. Throws InputError for a name that is neither a layer's nor a value's.
[[nodiscard]] Program recompute(Program program, const PlanRequest& request);
/// Training, where `request.offload` says so: what the forward pass keeps for the backward pass is
/// copied to host memory and back.
[[nodiscard]] Program offload(Program program, const PlanRequest& request);
/// Gives steps the workspace that their kernels want, sets types and pitches, and lets steps work
/// in place where their operation's record allows.
[[nodiscard]] Program lower(Program program, const PlanRequest& request);
[[nodiscard]] Schedule schedule(const Program& program);
[[nodiscard]] Placement place(const Program& program, const Schedule& schedule,
                              const ParameterLayout& parameters, const PlanRequest& request);

/// All stages, after check_batchnorm_groups.
[[nodiscard]] Plan make_plan(const Graph& graph, const PlanRequest& request);
/// The same without that check, for bytes alone.
[[nodiscard]] Plan make_unchecked_plan(const Graph& graph, const PlanRequest& request);

/// Slots of optimizer state a parameter has.
[[nodiscard]] int optimizer_slots(const OptimizerConfig& optimizer);

/// With the leading axis, for a pass of so many rows.
[[nodiscard]] Dimensions shape_of(const Value& value, std::int64_t rows, std::int64_t batch_size);

/// A value as a kernel sees it. bases: the start of each arena; rows: of the pass.
[[nodiscard]] TensorView view_of(const Plan& plan, ValueId value,
                                 const std::array<std::byte*, kArenaKinds>& bases,
                                 std::int64_t rows);

/// Every step with its dependencies, bytes and FLOPs for the plan's rows.
[[nodiscard]] std::string schedule_text(const Plan& plan);
/// Every buffer with arena, offset, bytes and lifetime, and the arenas' totals.
[[nodiscard]] std::string memory_text(const Plan& plan);

}  // namespace batchwise
