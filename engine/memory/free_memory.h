// How much memory a plan may take, and the largest size that fits.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/execute/backend.h"

namespace batchwise {

/// Bytes that "auto" may plan with: nine tenths of what is free, the rest left to the process.
[[nodiscard]] std::int64_t backend_memory_budget(const Backend& backend);

/// The largest n in [1, limit] that fits, where every smaller one fits too; 0: none.
[[nodiscard]] std::int64_t largest_that(std::int64_t limit,
                                        const std::function<bool(std::int64_t)>& fits);

}  // namespace batchwise
