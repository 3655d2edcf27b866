#include "engine/plan/parameter_layout.h"

#include <stdexcept>
#include <string>

namespace batchwise {

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
    if (place.spec.role == ParameterRole::trainable && !place.spec.frozen) {
      count += place.spec.shape.elements();
    }
  }
  return count;
}

ParameterLayout make_parameter_layout(const Graph& graph) {
  ParameterLayout layout;
  const std::vector<ParameterSpec> parameters = graph.parameters();
  for (const ParameterRole role : {ParameterRole::trainable, ParameterRole::running}) {
    for (const ParameterSpec& spec : parameters) {
      if (spec.role != role) continue;
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
    if (role == ParameterRole::trainable) layout.weights_elements = layout.total_elements;
  }
  return layout;
}

}  // namespace batchwise
