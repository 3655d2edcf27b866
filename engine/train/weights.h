// Parameters between host and device: initial values, and logical tensors out of and into an arena.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "engine/files/safetensors.h"
#include "engine/plan/parameter_layout.h"

namespace batchwise {

/// One arena laid out as the parameters are: the weights themselves, or a slot of optimizer state.
struct ParameterArena {
  const Backend* backend = nullptr;
  const ParameterLayout* layout = nullptr;
  std::byte* base = nullptr;
  bool with_running = false;  ///< the weights' arena: frozen ones and running statistics too
};

/// Draws the initial weights: they depend on (seed, tensor name, element) alone. glorot_uniform is
/// U(-l, l) with l = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), kaiming_uniform with
/// l = 1 / sqrt(fan_in), PyTorch's default for linear layers. Drawn in double, rounded once.
void initialize_weights(const ParameterArena& arena, std::uint64_t seed);

/// Tensors in their logical shape and order, in the backend's type, their names behind `prefix`.
[[nodiscard]] std::vector<TensorData> download_tensors(const ParameterArena& arena,
                                                       const std::string& prefix = "");

/// The inverse. Takes from `tensors` those whose names begin with `prefix`; f32 is converted where
/// the backend is f64. Throws InputError naming `source` and each tensor that is missing, extra or
/// misshapen; with `partial` takes what fits.
void upload_tensors(const ParameterArena& arena, std::span<const TensorData> tensors,
                    const std::string& source, const std::string& prefix = "",
                    bool partial = false);

/// What upload_tensors would take and leave, a line each, for --init-partial.
struct InitReport {
  std::vector<std::string> taken;
  std::vector<std::string> left;  ///< of the model: with the reason
  std::vector<std::string> extra;
};
[[nodiscard]] InitReport match_tensors(const ParameterLayout& layout, bool with_running,
                                       std::span<const TensorData> tensors,
                                       const std::string& prefix = "");

/// The arena's bytes as they are, to be put back by upload_bytes.
[[nodiscard]] std::vector<std::byte> download_bytes(const ParameterArena& arena);
void upload_bytes(const ParameterArena& arena, std::span<const std::byte> bytes);
/// What download_tensors would give if the arena held `bytes`.
[[nodiscard]] std::vector<TensorData> tensors_from_bytes(const ParameterArena& arena,
                                                         std::span<const std::byte> bytes,
                                                         const std::string& prefix);

/// Rounded to f32, for files and hashes.
[[nodiscard]] std::vector<TensorData> as_f32(std::vector<TensorData> tensors);

}  // namespace batchwise
