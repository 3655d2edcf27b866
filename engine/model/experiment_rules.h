// What an experiment must satisfy beyond each key's own type and range, and the values that follow
// from several keys. Internal to engine/model.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/model/experiment.h"

namespace batchwise {

/// Says where a path such as "model.layers.2.units" stands in the file, for messages.
using Locate = std::function<std::string(std::string_view path)>;

/// Fills in layer names, biases and initialisations and folds the last layer's softmax into the
/// loss. Throws InputError for names and orders of layers that are not allowed.
void complete_layers(ModelConfig& model, const Locate& locate);

/// Throws InputError where keys contradict each other.
void check_rules(const Experiment& experiment, const Locate& locate);

}  // namespace batchwise
