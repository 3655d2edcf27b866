// Verifies a backend against the reference: every operation over the shapes that break kernels,
// whole plans step by step, and that results do not depend on the batch (docs/numerics.md).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "engine/model/experiment.h"
#include "engine/verify/judge.h"

namespace batchwise {

struct VerifyOptions {
  std::uint64_t seed = 0;
  std::int64_t random_shapes = 20;      ///< of each operation, beside the fixed ones
  std::vector<std::string> operations;  ///< these alone, and no plans; empty: all there is
  Numerics numerics = Numerics::invariant;
  /// Told what is being verified, and how much of how much is done.
  std::function<void(const std::string& what, std::int64_t done, std::int64_t all)> progress;
};

/// One comparison that failed, or the one that came nearest to failing.
struct Finding {
  std::string what;     ///< shape, variant and layout; network and step
  std::string message;  ///< empty: passed
  std::optional<verification::Place> place;
};

struct OperationReport {
  std::string operation;
  std::vector<std::string> types;
  std::int64_t cases = 0;
  std::int64_t left_out = 0;  ///< beyond what an emulated device can do in reasonable time
  std::int64_t failed = 0;
  Finding worst;                  ///< the largest error / bound
  std::vector<Finding> failures;  ///< the first few

  [[nodiscard]] bool passed() const { return failed == 0; }
};

/// A check of whole plans: step by step, or under batch sizes and splits.
struct PlanReport {
  std::string name;
  std::int64_t comparisons = 0;  ///< steps, or runs
  Finding worst;
  std::vector<Finding> failures;

  [[nodiscard]] bool passed() const { return failures.empty(); }
};

struct NotCovered {
  std::string operation;
  std::string reason;
};

struct VerifyReport {
  std::string device;
  std::uint64_t seed = 0;
  Numerics numerics = Numerics::invariant;
  std::vector<OperationReport> operations;
  std::vector<NotCovered> not_covered;
  std::vector<PlanReport> plans;
  std::vector<PlanReport> invariance;  ///< mode invariant
  std::string lost_device;  ///< the error after which the device no longer answered; empty: none

  [[nodiscard]] bool passed() const;
};

/// Throws InputError for an operation there is not, naming the nearest.
[[nodiscard]] VerifyReport verify(const Backend& backend, const VerifyOptions& options = {});

}  // namespace batchwise
