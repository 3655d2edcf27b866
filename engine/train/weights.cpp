#include "engine/train/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/error.h"
#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

bool included(const ParameterPlace& place, bool with_running) {
  return with_running || place.trained();
}

double initial_value(const ParameterSpec& spec, std::int64_t element, std::uint64_t seed) {
  double limit = 0.0;
  switch (spec.init) {
    case ParameterInit::zeros: return 0.0;
    case ParameterInit::ones: return 1.0;
    case ParameterInit::glorot_uniform:
      limit = std::sqrt(6.0 / static_cast<double>(spec.fan_in + spec.fan_out));
      break;
    case ParameterInit::kaiming_uniform:
      limit = 1.0 / std::sqrt(static_cast<double>(spec.fan_in));
      break;
  }
  const PhiloxBlock block =
      philox({static_cast<std::uint32_t>(element / 4), static_cast<std::uint32_t>(element >> 34), 0,
              stream_of_name(spec.name)},
             seed);
  return (2.0 * unit_interval(block[static_cast<std::size_t>(element % 4)]) - 1.0) * limit;
}

std::int64_t arena_elements(const ParameterArena& arena) {
  return arena.with_running ? arena.layout->total_elements : arena.layout->weights_elements;
}

std::int64_t arena_bytes(const ParameterArena& arena) {
  return arena_elements(arena) * static_cast<std::int64_t>(size_in_bytes(arena.backend->real()));
}

/// Runs `body` with bytes of the arena seen as a span of its type.
template <class Body>
void as_typed(const ParameterArena& arena, std::span<std::byte> bytes, Body&& body) {
  const auto elements = static_cast<std::size_t>(arena_elements(arena));
  if (arena.backend->real() == ElementType::f64) {
    body(std::span(reinterpret_cast<double*>(bytes.data()), elements));
  } else {
    body(std::span(reinterpret_cast<float*>(bytes.data()), elements));
  }
}

/// Runs `body` on a copy of the arena's contents and puts the copy back.
template <class Body>
void edit(const ParameterArena& arena, Body&& body) {
  std::vector<std::byte> bytes = download_bytes(arena);
  as_typed(arena, bytes, body);
  upload_bytes(arena, bytes);
}

std::vector<std::int64_t> shape_of(const ParameterSpec& spec) {
  return {spec.shape.begin(), spec.shape.end()};
}

const TensorData* find_tensor(std::span<const TensorData> tensors, const std::string& name) {
  for (const TensorData& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

template <class T>
T element_of(const TensorData& tensor, std::int64_t index) {
  if (tensor.type == TensorType::f64) {
    double value = 0.0;
    std::memcpy(&value, tensor.bytes.data() + index * 8, 8);
    return static_cast<T>(value);
  }
  float value = 0.0f;
  std::memcpy(&value, tensor.bytes.data() + index * 4, 4);
  return static_cast<T>(value);
}

}  // namespace

void initialize_weights(const ParameterArena& arena, std::uint64_t seed) {
  edit(arena, [&](auto host) {
    using T = typename decltype(host)::element_type;
    for (const ParameterPlace& place : arena.layout->places) {
      for (std::int64_t element = 0; element < place.spec.shape.elements(); ++element) {
        // Rounded to f32 in every precision, so that all backends start from the same numbers.
        host[place.offset_of(element)] =
            static_cast<T>(static_cast<float>(initial_value(place.spec, element, seed)));
      }
    }
  });
}

std::vector<std::byte> download_bytes(const ParameterArena& arena) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(arena_bytes(arena)));
  arena.backend->download(bytes.data(), arena.base, arena_bytes(arena));
  return bytes;
}

void upload_bytes(const ParameterArena& arena, std::span<const std::byte> bytes) {
  arena.backend->upload(arena.base, bytes.data(), arena_bytes(arena));
}

std::vector<TensorData> download_tensors(const ParameterArena& arena, const std::string& prefix) {
  return tensors_from_bytes(arena, download_bytes(arena), prefix);
}

