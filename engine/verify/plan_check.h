// Whole plans, step by step: each step of a network's training, evaluation and prediction on the
// device is judged as a case of its own, the oracle fed what the device's step was fed. The first
// step that departs is named.
#pragma once

#include "engine/verify/networks.h"
#include "engine/verify/verify.h"

namespace batchwise::verification {

[[nodiscard]] PlanReport check_plan(const Backend& backend, const Network& network,
                                    const VerifyOptions& options);

}  // namespace batchwise::verification
