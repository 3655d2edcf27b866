// The tables of a sweep's report: every cell, sortable, and precision and recall by class.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/report/html.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {
namespace {

/// A column of means; shown where any cell has one.
struct Column {
  std::string_view heading;
  CellEstimate estimate = nullptr;
  double factor = 1.0;
};

constexpr Column kColumns[] = {
    {"validation accuracy, %", &SweepCell::validation_accuracy, 100.0},
    {"test accuracy, %", &SweepCell::test_accuracy, 100.0},
    {"accuracy gap, points", &SweepCell::accuracy_gap, 100.0},
    {"train loss", &SweepCell::train_loss},
    {"validation loss", &SweepCell::validation_loss},
    {"test loss", &SweepCell::test_loss},
    {"updates to target", &SweepCell::steps_to_target},
    {"epochs to target", &SweepCell::epochs_to_target},
    {"seconds to target", &SweepCell::seconds_to_target},
    {"training seconds", &SweepCell::training_seconds},
    {"samples/s", &SweepCell::samples_per_second},
    {"noise scale", &SweepCell::noise_scale},
    {"sharpness", &SweepCell::sharpness},
};

std::string heading(std::string_view text, bool number = true) {
  return fmt::format("<th scope=\"col\"{}>{}</th>", number ? " class=\"number\"" : "",
                     escape_html(text));
}

/// `order`: the number that sorts it; NaN comes last.
std::string cell(const std::string& text, double order) {
  const std::string key = std::isfinite(order) ? fmt::format(" data-order=\"{}\"", order) : "";
  return fmt::format("<td class=\"number\"{}>{}</td>", key, text);
}

std::string count_cell(std::int64_t count) {
  return cell(grouped(count), static_cast<double>(count));
}

std::string setting_of(const SweepCell& cell, const std::string& heading) {
  for (const auto& [name, value] : cell.settings) {
    if (name == heading) return value;
  }
  return {};
}

/// The headings of all cells' settings, in order.
std::vector<std::string> setting_headings(const SweepResults& results) {
  std::vector<std::string> headings;
  for (const SweepCell& cell : results.cells) {
    for (const auto& [name, value] : cell.settings) {
      if (std::find(headings.begin(), headings.end(), name) == headings.end()) {
        headings.push_back(name);
      }
    }
  }
  return headings;
}

std::string table_head(const SweepResults& results, const std::vector<std::string>& settings) {
  std::string html = "<thead>\n<tr>" + heading("cell", false);
  for (const std::string& setting : settings) html += heading(setting);
  html += heading("seeds done") + heading("diverged");
  if (!results.until.empty()) html += heading("reached");
  for (const Column& column : kColumns) {
    if (any_has(results, column.estimate)) html += heading(column.heading);
  }
  return html + "</tr>\n</thead>\n";
}

std::string table_row(const SweepResults& results, const SweepCell& row,
                      const std::vector<std::string>& settings) {
  const bool best = std::find(results.best_cells.begin(), results.best_cells.end(), row.index) !=
                    results.best_cells.end();
  std::string html = fmt::format(
      "<tr{}><th scope=\"row\" data-order=\"{}\">{}</th>", best ? " class=\"chosen\"" : "",
      row.index, escape_html(row.name.empty() ? fmt::format("cell {}", row.index) : row.name));
  for (const std::string& setting : settings) {
    html += fmt::format("<td class=\"number\">{}</td>", escape_html(setting_of(row, setting)));
  }
  html += cell(fmt::format("{} of {}", grouped(row.done + row.diverged), row.runs.size()),
               static_cast<double>(row.done + row.diverged)) +
          count_cell(row.diverged);
  if (!results.until.empty()) html += count_cell(row.reached);
  for (const Column& column : kColumns) {
    if (!any_has(results, column.estimate)) continue;
    const Estimate& estimate = row.*column.estimate;
    html += cell(estimate_text(estimate, column.factor), estimate.value);
  }
  return html + "</tr>\n";
}

using PerClass = std::vector<double> SweepRun::*;

/// Means over the runs that have them; empty: none.
std::vector<double> class_means(const SweepCell& cell, PerClass member) {
  std::vector<double> sums;
  double runs = 0.0;
  for (const SweepRun& run : cell.runs) {
    const std::vector<double>& values = run.*member;
    if (values.empty()) continue;
    sums.resize(std::max(sums.size(), values.size()));
    for (std::size_t index = 0; index < values.size(); ++index) sums[index] += values[index];
    runs += 1.0;
  }
  for (double& sum : sums) sum /= runs;
  return sums;
}

/// A line a class, a column a cell; the lower the share, the deeper its ground.
std::string class_table(const std::vector<const SweepCell*>& cells, std::string_view caption,
                        PerClass member) {
  std::vector<std::vector<double>> columns;
  std::size_t classes = 0;
  std::string head = heading("class", false);
  double low = 1.0;
  for (const SweepCell* one : cells) {
    columns.push_back(class_means(*one, member));
    classes = std::max(classes, columns.back().size());
    for (const double value : columns.back()) low = std::fmin(low, value);
    head += heading(one->name);
  }
  std::string rows;
  for (std::size_t index = 0; index < classes; ++index) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th>", index);
    for (const std::vector<double>& column : columns) {
      const double value = index < column.size() ? column[index] : std::nan("");
      const double depth = low < 1.0 && std::isfinite(value) ? (1.0 - value) / (1.0 - low) : 0.0;
      rows += fmt::format(
          "<td style=\"--tint: rgb(200 80 10 / {:.0f}%)\">{}</td>", 45.0 * depth,
          std::isfinite(value) ? fmt::format("{:.1f}", 100.0 * value) : number_text(value));
    }
    rows += "</tr>\n";
  }
  return fmt::format(
      "<div class=\"scroll\" role=\"region\" aria-label=\"{0}\" tabindex=\"0\">\n"
      "<table class=\"runs heat\">\n<caption>{0}</caption>\n<thead>\n<tr>{1}</tr>\n</thead>\n"
      "<tbody>\n{2}</tbody>\n</table>\n</div>\n",
      caption, head, rows);
}

}  // namespace

