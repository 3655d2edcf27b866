// What the forms of a memory report share: names, derived figures, sentences and plots.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/report/axis.h"
#include "engine/report/memory_report.h"

namespace batchwise {

/// All of them, in their order.
[[nodiscard]] std::span<const MemoryCategory> all_memory_categories();
/// Those with bytes in any row.
[[nodiscard]] std::vector<MemoryCategory> present_categories(const MemoryReport& report);
/// "optimizer_state"
[[nodiscard]] std::string key_of(MemoryCategory category);

/// What the plan says the engine's allocator holds: all but what the driver takes for itself, the
/// overhead and recorded graphs.
[[nodiscard]] std::int64_t planned_allocator_bytes(const Footprint& footprint);
/// Planned less measured; needs a measured row.
[[nodiscard]] std::int64_t allocator_difference(const MemoryRow& row);

[[nodiscard]] bool above_budget(const MemoryReport& report, std::int64_t bytes);
[[nodiscard]] bool has_micro_batches(const MemoryReport& report);

/// "+12,345", "-1", "0"
[[nodiscard]] std::string signed_grouped(std::int64_t value);
/// "12,345", or "not even 1" for 0.
[[nodiscard]] std::string batch_text(std::int64_t batch_size);
/// "largest batch within 24.0 GiB (--budget): training 12,345, inference 60,000"; empty without a
/// budget.
[[nodiscard]] std::string largest_sentence(const MemoryReport& report);

inline constexpr std::string_view kSharedBytes =
    "Temporary activations share bytes, so they do not add up.";

/// A drawing, with what it says in words.
struct Plot {
  std::string title;
  std::string description;
  std::string shapes;   ///< SVG in a view box kPlotWidth wide
  double height = 0.0;  ///< of the view box
};
inline constexpr double kPlotWidth = 640.0;

/// One bar a batch size, stacked by category, with the budget and the largest batch within it.
[[nodiscard]] Plot batch_size_plot(const MemoryReport& report);
/// The activation arena over the steps of one update: a rectangle a buffer.
[[nodiscard]] Plot timeline_plot(const StepTimeline& timeline);

/// What both plots draw with.
struct LegendEntry {
  std::string name;
  std::string sample;  ///< the inside of a picture of 24 x 12 units
};
/// From y = `top` down, as many in a line as fit.
struct Legend {
  std::string shapes;
  double height = 0.0;
};
[[nodiscard]] Legend draw_legend(std::span<const LegendEntry> entries, double top);

}  // namespace batchwise
