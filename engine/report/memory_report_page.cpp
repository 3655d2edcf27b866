// The memory report as a page of HTML, and its plots as an SVG document.
#include <fmt/format.h>

#include <algorithm>

#include "engine/report/html.h"
#include "engine/report/memory_report_parts.h"

namespace batchwise {
namespace {

std::string title_of(const MemoryReport& report) { return "Memory of " + report.experiment; }

/// A picture of its own within a page; the id tells its texts from those of others.
std::string figure(const Plot& plot, std::string_view id) {
  return fmt::format(
      "<figure>\n<figcaption>{0}</figcaption>\n<svg class=\"chart\" viewBox=\"0 0 {1:.0f} "
      "{2:.0f}\" role=\"img\" aria-labelledby=\"{3}-title {3}-text\">\n<title id=\"{3}-title\">{0}"
      "</title>\n<desc id=\"{3}-text\">{4}</desc>\n{5}</svg>\n</figure>\n",
      escape_html(plot.title), kPlotWidth, plot.height, id, escape_html(plot.description),
      plot.shapes);
}

std::string cell(std::string_view text) {
  return fmt::format("<td class=\"number\">{}</td>", text);
}
std::string cell(std::int64_t value) { return cell(grouped(value)); }

/// A table in a container that scrolls, by the keyboard too. The first head is that of the rows,
/// the last `texts` are not of numbers.
std::string table(std::string_view caption, const std::vector<std::string>& heads,
                  std::string_view lines, std::size_t texts = 0) {
  std::string html = fmt::format(
      "<div class=\"scroll\" role=\"region\" aria-label=\"{0}\" tabindex=\"0\">\n"
      "<table class=\"runs\">\n<caption>{0}</caption>\n<thead>\n<tr>",
      escape_html(caption));
  for (std::size_t index = 0; index < heads.size(); ++index) {
    html += fmt::format("<th scope=\"col\"{}>{}</th>",
                        index == 0 || index + texts >= heads.size() ? "" : " class=\"number\"",
                        escape_html(heads[index]));
  }
  return fmt::format("{}</tr>\n</thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n", html, lines);
}

std::string row_head(std::string_view text) {
  return fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(text));
}

std::string fact(std::string_view name, const std::string& value, const std::string& note = {}) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd>{}</div>\n", name, escape_html(value),
                     note.empty() ? "" : fmt::format("<dd>{}</dd>", escape_html(note)));
}

/// The answer first: the largest batch, or the bytes at the experiment's batch size.
std::string headline(const MemoryReport& report) {
  std::string facts;
  std::string budget;
  if (report.budget_bytes) {
    const std::string within = fmt::format("within {}", bytes_text(*report.budget_bytes));
    facts += fact("largest training batch", batch_text(report.largest_training_batch), within);
    facts += fact("largest inference batch", batch_text(report.largest_inference_batch), within);
    budget = fmt::format(" {}.", largest_sentence(report));
    budget[1] = 'L';
  }
  facts += fact(fmt::format("memory at batch {}", grouped(report.timeline.batch_size)),
                bytes_text(report.planned_bytes),
                fmt::format("{} bytes", grouped(report.planned_bytes)));
  return fmt::format(
      "<h1>{}</h1>\n<p class=\"quiet\">Planned for {}, {}, {}, {} trainable parameters.{}</p>\n"
      "<dl class=\"headline\">\n{}</dl>\n",
      escape_html(title_of(report)), escape_html(report.device), escape_html(report.precision),
      escape_html(report.optimizer), grouped(report.parameters), escape_html(budget), facts);
}

std::string measured_cells(const MemoryRow& row) {
  if (!row.measured) return cell("") + cell("") + cell("") + cell("");
  const auto& driver = row.measured->driver_bytes;
  return cell(row.measured->allocator_bytes) + (driver ? cell(*driver) : cell("")) +
         cell(signed_grouped(allocator_difference(row))) +
         cell(number_text(1e3 * row.measured->seconds_per_step));
}

std::string batch_line(const MemoryReport& report, const MemoryRow& row, bool measured,
                       std::size_t columns) {
  std::string line = row_head(grouped(row.batch_size)) + cell(row.micro_batch_size);
  if (!row.refused.empty()) {
    return fmt::format("{}<td colspan=\"{}\">no plan: {}</td></tr>\n", line, columns - 2,
                       escape_html(row.refused));
  }
  const std::int64_t total = row.training.total_bytes();
  line += cell(total);
  if (report.budget_bytes) line += cell(above_budget(report, total) ? "above" : "within");
  for (const MemoryCategory category : present_categories(report)) {
    line += cell(row.training[category]);
  }
  line +=
      cell(row.training.host_bytes) + cell(row.activation_lower_bound) + cell(row.inference_bytes);
  return line + (measured ? measured_cells(row) : "") + "</tr>\n";
}