std::vector<TensorData> tensors_from_bytes(const ParameterArena& arena,
                                           std::span<const std::byte> bytes,
                                           const std::string& prefix) {
  std::vector<TensorData> tensors;
  std::vector<std::byte> copy(bytes.begin(), bytes.end());
  as_typed(arena, copy, [&](auto host) {
    using T = typename decltype(host)::element_type;
    for (const ParameterPlace& place : arena.layout->places) {
      if (!included(place, arena.with_running)) continue;
      TensorData tensor{.name = prefix + place.spec.name,
                        .type = sizeof(T) == 8 ? TensorType::f64 : TensorType::f32,
                        .shape = shape_of(place.spec),
                        .bytes = {}};
      const std::int64_t count = place.spec.shape.elements();
      tensor.bytes.resize(static_cast<std::size_t>(count) * sizeof(T));
      for (std::int64_t element = 0; element < count; ++element) {
        std::memcpy(tensor.bytes.data() + element * static_cast<std::int64_t>(sizeof(T)),
                    &host[place.offset_of(element)], sizeof(T));
      }
      tensors.push_back(std::move(tensor));
    }
  });
  return tensors;
}

InitReport match_tensors(const ParameterLayout& layout, bool with_running,
                         std::span<const TensorData> tensors, const std::string& prefix) {
  InitReport report;
  for (const ParameterPlace& place : layout.places) {
    if (!included(place, with_running)) continue;
    const TensorData* tensor = find_tensor(tensors, prefix + place.spec.name);
    if (tensor == nullptr) {
      report.left.push_back(fmt::format("{}: missing", place.spec.name));
    } else if (tensor->type != TensorType::f32 && tensor->type != TensorType::f64) {
      report.left.push_back(
          fmt::format("{}: found type {}, expected F32", place.spec.name, name_of(tensor->type)));
    } else if (tensor->shape != shape_of(place.spec)) {
      report.left.push_back(fmt::format("{}: found shape [{}], expected {}", place.spec.name,
                                        fmt::join(tensor->shape, ", "), to_text(place.spec.shape)));
    } else {
      report.taken.push_back(place.spec.name);
    }
  }
  for (const TensorData& tensor : tensors) {
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string name = tensor.name.substr(prefix.size());
    const bool known =
        std::any_of(layout.places.begin(), layout.places.end(), [&](const ParameterPlace& place) {
          return place.spec.name == name && included(place, with_running);
        });
    if (!known) report.extra.push_back(name);
  }
  return report;
}

void upload_tensors(const ParameterArena& arena, std::span<const TensorData> tensors,
                    const std::string& source, const std::string& prefix, bool partial) {
  const InitReport report = match_tensors(*arena.layout, arena.with_running, tensors, prefix);
  if (!partial && (!report.left.empty() || !report.extra.empty())) {
    std::vector<std::string> reasons = report.left;
    for (const std::string& name : report.extra) reasons.push_back(name + ": not in the model");
    throw InputError(
        fmt::format("{} does not fit the model: {}", source, fmt::join(reasons, "; ")));
  }
  edit(arena, [&](auto host) {
    using T = typename decltype(host)::element_type;
    for (const std::string& name : report.taken) {
      const TensorData& tensor = *find_tensor(tensors, prefix + name);
      const ParameterPlace& place = arena.layout->find(name);
      for (std::int64_t element = 0; element < place.spec.shape.elements(); ++element) {
        host[place.offset_of(element)] = element_of<T>(tensor, element);
      }
    }
  });
}

std::vector<TensorData> as_f32(std::vector<TensorData> tensors) {
  for (TensorData& tensor : tensors) {
    if (tensor.type != TensorType::f64) continue;
    std::vector<std::byte> bytes(tensor.bytes.size() / 2);
    for (std::size_t element = 0; element < bytes.size() / 4; ++element) {
      const auto value = element_of<float>(tensor, static_cast<std::int64_t>(element));
      std::memcpy(bytes.data() + element * 4, &value, 4);
    }
    tensor.bytes = std::move(bytes);
    tensor.type = TensorType::f32;
  }
  return tensors;
}

}  // namespace batchwise
