// Memory against batch size: what `batchwise memory` asks of plans, and what it measures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/report/memory_report.h"
#include "engine/train/run_facts.h"

namespace batchwise {

/// A budget and where it comes from.
struct MemoryBudget {
  std::int64_t bytes = 0;
  std::string source;
};

/// What plans are made for; it need not be there.
struct PlannedDevice {
  DeviceFacts facts;
  std::string name;                 ///< as --device takes it
  std::int64_t overhead_bytes = 0;  ///< taken by context and libraries beside the plan
};

/// The device of the experiment; with on_card, or for "cuda", a GPU that need not be there. Throws
/// InputError for another device that this machine does not have.
[[nodiscard]] PlannedDevice planned_device(const Experiment& experiment, bool on_card);

struct MemoryQuestion {
  std::vector<std::int64_t> batch_sizes;  ///< empty: powers of two up to the training set
  std::optional<MemoryBudget> budget;
  PlannedDevice device;
};

/// Plans the experiment at each batch size; nothing is allocated. training.batch_size = 0 ("auto")
/// stands for the largest that fits. Throws InputError where the experiment itself cannot be
/// planned; a batch size that cannot is a row that says why.
[[nodiscard]] MemoryReport profile_memory(const Experiment& experiment, const RunFacts& facts,
                                          const MemoryQuestion& question);

/// 1, 2, 4, ... up to the training set, at most 65536.
[[nodiscard]] std::vector<std::int64_t> default_batch_sizes(std::int64_t training_samples);

/// Makes a session of the row's batch size, in the passes that profile_memory() planned for the
/// same question, and updates the weights twice: once for the memory, once for the time. Where a
/// session cannot be made the row says why.
void measure_memory(const Experiment& experiment, const RunFacts& facts, const Dataset& dataset,
                    const MemoryQuestion& question, MemoryRow& row);

}  // namespace batchwise
