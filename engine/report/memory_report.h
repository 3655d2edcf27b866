// What `batchwise memory` answers, as values, and the forms it is given in: text, CSV, JSON, and
// plots as SVG or a page of HTML. All figures are bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/memory/footprint.h"

namespace batchwise {

/// What --measure found at one batch size.
struct MeasuredMemory {
  std::int64_t allocator_bytes = 0;               ///< most that the engine's allocator held at once
  std::optional<std::int64_t> driver_bytes = {};  ///< by the driver of a GPU, this run's share
  double seconds_per_step = 0.0;
};

/// One line of the table.
struct MemoryRow {
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;
  Footprint training = {};
  std::int64_t activation_lower_bound = 0;  ///< largest sum of activations alive at once
  std::int64_t inference_bytes = 0;         ///< of a prediction in passes of so many samples
  std::optional<MeasuredMemory> measured = {};
  std::string refused = {};  ///< not empty: why there is no such plan; the figures are then 0
};

/// One layer at the experiment's batch size; "input" and "loss" are layers too.
struct LayerMemory {
  std::string layer = {};
  std::int64_t parameters = 0;
  std::int64_t gradients = 0;
  std::int64_t optimizer_state = 0;
  std::int64_t kept_activations = 0;       ///< from the forward to the backward pass
  std::int64_t temporary_activations = 0;  ///< within one of them; these share bytes
};

/// What could be given up, and what it would bring.
struct Lever {
  std::string name = {};         ///< "micro-batches of 64", "checkpointing", "bf16", ...
  std::string how = {};          ///< the options that do it; empty where this version cannot yet
  std::string consequence = {};  ///< "the same results", "other results", ...
  std::int64_t bytes = 0;        ///< planned at the experiment's batch size
  std::int64_t largest_batch_size = 0;  ///< within the budget; 0: none, or no budget
};

/// A buffer in one step's timeline.
struct BufferBar {
  std::string name = {};
  std::string layer = {};
  std::int64_t offset = 0;  ///< in the activation arena
  std::int64_t bytes = 0;
  int first = 0;  ///< index of the first step that uses it
  int last = 0;   ///< index of the last one, included
};

/// The passes of one weight update.
struct StepTimeline {
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;
  std::vector<std::string> steps = {};  ///< "dense_1 dense_forward"
  std::vector<BufferBar> buffers = {};
  std::int64_t arena_bytes = 0;
  std::int64_t lower_bound = 0;
};

struct MemoryReport {
  std::string experiment = {};
  std::string device = {};         ///< what the plan is made for
  std::string precision = {};      ///< "fp32"
  std::string optimizer = {};      ///< "adam"
  std::int64_t planned_bytes = 0;  ///< in all, at the timeline's batch size
  std::int64_t parameters = 0;     ///< trainable
  std::optional<std::int64_t> budget_bytes = {};
  std::string budget_source = {};         ///< "--budget", "NVIDIA H200, 143771 MiB less ..."
  std::vector<std::string> formula = {};  ///< bytes(B) and its terms, a line each
  std::vector<MemoryRow> rows = {};
  std::int64_t largest_training_batch = 0;   ///< within the budget; 0: none fits
  std::int64_t largest_inference_batch = 0;  ///< the same
  std::string largest_note = {};             ///< "at most the training set", ...; may be empty
  std::vector<LayerMemory> layers = {};      ///< of the experiment's batch size
  std::vector<Lever> levers = {};
  StepTimeline timeline = {};
};

/// For people: the table (by layer: one line a layer instead), formula, largest batch and levers.
[[nodiscard]] std::string to_text(const MemoryReport& report, bool by_layer);
/// One line a batch size (by layer: a layer), a header first; quoted as in
/// RFC 4180, lines end in \n.
[[nodiscard]] std::string to_csv(const MemoryReport& report, bool by_layer);
/// One JSON object: every field of the report.
[[nodiscard]] std::string to_json(const MemoryReport& report);
/// Bytes against batch size, stacked by category, with the budget; and the timeline below it.
[[nodiscard]] std::string to_svg(const MemoryReport& report);
/// The same plots in a page of their own, with text alternatives and the table.
[[nodiscard]] std::string to_page(const MemoryReport& report);

}  // namespace batchwise
