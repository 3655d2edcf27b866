// Bytes against batch size: one horizontal bar a batch size, so that every one of them can be
// labelled on a narrow screen too.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "engine/report/html.h"
#include "engine/report/memory_report_parts.h"

namespace batchwise {
namespace {

// In units of the view box.
constexpr double kCharacterWidth = 14.0;  ///< at the largest font size of the style, bold
constexpr double kSlot = 28.0;            ///< from one bar to the next
constexpr double kBar = 18.0;
constexpr double kRight = kPlotWidth - 150.0;  ///< a bar's total is written beside its end
constexpr std::size_t kColours = 8;

/// Categories that are drawn as one.
struct Group {
  std::string name;
  std::vector<MemoryCategory> categories;
  [[nodiscard]] std::int64_t bytes(const Footprint& footprint) const {
    std::int64_t sum = 0;
    for (const MemoryCategory category : categories) sum += footprint[category];
    return sum;
  }
};

/// Where there are more categories than colours, the smallest share the last one; activations,
/// which grow with the batch, never do.
std::vector<Group> groups_of(const MemoryReport& report) {
  std::vector<MemoryCategory> categories = present_categories(report);
  const auto largest = [&](MemoryCategory category) {
    std::int64_t bytes = 0;
    for (const MemoryRow& row : report.rows) bytes = std::max(bytes, row.training[category]);
    return category == MemoryCategory::activations ? std::numeric_limits<std::int64_t>::max()
                                                   : bytes;
  };
  std::vector<MemoryCategory> by_size = categories;
  std::stable_sort(by_size.begin(), by_size.end(), [&](MemoryCategory left, MemoryCategory right) {
    return largest(left) > largest(right);
  });
  const std::size_t own = categories.size() <= kColours ? categories.size() : kColours - 1;
  std::vector<Group> groups;
  Group other{.name = "other", .categories = {}};
  for (const MemoryCategory category : categories) {
    const auto place = std::find(by_size.begin(), by_size.end(), category) - by_size.begin();
    if (static_cast<std::size_t>(place) < own) {
      groups.push_back({.name = std::string(name_of(category)), .categories = {category}});
    } else {
      other.categories.push_back(category);
    }
  }
  if (!other.categories.empty()) groups.push_back(std::move(other));
  return groups;
}

std::string batch_label(const MemoryRow& row) {
  if (row.micro_batch_size == row.batch_size) return grouped(row.batch_size);
  return fmt::format("{} ({})", grouped(row.batch_size), grouped(row.micro_batch_size));
}

/// What the bars are drawn in.
struct Frame {
  std::vector<Group> groups;
  double left = 0.0;
  std::int64_t high = 1;  ///< bytes at kRight
  bool shows_budget = false;
  bool cuts = false;  ///< some bars are longer

