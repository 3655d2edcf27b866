// Reads and writes experiment files (TOML, docs/experiment.md).
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "engine/model/experiment.h"

namespace batchwise {

/// Reads an experiment file. `overrides` are the command line's "section.key=value" with a TOML
/// value (a bare word is a string; `model.layers.0.units=64` reaches into a layer). Paths in the
/// file are relative to it, paths in overrides to the current directory. Throws InputError that
/// names the line or the override, what was found, what was expected and the remedy.
[[nodiscard]] Experiment load_experiment(const std::filesystem::path& file,
                                         std::span<const std::string> overrides);

/// The same from text; `name` names the experiment and stands for the file in messages.
[[nodiscard]] Experiment parse_experiment(std::string_view text, std::string name,
                                          const std::filesystem::path& base_folder,
                                          std::span<const std::string> overrides);

/// The experiment as a file with every default written out and absolute paths. Reading it gives
/// the same experiment, but for `name` and the layers' lines.
[[nodiscard]] std::string to_toml(const Experiment& experiment);

}  // namespace batchwise
