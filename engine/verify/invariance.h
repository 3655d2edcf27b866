// That results do not depend on the batch, bit by bit: a sample's prediction alone and at every
// position of a batch (level 2), evaluation at any batch size (3), a weight update under any split
// (4). A difference names the first value of the plan that has it.
#pragma once

#include "engine/verify/networks.h"
#include "engine/verify/verify.h"

namespace batchwise::verification {

[[nodiscard]] PlanReport check_prediction(const Backend& backend, const Network& network,
                                          const VerifyOptions& options);
[[nodiscard]] PlanReport check_evaluation(const Backend& backend, const Network& network,
                                          const VerifyOptions& options);
/// Of networks whose batch may be split.
[[nodiscard]] PlanReport check_splits(const Backend& backend, const Network& network,
                                      const VerifyOptions& options);

}  // namespace batchwise::verification
