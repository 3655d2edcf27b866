// The starter experiments of apps/recipes/starters, compiled into the program.
#pragma once

#include <span>
#include <string_view>

namespace batchwise::app {

struct Starter {
  std::string_view name;  ///< "mnist-mlp"
  std::string_view text;  ///< the experiment file
};

[[nodiscard]] std::span<const Starter> starters();

}  // namespace batchwise::app
