// Offsets of every value in its arena. Buffers that scale with the rows of a pass are packed once
// for kUnitSamples rows and their offsets multiplied, so that bytes are a formula in the batch
// size.
#include <algorithm>

#include "engine/memory/packing.h"
#include "engine/plan/plan.h"
#include "kernels/ops/batchnorm.h"
#include "kernels/ops/reduction_order.h"

namespace batchwise {
namespace {

/// Suits vector loads of every device.
constexpr std::int64_t kAlignmentBytes = 256;

std::int64_t row_bytes(const Value& value) {
  return value.pitch * static_cast<std::int64_t>(size_in_bytes(value.type));
}

std::int64_t leading_count(const Value& value, std::int64_t rows, std::int64_t batch) {
  switch (value.extent) {
    case Extent::fixed: return 1;
    case Extent::per_row: return rows;
    case Extent::per_group: return BatchNormGroups{rows, value.group}.count();
    case Extent::per_sample: return batch;
  }
  return 0;
}

std::int64_t bytes_of(const Value& value, const PlanRequest& request) {
  if (value.extent == Extent::fixed) {
    return value.shape.elements() * static_cast<std::int64_t>(size_in_bytes(value.type));
  }
  return leading_count(value, request.micro_batch_size, request.batch_size) * row_bytes(value);
}

std::int64_t& arena(Placement& placement, ArenaKind kind) {
  return placement.arena_bytes[static_cast<std::size_t>(kind)];
}

/// Packs those activations for which `chosen` holds; returns the arena bytes and the lower bound.
template <class Chosen, class Bytes>
Packing pack_activations(const Program& program, const Schedule& schedule, Chosen&& chosen,
                         Bytes&& bytes, std::vector<ValueId>& ids) {
  std::vector<BufferLifetime> buffers;
  for (ValueId id = 0; id < static_cast<ValueId>(program.values.size()); ++id) {
    const Value& value = program.values[id];
    if (value.arena != ArenaKind::activations || value.alias != kNoValue) continue;
    if (schedule.first_use[id] < 0 || !chosen(value)) continue;
    buffers.push_back({bytes(value), schedule.first_use[id], schedule.last_use[id]});
    ids.push_back(id);
  }
  return pack(buffers, kAlignmentBytes);
}

void place_activations(const Program& program, const Schedule& schedule, const PlanRequest& request,
                       Placement& placement) {
  const std::int64_t units = (request.micro_batch_size + kUnitSamples - 1) / kUnitSamples;
  std::vector<ValueId> scaling;
  const Packing per_unit = pack_activations(
      program, schedule, [](const Value& value) { return value.extent == Extent::per_row; },
      [](const Value& value) { return kUnitSamples * row_bytes(value); }, scaling);
  std::vector<ValueId> others;
  const Packing rest = pack_activations(
      program, schedule, [](const Value& value) { return value.extent != Extent::per_row; },
      [&](const Value& value) { return bytes_of(value, request); }, others);
  for (std::size_t index = 0; index < scaling.size(); ++index) {
    placement.offset_bytes[scaling[index]] = per_unit.offsets[index] * units;
  }
  for (std::size_t index = 0; index < others.size(); ++index) {
    placement.offset_bytes[others[index]] = per_unit.bytes * units + rest.offsets[index];
  }
  placement.activation_bytes_per_unit = per_unit.bytes;
  placement.activation_rest_bytes = rest.bytes;
  placement.activation_lower_bound = per_unit.lower_bound * units + rest.lower_bound;
  arena(placement, ArenaKind::activations) = per_unit.bytes * units + rest.bytes;
}

void place_in_sequence(const Program& program, ArenaKind kind, const PlanRequest& request,
                       Placement& placement) {
  for (std::size_t id = 0; id < program.values.size(); ++id) {
    const Value& value = program.values[id];
    if (value.arena != kind) continue;
    std::int64_t& used = arena(placement, kind);
    placement.offset_bytes[id] = used;
    used += round_up(bytes_of(value, request), kAlignmentBytes);
  }
}

/// Weights, gradients, partial sums and optimizer slots have the places of the parameter layout.
void place_parameters(const Program& program, const ParameterLayout& parameters,
                      const PlanRequest& request, Placement& placement) {
  const auto size = static_cast<std::int64_t>(size_in_bytes(request.real));
  const std::int64_t weights_bytes = parameters.weights_elements * size;
  for (const ParameterPlace& parameter : parameters.places) {
    for (const char* suffix : {"", ".gradient", ".partials"}) {
      const ValueId id = program.find(parameter.spec.name + suffix);
      if (id != kNoValue) placement.offset_bytes[id] = parameter.offset * size;
    }
  }
  const ValueId slot_1 = program.find("slot_1");
  if (slot_1 != kNoValue) placement.offset_bytes[slot_1] = weights_bytes;
  arena(placement, ArenaKind::parameters) = parameters.total_elements * size;
  if (request.phase != Phase::training) return;
  arena(placement, ArenaKind::gradients) = weights_bytes;
  arena(placement, ArenaKind::optimizer) = optimizer_slots(request.optimizer) * weights_bytes;
  arena(placement, ArenaKind::partial_sums) =
      ReductionOrder::over_samples().levels(request.batch_size) * weights_bytes;
}

/// Before anything is multiplied in 64 bits: the sum of all there is, unshared.
void refuse_absurd_sizes(const Program& program, const ParameterLayout& parameters,
                         const PlanRequest& request) {
  double copies = 1.0;
  if (request.phase == Phase::training) {
    copies += 1.0 + optimizer_slots(request.optimizer) +
              ReductionOrder::over_samples().levels(request.batch_size);
  }
  double bytes = copies * 8.0 * static_cast<double>(parameters.total_elements);
  const auto rows = static_cast<double>(round_up(request.micro_batch_size, kUnitSamples));
  for (const Value& value : program.values) {
    if (value.extent == Extent::fixed) continue;
    bytes += 8.0 * static_cast<double>(value.pitch) *
             (value.extent == Extent::per_sample ? static_cast<double>(request.batch_size) : rows);
  }
  refuse_beyond_any_memory(bytes);
}

}  // namespace

Placement place(const Program& program, const Schedule& schedule, const ParameterLayout& parameters,
                const PlanRequest& request) {
  Placement placement;
  refuse_absurd_sizes(program, parameters, request);
  placement.offset_bytes.assign(program.values.size(), 0);
  place_parameters(program, parameters, request, placement);
  place_activations(program, schedule, request, placement);
  place_in_sequence(program, ArenaKind::batch, request, placement);
  place_in_sequence(program, ArenaKind::control, request, placement);
  return placement;
}

Plan make_plan(const Graph& graph, const PlanRequest& request) {
  check_batchnorm_groups(graph, request);
  return make_unchecked_plan(graph, request);
}

Plan make_unchecked_plan(const Graph& graph, const PlanRequest& request) {
  Plan plan;
  plan.request = request;
  plan.parameters = make_parameter_layout(graph);
  plan.program = lower(fuse(differentiate(graph, plan.parameters, request), request), request);
  plan.schedule = schedule(plan.program);
  plan.placement = place(plan.program, plan.schedule, plan.parameters, request);
  if (request.phase == Phase::training) {
    plan.optimizer_slots = optimizer_slots(request.optimizer);
    plan.partial_sum_levels = ReductionOrder::over_samples().levels(request.batch_size);
  }
  return plan;
}

Dimensions shape_of(const Value& value, std::int64_t rows, std::int64_t batch_size) {
  if (value.extent == Extent::fixed) return value.shape;
  Dimensions shape{leading_count(value, rows, batch_size)};
  for (const std::int64_t extent : value.shape) shape.push_back(extent);
  return shape;
}

namespace {

/// Row-major, with the value's pitch between rows; a transposed matrix has it between columns.
Dimensions strides_of(const Value& value, const Dimensions& shape) {
  if (value.transposed) return {1, value.pitch};
  Dimensions strides = shape;
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  if (shape.rank() > 0) strides[0] = value.pitch;
  return strides;
}

}  // namespace

TensorView view_of(const Plan& plan, ValueId id, const std::array<std::byte*, kArenaKinds>& bases,
                   std::int64_t rows) {
  if (id == kNoValue) return {};
  const Value& value = plan.program.values[id];
  const auto arena_index = static_cast<std::size_t>(value.arena);
  const auto root = static_cast<std::size_t>(plan.program.root(id));
  TensorView view;
  view.type = value.type;
  view.shape = shape_of(value, rows, plan.request.batch_size);
  view.strides = strides_of(value, view.shape);
  if (value.arena != ArenaKind::partial_sums) {
    view.data = bases[arena_index] + plan.placement.offset_bytes[root];
    return view;
  }
  if (plan.partial_sum_levels == 0) return {};
  view.data = bases[arena_index] + plan.placement.offset_bytes[root];
  Dimensions shape{plan.partial_sum_levels};
  Dimensions strides{plan.parameters.weights_elements};
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    shape.push_back(view.shape[axis]);
    strides.push_back(view.strides[axis]);
  }
  view.shape = shape;
  view.strides = strides;
  return view;
}

}  // namespace batchwise
