// Small experiments and the message of a refused one, shared by the tests of experiment files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/model/experiment_file.h"

namespace batchwise {

/// A smallest data section and model, both on lines 1 to 5.
inline const std::string kData = "[data]\nkind = \"builtin\"\nname = \"blobs\"\n";
inline const std::string kModel = "[model]\nlayers = [{ type = \"dense\", units = 3 }]\n";
inline const std::string kSmallest = kData + kModel;

inline Experiment parsed(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_experiment(text, "experiment", "/folder", overrides);
}

/// A model of these layers, the first on line 6.
inline std::string with_layers(const std::string& layers) {
  return kData + "[model]\nlayers = [\n" + layers + "\n]\n";
}

/// The message with which the text is refused; "accepted" if it is not.
inline std::string refusal(const std::string& text,
                           const std::vector<std::string>& overrides = {}) {
  try {
    (void)parsed(text, overrides);
    return "accepted";
  } catch (const InputError& error) {
    return error.what();
  }
}

}  // namespace batchwise