std::string cells_section(const SweepResults& results) {
  if (results.cells.empty()) return {};
  const std::vector<std::string> settings = setting_headings(results);
  std::string rows;
  for (const SweepCell& row : results.cells) rows += table_row(results, row, settings);
  return fmt::format(
      "<h2>All cells</h2>\n<p class=\"quiet\">Means over seeds ± half the 95 % interval.{}</p>\n"
      "<div class=\"scroll\" role=\"region\" aria-label=\"All cells\" tabindex=\"0\">\n"
      "<table class=\"runs cells\" id=\"cells\">\n<caption>Results of each cell</caption>\n{}"
      "<tbody>\n{}</tbody>\n</table>\n</div>\n",
      results.best_cells.empty() || results.best_cells.size() == results.cells.size()
          ? ""
          : " Bold: the best learning rate for its batch size.",
      table_head(results, settings), rows);
}

std::string classes_section(const SweepResults& results) {
  std::vector<const SweepCell*> cells;
  for (const SweepCell* cell : chosen_cells(results)) {
    if (!class_means(*cell, &SweepRun::recall).empty()) cells.push_back(cell);
  }
  if (cells.empty()) return {};
  return "<h2>By class</h2>\n<details>\n<summary>Precision and recall of each class of the test "
         "samples, in %</summary>\n" +
         class_table(cells, "Recall, %", &SweepRun::recall) +
         class_table(cells, "Precision, %", &SweepRun::precision) + "</details>\n";
}

std::string_view sort_script() {
  // Without it the table stands in the order of the sweep.
  return R"js(
(function () {
  var table = document.getElementById("cells");
  if (!table) return;
  var body = table.tBodies[0];
  var heads = Array.from(table.tHead.rows[0].cells);
  function key(row, column) {
    var cell = row.cells[column];
    var text = cell.dataset.order === undefined ? cell.textContent.trim() : cell.dataset.order;
    return text === "" || text === "\u2013" ? null : text;
  }
  function compare(left, right) {
    var difference = Number(left) - Number(right);
    return isNaN(difference) ? left.localeCompare(right) : difference;
  }
  function sort(column) {
    var down = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach(function (head) { head.removeAttribute("aria-sort"); });
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    Array.from(body.rows).sort(function (one, other) {
      var left = key(one, column), right = key(other, column);
      if (left === null || right === null) return (left === null) - (right === null);
      return down ? compare(right, left) : compare(left, right);
    }).forEach(function (row) { body.appendChild(row); });
  }
  heads.forEach(function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", function () { sort(column); });
    head.replaceChildren(button);
  });
})();
)js";
}

}  // namespace batchwise
