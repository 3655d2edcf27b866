// Chooses which activations to compute again, so that a plan fits in memory at the least cost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/plan/plan.h"

namespace batchwise {

/// The names for PlanRequest::recompute with which the activations of the training plan take at
/// most so many bytes, in order of the forward pass; empty where nothing must go, nothing where
/// even the greatest saving found does not reach that far. The cost of an activation is that of the
/// forward steps it takes to make it again, where a byte counts as much as 16 operations. Exact for
/// up to 8 activations; beyond, segments are chosen by dynamic programming over the chain of
/// layers and judged by the plan itself.
[[nodiscard]] std::optional<std::vector<std::string>> least_recomputation(
    const Graph& graph, const PlanRequest& request, std::int64_t activation_bytes);

}  // namespace batchwise