  [[nodiscard]] double x(std::int64_t bytes) const {
    return left +
           (kRight - left) * static_cast<double>(std::min(bytes, high)) / static_cast<double>(high);
  }
};

/// Neither a budget far above all bars nor bars far above the budget flatten the others: the budget
/// is then not drawn, the bars are cut.
Frame frame_of(const MemoryReport& report) {
  Frame frame{.groups = groups_of(report)};
  std::size_t longest = 5;
  for (const MemoryRow& row : report.rows) {
    longest = std::max(longest, batch_label(row).size());
    frame.high = std::max(frame.high, row.training.total_bytes());
  }
  frame.left = kCharacterWidth * static_cast<double>(longest) + 10.0;
  if (!report.budget_bytes) return frame;
  const std::int64_t budget = *report.budget_bytes;
  frame.shows_budget = budget / 3 <= frame.high;
  if (!frame.shows_budget) return frame;
  const std::int64_t most = std::max(budget + budget / 4, std::int64_t{1});
  frame.cuts = frame.high > most;
  frame.high = frame.cuts ? most : std::max(frame.high, budget);
  return frame;
}

std::string draw_text(double x, double y, std::string_view anchor, std::string_view classes,
                      std::string_view text) {
  return fmt::format(
      "<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" "
      "dominant-baseline=\"central\">{}</text>\n",
      classes, x, y, anchor, escape_html(text));
}

/// The reason as far as there is room; all of it shows on hovering.
std::string draw_refusal(const MemoryRow& row, const Frame& frame, double middle) {
  const auto room = static_cast<std::size_t>((kPlotWidth - frame.left) / kCharacterWidth);
  std::string text = "no plan: " + row.refused;
  if (text.size() > room) {
    std::size_t end = room - 1;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text = text.substr(0, end) + "…";
  }
  return fmt::format("<g><title>{}</title>{}</g>\n", escape_html(row.refused),
                     draw_text(frame.left, middle, "start", "halo", text));
}

std::string draw_bar(const MemoryRow& row, const Frame& frame, double middle) {
  std::string drawn;
  std::int64_t from = 0;
  for (std::size_t index = 0; index < frame.groups.size(); ++index) {
    const Group& group = frame.groups[index];
    const std::int64_t bytes = group.bytes(row.training);
    if (bytes <= 0) continue;
    drawn += fmt::format(
        "<rect class=\"fill s{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.0f}\">"
        "<title>batch {}: {} {} bytes ({})</title></rect>\n",
        index, frame.x(from), middle - 0.5 * kBar, frame.x(from + bytes) - frame.x(from), kBar,
        grouped(row.batch_size), group.name, grouped(bytes), bytes_text(bytes));
    from += bytes;
  }
  return drawn;
}

/// The batch size before the bar, the total after it.
std::string draw_labels(const MemoryReport& report, const MemoryRow& row, const Frame& frame,
                        double middle) {
  std::string drawn = draw_text(frame.left - 8.0, middle, "end", "strong", batch_label(row));
  if (!row.refused.empty()) return drawn + draw_refusal(row, frame, middle);
  const std::int64_t total = row.training.total_bytes();
  const std::string text = fmt::format("{}{}", total > frame.high ? "→ " : "", bytes_text(total));
  return drawn + draw_text(frame.x(total) + 6.0, middle, "start",
                           above_budget(report, total) ? "halo" : "halo strong", text);
}

std::string draw_axis(const Frame& frame, double top, double bottom) {
  std::string drawn;
  for (const std::int64_t tick : byte_ticks(frame.high)) {
    drawn += fmt::format(
        "<line class=\"grid-line\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>\n",
        frame.x(tick), top, bottom);
    drawn += draw_text(frame.x(tick), bottom + 18.0, "middle", "", byte_tick_text(tick));
  }
  return drawn;
}

std::string draw_budget(const MemoryReport& report, const Frame& frame, double top, double bottom) {
  const double x = frame.x(*report.budget_bytes);
  const std::string text = "budget " + bytes_text(*report.budget_bytes);
  const double half = 0.5 * kCharacterWidth * static_cast<double>(text.size());
  return fmt::format(
             "<line class=\"limit\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
             "\n",
             x, top, bottom) +
         draw_text(std::clamp(x, half, kPlotWidth - half), top - 12.0, "middle", "strong", text);
}

/// After which row the line for the largest batch stands.
std::size_t rows_within(const MemoryReport& report) {
  std::size_t count = 0;
  for (std::size_t index = 0; index < report.rows.size(); ++index) {
    if (report.rows[index].batch_size <= report.largest_training_batch) count = index + 1;
  }
  return count;
}

std::string draw_largest(const MemoryReport& report, const Frame& frame, double middle) {
  return fmt::format("<line class=\"limit\" x1=\"0\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                     kPlotWidth, middle, middle) +
         draw_text(frame.left, middle, "start", "halo strong",
                   fmt::format("largest batch: {}", batch_text(report.largest_training_batch)));
}

std::string description_of(const MemoryReport& report, const std::vector<Group>& groups) {
  std::string text = "Bytes planned for training at each batch size.";
  const MemoryRow* last = nullptr;
  for (const MemoryRow& row : report.rows) {
    if (!row.refused.empty()) {
      text += fmt::format(" Batch {}: no plan, {}.", grouped(row.batch_size), row.refused);
      continue;
    }
    last = &row;
    const std::int64_t total = row.training.total_bytes();
    text += fmt::format(" Batch {}: {} bytes{}.", grouped(row.batch_size), grouped(total),
                        above_budget(report, total) ? ", above the budget" : "");
  }
  if (last != nullptr) {
    text += fmt::format(" At batch {} these are", grouped(last->batch_size));
    for (const Group& group : groups) {
      text += fmt::format(" {} {},", group.name, grouped(group.bytes(last->training)));
    }
    text.back() = '.';
  }
  if (!report.budget_bytes) return text;
  return fmt::format("{} Budget {} bytes; {}.", text, grouped(*report.budget_bytes),
                     largest_sentence(report));
}

std::string caption_of(const MemoryReport& report, const Frame& frame) {
  std::string text = "bytes by batch size";
  if (frame.cuts) text += "; bars far above the budget are cut";
  if (report.budget_bytes && !frame.shows_budget) {
    text += fmt::format("; budget {}, beyond the right edge", bytes_text(*report.budget_bytes));
  }
  return text;
}

}  // namespace

Plot batch_size_plot(const MemoryReport& report) {
  const Frame frame = frame_of(report);
  Plot plot{.title = "Memory against batch size",
            .description = description_of(report, frame.groups),
            .shapes = {}};
  std::vector<LegendEntry> entries;
  for (const Group& group : frame.groups) {
    entries.push_back(
        {.name = group.name,
         .sample =
             fmt::format("<rect class=\"fill s{}\" width=\"24\" height=\"12\"/>", entries.size())});
  }
  const Legend legend = draw_legend(entries, 0.0);
  const double top = legend.height + (frame.shows_budget ? 30.0 : 8.0);
  const std::size_t slots = report.rows.size() + (report.budget_bytes ? 1 : 0);
  const double bottom = top + kSlot * static_cast<double>(slots) + 4.0;
  plot.shapes = legend.shapes + draw_axis(frame, top, bottom);
  const std::size_t within = report.budget_bytes ? rows_within(report) : report.rows.size();
  std::string labels;
  for (std::size_t index = 0; index < report.rows.size(); ++index) {
    const std::size_t slot = index + (index >= within ? 1 : 0);
    const double middle = top + kSlot * (static_cast<double>(slot) + 0.5);
    plot.shapes += draw_bar(report.rows[index], frame, middle);
    labels += draw_labels(report, report.rows[index], frame, middle);
  }
  if (frame.shows_budget) plot.shapes += draw_budget(report, frame, top, bottom);
  if (report.budget_bytes) {
    plot.shapes += draw_largest(report, frame, top + kSlot * (static_cast<double>(within) + 0.5));
  }
  plot.shapes += labels;
  plot.height = bottom + 62.0;
  plot.shapes +=
      draw_text(0.5 * kPlotWidth, bottom + 46.0, "middle", "", caption_of(report, frame));
  return plot;
}

}  // namespace batchwise
