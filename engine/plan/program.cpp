#include "engine/plan/program.h"

#include <fmt/format.h>

#include "engine/model/graph.h"

namespace batchwise {

std::string_view name_of(ArenaKind kind) {
  switch (kind) {
    case ArenaKind::parameters: return "parameters";
    case ArenaKind::gradients: return "gradients";
    case ArenaKind::optimizer: return "optimizer state";
    case ArenaKind::partial_sums: return "partial sums";
    case ArenaKind::activations: return "activations";
    case ArenaKind::batch: return "batch";
    case ArenaKind::control: return "control";
    case ArenaKind::host: return "host";
    case ArenaKind::external: return "data set";
  }
  return "?";
}

ValueId Program::root(ValueId id) const {
  while (values[id].alias != kNoValue) id = values[id].alias;
  return id;
}

ValueId Program::find(std::string_view name) const {
  for (std::size_t id = 0; id < values.size(); ++id) {
    if (values[id].name == name) return static_cast<ValueId>(id);
  }
  return kNoValue;
}

namespace {

std::string names_of(const Program& program, const std::vector<ValueId>& ids) {
  std::string text;
  for (const ValueId id : ids) {
    if (!text.empty()) text += ", ";
    if (id == kNoValue) {
      text += "-";
      continue;
    }
    text += program.values[id].name;
    if (program.root(id) != id) text += "@" + program.values[program.root(id)].name;
  }
  return text;
}

}  // namespace

std::string to_text(const Program& program) {
  std::string text;
  for (std::size_t index = 0; index < program.steps.size(); ++index) {
    const Step& step = program.steps[index];
    text +=
        fmt::format("{:>3} {:<6} {:<30} {:<14} {} -> {}", index,
                    step.section == Section::pass ? "pass" : "update", step.operation, step.layer,
                    names_of(program, step.inputs), names_of(program, step.outputs));
    for (const auto& [key, value] : step.attributes.entries()) {
      text += fmt::format("  {}={}", key, value);
    }
    text += '\n';
  }
  return text;
}

}  // namespace batchwise
