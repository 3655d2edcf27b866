// The memory report as text for a terminal.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/report/html.h"
#include "engine/report/memory_report_parts.h"

namespace batchwise {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
constexpr std::size_t kWidth = 110;  ///< beyond it the small categories share a column

/// Three significant digits of MiB, but all of the digits before the point: "0.0397", "12.3".
std::string mebibytes(std::int64_t bytes) {
  const double value = static_cast<double>(bytes) / kMiB;
  const double size = std::abs(value);
  if (bytes == 0) return "0";
  if (size < 0.001) return bytes < 0 ? ">-0.001" : "<0.001";
  if (size >= 99.95) return grouped(std::llround(value));
  return fmt::format("{:#.3g}", value);
}

/// How many places a terminal needs: the bytes that begin a character of UTF-8.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](unsigned char byte) { return (byte & 0xC0U) != 0x80U; }));
}

std::string padded(const std::string& text, std::size_t width, bool left) {
  const std::string spaces(width - std::min(width, width_of(text)), ' ');
  return left ? text + spaces : spaces + text;
}

/// A table of aligned columns, two spaces between them; numbers to the right.
class TextTable {
 public:
  TextTable(std::vector<std::string> heads, std::vector<bool> left)
      : left_(std::move(left)), lines_{std::move(heads)} {
    left_.resize(lines_.front().size());
  }
  /// A line may be shorter than the heads; `tail` follows it unaligned.
  void add(std::vector<std::string> cells, const std::string& tail = {}) {
    lines_.push_back(std::move(cells));
    tails_.resize(lines_.size());
    tails_.back() = tail;
  }
  [[nodiscard]] std::size_t width() const {
    std::size_t total = 0;
    for (const std::size_t width : widths()) total += width + 2;
    return total - 2;
  }
  [[nodiscard]] std::string text() const {
    const std::vector<std::size_t> wide = widths();
    std::string all;
    for (std::size_t line = 0; line < lines_.size(); ++line) {
      std::string written;
      for (std::size_t column = 0; column < lines_[line].size(); ++column) {
        if (column > 0) written += "  ";
        written += padded(lines_[line][column], wide[column], left_[column]);
      }
      if (line < tails_.size() && !tails_[line].empty()) written += "  " + tails_[line];
      written.erase(written.find_last_not_of(' ') + 1);
      all += written + "\n";
    }
    return all;
  }

 private:
  [[nodiscard]] std::vector<std::size_t> widths() const {
    std::vector<std::size_t> wide(lines_.front().size());
    for (const auto& line : lines_) {
      for (std::size_t column = 0; column < line.size(); ++column) {
        wide[column] = std::max(wide[column], width_of(line[column]));
      }
    }
    return wide;
  }

  std::vector<bool> left_;
  std::vector<std::vector<std::string>> lines_;
  std::vector<std::string> tails_;
};

std::string head_of(MemoryCategory category) {
  switch (category) {
    case MemoryCategory::parameters: return "params";
    case MemoryCategory::gradients: return "grads";
    case MemoryCategory::optimizer_state: return "optim";
    case MemoryCategory::master_weights: return "master";
    case MemoryCategory::activations: return "activ";
    case MemoryCategory::workspace: return "work";
    case MemoryCategory::partial_sums: return "sums";
    case MemoryCategory::data_set: return "data";
    case MemoryCategory::evaluation: return "eval";
    default: return std::string(name_of(category));
  }
}

/// Those that share the column "other" where the table is too wide.
bool is_small(MemoryCategory category) {
  return category == MemoryCategory::results || category == MemoryCategory::tables ||
         category == MemoryCategory::rounding || category == MemoryCategory::graphs;
}

/// The categories of one column.
struct CategoryColumn {
  std::string head;
  std::vector<MemoryCategory> categories;
};

std::vector<CategoryColumn> category_columns(const MemoryReport& report, bool narrow) {
  std::vector<CategoryColumn> columns;
  CategoryColumn other{.head = "other", .categories = {}};
  for (const MemoryCategory category : present_categories(report)) {
    if (narrow && is_small(category)) {
      other.categories.push_back(category);
    } else {
      columns.push_back({.head = head_of(category), .categories = {category}});
    }
  }
  if (!other.categories.empty()) columns.push_back(std::move(other));
  return columns;
}

/// The columns that a report has beside its categories.
struct Shown {
  explicit Shown(const MemoryReport& report) : micro_batch(has_micro_batches(report)) {
    for (const MemoryRow& row : report.rows) {
      host = host || row.training.host_bytes != 0;
      measured = measured || row.measured.has_value();
      driver = driver || (row.measured && row.measured->driver_bytes);
    }
  }
  bool micro_batch = false;
  bool host = false;
  bool measured = false;
  bool driver = false;
};

std::vector<std::string> measured_cells(const MemoryRow& row, bool with_driver) {
  if (!row.measured) return {};
  const MeasuredMemory& measured = *row.measured;
  std::vector<std::string> cells = {mebibytes(measured.allocator_bytes)};
  if (with_driver) {
    cells.push_back(measured.driver_bytes ? mebibytes(*measured.driver_bytes) : "-");
  }
  cells.push_back(signed_grouped(allocator_difference(row)));
  cells.push_back(fmt::format("{:.3g}", 1e3 * measured.seconds_per_step));
  return cells;
}