std::string batches_section(const MemoryReport& report) {
  const bool measured = std::any_of(report.rows.begin(), report.rows.end(),
                                    [](const MemoryRow& row) { return row.measured.has_value(); });
  std::vector<std::string> heads = {"batch", "micro-batch", "total"};
  if (report.budget_bytes) heads.emplace_back("budget");
  for (const MemoryCategory category : present_categories(report)) {
    heads.emplace_back(name_of(category));
  }
  heads.insert(heads.end(), {"on the host", "activations, lower bound", "inference"});
  if (measured) {
    heads.insert(heads.end(), {"allocated, measured", "driver, measured", "planned less allocated",
                               "milliseconds a step"});
  }
  std::string lines;
  for (const MemoryRow& row : report.rows) {
    lines += batch_line(report, row, measured, heads.size());
  }
  return "<h2>By batch size</h2>\n" + table("Bytes at each batch size", heads, lines);
}

std::string layers_section(const MemoryReport& report) {
  if (report.layers.empty()) return {};
  std::string lines;
  for (const LayerMemory& layer : report.layers) {
    lines += row_head(layer.layer) + cell(layer.parameters) + cell(layer.gradients) +
             cell(layer.optimizer_state) + cell(layer.kept_activations) +
             cell(layer.temporary_activations) + "</tr>\n";
  }
  return fmt::format(
      "<h2>By layer</h2>\n<p>{}</p>\n{}", kSharedBytes,
      table(fmt::format("Bytes of each layer at batch {}", grouped(report.timeline.batch_size)),
            {"layer", "parameters", "gradients", "optimizer state", "kept activations",
             "temporary activations"},
            lines));
}

std::string levers_section(const MemoryReport& report) {
  if (report.levers.empty()) return {};
  std::string lines;
  for (const Lever& lever : report.levers) {
    lines += row_head(lever.name) + cell(lever.bytes) +
             cell(signed_grouped(lever.bytes - report.planned_bytes)) +
             (lever.largest_batch_size > 0 ? cell(lever.largest_batch_size) : cell("")) +
             fmt::format("<td class=\"words\">{}</td><td class=\"words\">{}</td></tr>\n",
                         lever.how.empty() ? "not in this version" : escape_html(lever.how),
                         escape_html(lever.consequence));
  }
  return "<h2>What could be given up</h2>\n" +
         table(
             fmt::format("Bytes at batch {} with each change", grouped(report.timeline.batch_size)),
             {"change", "bytes", "against the present plan", "largest batch", "how", "consequence"},
             lines, 2);
}

std::string formula_section(const MemoryReport& report) {
  if (report.formula.empty()) return {};
  std::string lines;
  for (const std::string& line : report.formula) lines += escape_html(line) + "\n";
  return "<h2>Formula</h2>\n<pre><code>" + lines + "</code></pre>\n";
}

/// The plot below its title, moved down by `top`.
std::string stacked(const Plot& plot, double top) {
  return fmt::format(
      "<g transform=\"translate(16 {:.0f})\">\n<text class=\"strong\" x=\"0\" y=\"24\">{}</text>\n"
      "<g transform=\"translate(0 40)\">\n{}</g>\n</g>\n",
      top, escape_html(plot.title), plot.shapes);
}

}  // namespace

std::string to_svg(const MemoryReport& report) {
  const Plot bars = batch_size_plot(report);
  const Plot timeline = timeline_plot(report.timeline);
  const double second = bars.height + 64.0;
  const double height = second + timeline.height + 64.0;
  const double width = kPlotWidth + 32.0;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" style=\"max-width: 60rem\" "
      "font-family=\"system-ui, sans-serif\" role=\"img\" aria-labelledby=\"title text\">\n"
      "<title id=\"title\">{2}</title>\n<desc id=\"text\">{3} {4}</desc>\n<style>{5}</style>\n"
      "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n{6}{7}</svg>\n",
      width, height, escape_html(title_of(report)), escape_html(bars.description),
      escape_html(timeline.description), report_style(), stacked(bars, 0.0),
      stacked(timeline, second));
}

std::string to_page(const MemoryReport& report) {
  return html_page(title_of(report), headline(report) + "<h2>Plots</h2>\n<div class=\"grid\">\n" +
                                         figure(batch_size_plot(report), "batches") +
                                         figure(timeline_plot(report.timeline), "timeline") +
                                         "</div>\n" + batches_section(report) +
                                         layers_section(report) + levers_section(report) +
                                         formula_section(report));
}

}  // namespace batchwise
