#include "engine/plan/parameter_layout.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>

#include "engine/error.h"

namespace batchwise {

namespace {

/// With the padding of either axis.
double elements_in_double(const Dimensions& shape) {
  double elements = 1.0;
  for (const std::int64_t extent : shape) {
    elements *= static_cast<double>(extent) + static_cast<double>(kRowAlignment);
  }
  return elements;
}

bool is_trained(const ParameterSpec& spec) {
  return spec.role == ParameterRole::trainable && !spec.frozen;
}
bool is_frozen(const ParameterSpec& spec) {
  return spec.role == ParameterRole::trainable && spec.frozen;
}
bool is_running(const ParameterSpec& spec) { return spec.role == ParameterRole::running; }

}  // namespace

bool ParameterPlace::trained() const { return is_trained(spec); }

std::int64_t ParameterPlace::offset_of(std::int64_t index) const {
  if (!transposed()) return offset + index;
  const std::int64_t inputs = spec.shape[1];
  return offset + index % inputs * pitch + index / inputs;
}

const ParameterPlace& ParameterLayout::find(std::string_view name) const {
  for (const ParameterPlace& place : places) {
    if (place.spec.name == name) return place;
  }
  throw std::logic_error("no parameter is named " + std::string(name));
}

std::int64_t ParameterLayout::trainable_count() const {
  std::int64_t count = 0;
  for (const ParameterPlace& place : places) {
    if (place.trained()) count += place.spec.shape.elements();
  }
  return count;
}

void refuse_beyond_any_memory(double size) {
  if (size <= 0x1p48) return;
  throw InputError(fmt::format(
      "the plan needs more than {:.0f} TiB; use smaller layers (units) or a smaller batch_size",
      size / 0x1p40));
}

ParameterLayout make_parameter_layout(const Graph& graph) {
  ParameterLayout layout;
  const std::vector<ParameterSpec> parameters = graph.parameters();
  for (const auto has_turn : {is_trained, is_frozen, is_running}) {
    for (const ParameterSpec& spec : parameters) {
      if (!has_turn(spec)) continue;
      refuse_beyond_any_memory(static_cast<double>(layout.total_elements) +
                               elements_in_double(spec.shape));
      ParameterPlace place{.spec = spec, .offset = layout.total_elements};
      if (place.transposed()) {
        place.pitch = round_up(spec.shape[0], kRowAlignment);
        place.count = place.pitch * spec.shape[1];
      } else {
        place.count = round_up(spec.shape.elements(), kRowAlignment);
      }
      layout.total_elements += place.count;
      layout.places.push_back(std::move(place));
    }
    if (layout.weights_elements == 0) layout.weights_elements = layout.total_elements;
  }
  return layout;
}

}  // namespace batchwise
