#include "engine/report/memory_report_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/report/html.h"

namespace batchwise {

std::span<const MemoryCategory> all_memory_categories() {
  static const auto all = [] {
    std::array<MemoryCategory, kMemoryCategories> categories{};
    for (int index = 0; index < kMemoryCategories; ++index) {
      categories[static_cast<std::size_t>(index)] = static_cast<MemoryCategory>(index);
    }
    return categories;
  }();
  return all;
}

std::vector<MemoryCategory> present_categories(const MemoryReport& report) {
  std::vector<MemoryCategory> present;
  for (const MemoryCategory category : all_memory_categories()) {
    const bool any = std::any_of(report.rows.begin(), report.rows.end(),
                                 [&](const MemoryRow& row) { return row.training[category] != 0; });
    if (any) present.push_back(category);
  }
  return present;
}

std::string key_of(MemoryCategory category) {
  std::string key(name_of(category));
  std::replace(key.begin(), key.end(), ' ', '_');
  return key;
}

std::int64_t planned_allocator_bytes(const Footprint& footprint) {
  return footprint.total_bytes() - footprint[MemoryCategory::overhead] -
         footprint[MemoryCategory::graphs];
}

std::int64_t allocator_difference(const MemoryRow& row) {
  return planned_allocator_bytes(row.training) - row.measured->allocator_bytes;
}

bool above_budget(const MemoryReport& report, std::int64_t bytes) {
  return report.budget_bytes && bytes > *report.budget_bytes;
}

bool has_micro_batches(const MemoryReport& report) {
  return std::any_of(report.rows.begin(), report.rows.end(),
                     [](const MemoryRow& row) { return row.micro_batch_size != row.batch_size; });
}

std::string signed_grouped(std::int64_t value) {
  return fmt::format("{}{}", value > 0 ? "+" : "", grouped(value));
}

std::string batch_text(std::int64_t batch_size) {
  return batch_size > 0 ? grouped(batch_size) : "not even 1";
}

std::string largest_sentence(const MemoryReport& report) {
  if (!report.budget_bytes) return {};
  return fmt::format(
      "largest batch within {}{}: training {}, inference {}{}", bytes_text(*report.budget_bytes),
      report.budget_source.empty() ? "" : fmt::format(" ({})", report.budget_source),
      batch_text(report.largest_training_batch), batch_text(report.largest_inference_batch),
      report.largest_note.empty() ? "" : fmt::format(" ({})", report.largest_note));
}

Legend draw_legend(std::span<const LegendEntry> entries, double top) {
  constexpr double kLine = 28.0;
  constexpr double kCharacterWidth = 12.5;  // at the largest font size of the style
  Legend legend{.shapes = {}, .height = entries.empty() ? 0.0 : kLine};
  double x = 0.0;
  for (const LegendEntry& entry : entries) {
    const double width = 36.0 + kCharacterWidth * static_cast<double>(entry.name.size());
    if (x > 0.0 && x + width > kPlotWidth) {
      x = 0.0;
      legend.height += kLine;
    }
    const double middle = top + legend.height - 0.5 * kLine;
    legend.shapes += fmt::format(
        "<g transform=\"translate({:.0f} {:.0f})\">{}</g><text x=\"{:.0f}\" y=\"{:.0f}\" "
        "dominant-baseline=\"central\">{}</text>\n",
        x, middle - 6.0, entry.sample, x + 30.0, middle, escape_html(entry.name));
    x += width + 12.0;
  }
  return legend;
}

}  // namespace batchwise
