// Fits a run into a budget of memory: resolves "auto", finds the largest batch, and says what would
// help where a plan does not fit. Plans alone; nothing is allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/plan/run_plan.h"

namespace batchwise {

/// A change that makes a run smaller.
struct WayOut {
  std::string what;         ///< "passes of 64"
  std::string how;          ///< the options: "--micro-batch-size 64"
  std::string consequence;  ///< "the same results"
  std::int64_t bytes = 0;   ///< the plan's then
};

class Fitting {
 public:
  /// All are used while the object lives. budget_bytes: of the device, for a whole run.
  /// asked: the micro-batch, checkpointing and offloading that the user asked for.
  Fitting(const Graph& graph, const Experiment& experiment, const TrainingConfig& asked,
          const DataFacts& data, const DeviceFacts& device, std::int64_t budget_bytes);

  /// How a batch of that size goes through memory: the experiment's micro-batch, checkpointing and
  /// offloading with "auto" resolved against the budget. Where nothing fits, the choice that comes
  /// closest without changing what was asked for; the caller compares its bytes with the budget.
  [[nodiscard]] Passes passes(std::int64_t batch_size) const;

  /// The largest batch size, at most the training set, whose passes() fit and whose BatchNorm
  /// groups are sound; 0: none.
  [[nodiscard]] std::int64_t largest_batch() const;

  /// The same passes with fewer samples in each, the most that fit; nothing where none does or
  /// BatchNorm forbids it. Where several passes are needed they are made about equally large.
  [[nodiscard]] std::optional<Passes> with_smaller_passes(const Passes& passes) const;
  /// The same passes with the least recomputation that fits.
  [[nodiscard]] std::optional<Passes> with_recomputation(const Passes& passes) const;

  /// What would make the run fit, the cheapest first: first what gives the same results, by the
  /// time it costs, then what changes them. At most three. batch_option: what sets the batch size,
  /// as "--batch-size ".
  [[nodiscard]] std::vector<WayOut> ways_out(const Passes& passes,
                                             std::string_view batch_option) const;

  [[nodiscard]] std::int64_t bytes(const Passes& passes) const;
  [[nodiscard]] bool fits(const Passes& passes) const { return bytes(passes) <= budget_; }
  [[nodiscard]] std::int64_t budget() const { return budget_; }
  /// Whether BatchNorm's groups allow these passes.
  [[nodiscard]] bool sound(const Passes& passes) const;

 private:
  const Graph& graph_;
  const Experiment& experiment_;
  const TrainingConfig& asked_;
  const DataFacts& data_;
  const DeviceFacts& device_;
  std::int64_t budget_;
};

/// Whether an update has the same bits however its batch is cut into passes: level 4 of
/// docs/numerics.md.
[[nodiscard]] bool splits_freely(const Experiment& experiment);

/// Samples in multiples of which a pass may be cut: the groups of all BatchNorm layers that train
/// fit in it; 0: one normalises the whole batch, so that passes cannot be cut.
[[nodiscard]] std::int64_t pass_granularity(const Graph& graph);

}  // namespace batchwise