std::vector<std::string> row_cells(const MemoryRow& row, std::span<const CategoryColumn> columns,
                                   const Shown& shown) {
  std::vector<std::string> cells;
  for (const CategoryColumn& column : columns) {
    std::int64_t bytes = 0;
    for (const MemoryCategory category : column.categories) bytes += row.training[category];
    cells.push_back(mebibytes(bytes));
  }
  cells.push_back(mebibytes(row.training.total_bytes()));
  if (shown.host) cells.push_back(mebibytes(row.training.host_bytes));
  cells.push_back(
      row.activation_lower_bound > 0
          ? fmt::format("{:.2f}", static_cast<double>(row.training[MemoryCategory::activations]) /
                                      static_cast<double>(row.activation_lower_bound))
          : "-");
  cells.push_back(mebibytes(row.inference_bytes));
  const std::vector<std::string> measured = measured_cells(row, shown.driver);
  cells.insert(cells.end(), measured.begin(), measured.end());
  return cells;
}

TextTable batch_table(const MemoryReport& report, std::span<const CategoryColumn> columns) {
  const Shown shown(report);
  std::vector<std::string> heads = {"batch"};
  if (shown.micro_batch) heads.emplace_back("micro");
  for (const CategoryColumn& column : columns) heads.push_back(column.head);
  heads.emplace_back("total");
  if (shown.host) heads.emplace_back("host");
  heads.insert(heads.end(), {"ratio", "infer"});
  if (shown.measured) heads.emplace_back("allocated");
  if (shown.driver) heads.emplace_back("driver");
  if (shown.measured) heads.insert(heads.end(), {"difference", "ms/step"});
  TextTable table(std::move(heads), {});
  for (const MemoryRow& row : report.rows) {
    std::vector<std::string> cells = {grouped(row.batch_size)};
    if (shown.micro_batch) {
      cells.push_back(row.micro_batch_size == row.batch_size ? "" : grouped(row.micro_batch_size));
    }
    if (!row.refused.empty()) {
      table.add(std::move(cells), "refused: " + row.refused);
      continue;
    }
    const std::vector<std::string> figures = row_cells(row, columns, shown);
    cells.insert(cells.end(), figures.begin(), figures.end());
    table.add(std::move(cells),
              above_budget(report, row.training.total_bytes()) ? "above the budget" : "");
  }
  return table;
}

/// What the heads stand for.
std::string batch_notes(const MemoryReport& report, std::span<const CategoryColumn> columns) {
  const Shown shown(report);
  std::string notes =
      "MiB. ratio: bytes of all activations against the most that is alive at once. infer: a "
      "prediction\nin passes of so many samples.\n";
  if (!columns.empty() && columns.back().head == "other") {
    std::vector<std::string_view> names;
    for (const MemoryCategory category : columns.back().categories) {
      names.push_back(name_of(category));
    }
    notes += fmt::format("other: {}.\n", fmt::join(names, ", "));
  }
  if (shown.measured) {
    notes +=
        "allocated: measured, the most that was allocated at once. difference: planned less "
        "measured,"
        "\nin bytes, without what the driver takes for itself.\n";
  }
  return notes;
}

std::string batches_text(const MemoryReport& report) {
  if (report.rows.empty()) return "no batch sizes\n";
  std::vector<CategoryColumn> columns = category_columns(report, false);
  if (batch_table(report, columns).width() > kWidth) columns = category_columns(report, true);
  return batch_table(report, columns).text() + batch_notes(report, columns);
}

std::string layers_text(const MemoryReport& report) {
  TextTable table({"layer", "params", "grads", "optim", "kept activ", "temporary activ"}, {true});
  LayerMemory sum{.layer = "total"};
  const auto add = [&](const LayerMemory& layer, const std::string& temporary) {
    table.add({layer.layer, mebibytes(layer.parameters), mebibytes(layer.gradients),
               mebibytes(layer.optimizer_state), mebibytes(layer.kept_activations), temporary});
  };
  for (const LayerMemory& layer : report.layers) {
    add(layer, mebibytes(layer.temporary_activations));
    sum.parameters += layer.parameters;
    sum.gradients += layer.gradients;
    sum.optimizer_state += layer.optimizer_state;
    sum.kept_activations += layer.kept_activations;
  }
  add(sum, "shared");
  return fmt::format("{}MiB, at batch {}. {} All activations together take {}.\n", table.text(),
                     grouped(report.timeline.batch_size), kSharedBytes,
                     bytes_text(report.timeline.arena_bytes));
}

std::string change_text(std::int64_t bytes) {
  return fmt::format("{}{}", bytes > 0 ? "+" : "", mebibytes(bytes));
}

std::string levers_text(const MemoryReport& report) {
  if (report.levers.empty()) return {};
  TextTable table({"lever", "MiB", "change", "largest batch", "how", "consequence"},
                  {true, false, false, false, true, true});
  for (const Lever& lever : report.levers) {
    table.add({lever.name, mebibytes(lever.bytes), change_text(lever.bytes - report.planned_bytes),
               lever.largest_batch_size > 0 ? grouped(lever.largest_batch_size) : "-",
               lever.how.empty() ? "not in this version" : lever.how, lever.consequence});
  }
  return fmt::format("\nwhat could be given up, at batch {}:\n{}",
                     grouped(report.timeline.batch_size), table.text());
}

}  // namespace

std::string to_text(const MemoryReport& report, bool by_layer) {
  std::string text =
      fmt::format("{} on {}: {}, {}, {} parameters\n", report.experiment, report.device,
                  report.precision, report.optimizer, grouped(report.parameters));
  if (report.budget_bytes) {
    text += fmt::format("budget {} ({} bytes){}\n", bytes_text(*report.budget_bytes),
                        grouped(*report.budget_bytes),
                        report.budget_source.empty() ? "" : ": " + report.budget_source);
  }
  text += fmt::format("\n{}", by_layer ? layers_text(report) : batches_text(report));
  if (!report.formula.empty()) text += fmt::format("\n{}\n", fmt::join(report.formula, "\n"));
  if (report.budget_bytes) text += fmt::format("\n{}\n", largest_sentence(report));
  return text + levers_text(report);
}

}  // namespace batchwise
