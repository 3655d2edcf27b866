// The plan's stages as text, for `batchwise train --explain`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/operations/operation.h"
#include "engine/plan/plan.h"

namespace batchwise {
namespace {

std::array<std::byte*, kArenaKinds> no_bases() { return {}; }

std::vector<Dimensions> shapes_of(const Plan& plan, const std::vector<ValueId>& ids) {
  std::vector<Dimensions> shapes;
  for (const ValueId id : ids) {
    shapes.push_back(id == kNoValue
                         ? Dimensions{}
                         : view_of(plan, id, no_bases(), plan.request.micro_batch_size).shape);
  }
  return shapes;
}

/// Each array read or written once, workspace left out; of the resident data set only the rows that
/// are gathered.
double bytes_of(const Plan& plan, const Step& step) {
  double bytes = 0.0;
  for (const auto* ids : {&step.inputs, &step.outputs}) {
    for (const ValueId id : *ids) {
      if (id == kNoValue) continue;
      const Value& value = plan.program.values[id];
      if (value.workspace) continue;
      Dimensions shape = view_of(plan, id, no_bases(), plan.request.micro_batch_size).shape;
      if (value.arena == ArenaKind::external && shape.rank() > 0) {
        shape[0] = std::min(shape[0], plan.request.micro_batch_size);
      }
      bytes +=
          static_cast<double>(shape.elements()) * static_cast<double>(size_in_bytes(value.type));
    }
  }
  return bytes;
}

std::string list_of(const std::vector<int>& steps) {
  return steps.empty() ? "-" : fmt::format("{}", fmt::join(steps, ","));
}

}  // namespace

std::string schedule_text(const Plan& plan) {
  std::string text = fmt::format("{:>4} {:>4} {:<30} {:<14} {:>12} {:>14}  {}\n", "step", "lane",
                                 "operation", "layer", "bytes", "FLOPs", "after");
  for (std::size_t index = 0; index < plan.program.steps.size(); ++index) {
    const Step& step = plan.program.steps[index];
    const auto flops = find_kernel_record(step.operation).flops;
    text += fmt::format(
        "{:>4} {:>4} {:<30} {:<14} {:>12.0f} {:>14.0f}  {}\n", index, 0, step.operation, step.layer,
        bytes_of(plan, step),
        flops == nullptr ? 0.0 : flops(shapes_of(plan, step.inputs), shapes_of(plan, step.outputs)),
        list_of(plan.schedule.dependencies[index]));
  }
  return text;
}

std::string memory_text(const Plan& plan) {
  std::string text = fmt::format("{:<40} {:<16} {:>12} {:>10} {}\n", "buffer", "arena", "offset",
                                 "pitch", "steps");
  for (std::size_t id = 0; id < plan.program.values.size(); ++id) {
    const Value& value = plan.program.values[id];
    if (value.alias != kNoValue || plan.schedule.first_use[id] < 0) continue;
    text += fmt::format("{:<40} {:<16} {:>12} {:>10} {}..{}\n", value.name, name_of(value.arena),
                        plan.placement.offset_bytes[id], value.pitch, plan.schedule.first_use[id],
                        plan.schedule.last_use[id]);
  }
  for (int kind = 0; kind < kArenaKinds; ++kind) {
    const auto arena = static_cast<ArenaKind>(kind);
    if (plan.arena_bytes(arena) == 0) continue;
    text += fmt::format("{:<16} {:>14} bytes\n", name_of(arena), plan.arena_bytes(arena));
  }
  const Placement& placement = plan.placement;
  text += fmt::format(
      "activations(rows) = {} * ceil(rows / {}) + {} bytes; lower bound {}, ratio {:.3f}\n",
      placement.activation_bytes_per_unit, kUnitSamples, placement.activation_rest_bytes,
      placement.activation_lower_bound,
      static_cast<double>(plan.arena_bytes(ArenaKind::activations)) /
          static_cast<double>(std::max<std::int64_t>(1, placement.activation_lower_bound)));
  return text;
}

}  // namespace batchwise
