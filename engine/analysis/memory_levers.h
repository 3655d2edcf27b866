// What could be given up to make a run smaller, and what each would bring.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/plan/fit.h"
#include "engine/report/memory_report.h"
#include "engine/train/run_facts.h"

namespace batchwise {

/// Each lever alone, against the experiment with these passes. budget_bytes: for plans; nothing
/// where there is none, and then the levers' largest batches are 0.
[[nodiscard]] std::vector<Lever> memory_levers(const Experiment& experiment, const RunFacts& facts,
                                               const DeviceFacts& device, const Passes& passes,
                                               std::optional<std::int64_t> budget_bytes);

/// Bytes of the experiment's plan if it computed in bf16: weights and activations of two bytes;
/// master weights, gradients, optimizer state and sums in fp32 (docs/numerics.md).
[[nodiscard]] std::int64_t bf16_bytes(const RunPlan& plan, const DeviceFacts& device);

}  // namespace batchwise
