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

/// Whether a buffer grows with the rows of a pass. A batch normalised as a whole has one group.
bool scales(const Value& value) {
  return value.extent == Extent::per_row || (value.extent == Extent::per_group && value.group > 0);
}

/// Bytes of a unit's rows, or of their groups: units of 64 rows have at least as many groups as
/// their rows together.
std::int64_t unit_bytes(const Value& value) {
  return leading_count(value, kUnitSamples, 0) * row_bytes(value);
}

/// Values of one arena and where they lie in it.
struct PackedValues {
  std::vector<ValueId> ids;
  Packing packing;
};

/// Packs those values of an arena for which `chosen` holds.
template <class Chosen, class Bytes>
PackedValues pack_values(const Program& program, const Schedule& schedule, ArenaKind arena,
                         Chosen&& chosen, Bytes&& bytes) {
  PackedValues packed;
  std::vector<BufferLifetime> buffers;
  for (ValueId id = 0; id < static_cast<ValueId>(program.values.size()); ++id) {
    const Value& value = program.values[id];
    if (value.arena != arena || value.alias != kNoValue) continue;
    if (schedule.first_use[id] < 0 || !chosen(value)) continue;
    buffers.push_back({bytes(value), schedule.first_use[id], schedule.last_use[id]});
    packed.ids.push_back(id);
  }
  packed.packing = pack(buffers, kArenaAlignmentBytes);
  return packed;
}

/// The largest sum of activations alive at once, the growing ones for so many units.
std::int64_t activation_lower_bound(const Program& program, const Schedule& schedule,
                                    const PlanRequest& request, std::int64_t units) {
  std::vector<std::int64_t> change(program.steps.size() + 2, 0);
  for (ValueId id = 0; id < static_cast<ValueId>(program.values.size()); ++id) {
    const Value& value = program.values[id];
    if (value.arena != ArenaKind::activations || value.alias != kNoValue) continue;
    if (schedule.first_use[id] < 0) continue;
    const std::int64_t bytes = scales(value)
                                   ? round_up(unit_bytes(value), kArenaAlignmentBytes) * units
                                   : round_up(bytes_of(value, request), kArenaAlignmentBytes);
    change[static_cast<std::size_t>(schedule.first_use[id])] += bytes;
    change[static_cast<std::size_t>(schedule.last_use[id]) + 1] -= bytes;
  }
  std::int64_t alive = 0;
  std::int64_t bound = 0;
  for (const std::int64_t step : change) bound = std::max(bound, alive += step);
  return bound;
}

void place_activations(const Program& program, const Schedule& schedule, const PlanRequest& request,
                       Placement& placement) {
  const std::int64_t units = (request.micro_batch_size + kUnitSamples - 1) / kUnitSamples;
  const auto growing = [&](ArenaKind kind) {
    PackedValues packed = pack_values(program, schedule, kind, scales, unit_bytes);
    for (std::size_t index = 0; index < packed.ids.size(); ++index) {
      placement.offset_bytes[packed.ids[index]] = packed.packing.offsets[index] * units;
    }
    return packed.packing.bytes;
  };
  const std::int64_t per_unit = growing(ArenaKind::activations);
  const PackedValues rest = pack_values(
      program, schedule, ArenaKind::activations, [](const Value& value) { return !scales(value); },
      [&](const Value& value) { return bytes_of(value, request); });
  for (std::size_t index = 0; index < rest.ids.size(); ++index) {
    const Value& value = program.values[rest.ids[index]];
    placement.offset_bytes[rest.ids[index]] = per_unit * units + rest.packing.offsets[index];
    if (value.workspace) {
      placement.workspace_bytes = std::max(placement.workspace_bytes, bytes_of(value, request));
    }
  }
  placement.activation_bytes_per_unit = per_unit;
  placement.activation_rest_bytes = rest.packing.bytes;
  placement.activation_lower_bound = activation_lower_bound(program, schedule, request, units);
  arena(placement, ArenaKind::activations) = per_unit * units + rest.packing.bytes;
  placement.host_bytes_per_unit = growing(ArenaKind::host);
  arena(placement, ArenaKind::host) = placement.host_bytes_per_unit * units;
}

void place_in_sequence(const Program& program, ArenaKind kind, const PlanRequest& request,
                       Placement& placement) {
  for (std::size_t id = 0; id < program.values.size(); ++id) {
    const Value& value = program.values[id];
    if (value.arena != kind) continue;
    std::int64_t& used = arena(placement, kind);
    placement.offset_bytes[id] = used;
    used += round_up(bytes_of(value, request), kArenaAlignmentBytes);
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
      round_up(ReductionOrder::over_samples().levels(request.batch_size) * weights_bytes,
               kArenaAlignmentBytes);
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
