#include "engine/report/run_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/error.h"
#include "engine/report/html.h"
#include "engine/report/measurement_charts.h"
#include "engine/report/metrics_curves.h"
#include "engine/report/svg.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

/// What docs/numerics.md promises at levels 1, 2, ...
constexpr std::array<std::string_view, 6> kLevels = {
    "the same command gives the same bits, run after run",
    "a sample's prediction has the same bits whatever the batch it is in",
    "evaluation gives the same bits at any evaluation batch size",
    "a weight update has the same bits however its batch is split into micro-batches",
    "the same for any number of ranks",
    "the same bits on cpu, emulated and cuda",
};

struct Group {
  std::string_view caption;
  std::vector<std::string_view> keys;
};

/// The facts by subject; a key that is in none of them is listed under "Other".
const std::vector<Group>& groups() {
  static const std::vector<Group> all = {
      {"Result",
       {"test_accuracy", "test_loss", "validation_accuracy", "validation_loss", "train_accuracy",
        "train_loss", "best_epoch", "stopped_by", "weights_sha256"}},
      {"Training",
       {"batch_size", "micro_batch_size", "final_batch_size", "learning_rate", "epochs", "steps",
        "skipped_updates", "seconds", "training_seconds", "samples_per_second"}},
      {"Model and data",
       {"experiment", "parameters", "training_samples", "validation_samples", "test_samples"}},
      {"Where and how", {"device", "precision", "numerics", "numerics_levels", "seed", "version"}},
  };
  return all;
}

/// Shown in sections of their own.
constexpr std::array<std::string_view, 5> kKeysElsewhere = {"planned_bytes", "peak_bytes", "memory",
                                                            "until", "classes"};

template <class Keys>
bool contains(const Keys& keys, std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

const Json& value_of(const Json& summary, std::string_view key) {
  static const Json missing;
  const auto found = summary.find(key);
  return found == summary.end() ? missing : *found;
}

/// As HTML. Strings as they are, objects and lists as JSON.
std::string value_text(const Json& value) {
  if (value.is_null()) return number_text(std::numeric_limits<double>::quiet_NaN());
  if (value.is_string()) return escape_html(value.get<std::string>());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 62) {
    return value.dump();
  }
  if (value.is_number_integer()) return grouped(value.get<std::int64_t>());
  if (value.is_number()) {  // as it was recorded for whoever hovers or copies the page
    return fmt::format("<data value=\"{0}\" title=\"{0}\">{1}</data>", value.dump(),
                       number_text(value.get<double>()));
  }
  return escape_html(value.dump());
}

std::string text_or_dash(const Json& summary, std::string_view key) {
  return value_text(value_of(summary, key));
}

std::string label_of(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return escape_html(key);
}

std::string levels_text(const Json& levels) {
  if (!levels.is_array() || levels.empty()) return value_text(Json());
  std::vector<std::string> names;
  for (const Json& level : levels) names.push_back(value_text(level));
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Whether training.until was reached; empty without a target.
std::string target_fact(const Json& summary) {
  const Json& until = value_of(summary, "until");
  if (!until.is_object()) return {};
  const Json& reached = value_of(until, "reached");
  const bool yes = reached.is_boolean() && reached.get<bool>();
  return fmt::format(
      "<div><dt>target</dt><dd>{}</dd><dd>{}</dd></div>\n",
      yes ? fmt::format("reached after {} updates", text_or_dash(summary, "steps")) : "not reached",
      text_or_dash(until, "target"));
}

std::string headline(const Json& summary, std::string_view experiment) {
  const std::array<std::pair<std::string_view, std::string>, 5> facts = {{
      {"test accuracy", text_or_dash(summary, "test_accuracy")},
      {"batch size", text_or_dash(summary, "batch_size")},
      {"device", text_or_dash(summary, "device")},
      {"numerics", text_or_dash(summary, "numerics")},
      {"numerics levels", levels_text(value_of(summary, "numerics_levels"))},
  }};
  std::string html = fmt::format("<h1>{}</h1>\n<dl class=\"headline\">\n", escape_html(experiment));
  for (const auto& [name, value] : facts) {
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
  }
  return html + target_fact(summary) + "</dl>\n";
}

std::string levels_section(const Json& summary) {
  const Json& levels = value_of(summary, "numerics_levels");
  std::string items;
  for (std::size_t level = 1; level <= kLevels.size(); ++level) {
    if (!levels.is_array() || std::find(levels.begin(), levels.end(), Json(level)) == levels.end())
      continue;
    items += fmt::format("<li value=\"{}\">{}</li>\n", level, kLevels[level - 1]);
  }
  if (items.empty()) return {};
  return "<h2>What the numerics levels promise</h2>\n<ol>\n" + items + "</ol>\n";
}

Line line_of(std::string name, const ThinnedCurve& curve) {
  return {.name = std::move(name), .points = curve.points()};
}

std::vector<Marker> batch_size_markers(const MetricsCurves& curves) {
  std::vector<Marker> markers;
  for (const BatchSizeChange& change : curves.batch_size_changes) {
    markers.push_back({.x = change.step, .label = "batch " + grouped(change.batch_size)});
  }
  return markers;
}

std::string loss_note(const ThinnedCurve& loss) {
  std::string note;
  if (loss.group_size() > 1) {
    note = fmt::format("training: mean and range of {} steps a point", grouped(loss.group_size()));
  }
  if (loss.missing() > 0) {
    note += fmt::format("{}{} steps without a finite loss", note.empty() ? "" : "; ",
                        grouped(loss.missing()));
  }
  return note;
}

std::string charts_section(const MetricsCurves& curves) {
  const Axis steps = {.label = "step", .whole_numbers = true};
  const Axis epochs = {.label = "epoch", .whole_numbers = true};
  const std::vector<Marker> growth = batch_size_markers(curves);
  const Chart charts[] = {
      {.title = "Loss",
       .note = loss_note(curves.train_loss),
       .x = steps,
       .y = {.scale = Scale::automatic},
       .lines = {line_of("training", curves.train_loss),
                 line_of("validation", curves.validation_loss)},
       .markers = growth},
      {.title = "Accuracy",
       .x = epochs,
       .lines = {line_of("training", curves.train_accuracy),
                 line_of("validation", curves.validation_accuracy)}},
      {.title = "Learning rate",
       .x = steps,
       .y = {.from_zero = true},
       .lines = {line_of("learning rate", curves.learning_rate)},
       .markers = growth},
      {.title = "Samples per second",
       .x = epochs,
       .y = {.from_zero = true},
       .lines = {line_of("samples per second", curves.samples_per_second)}},
  };
  std::string html = "<h2>Curves</h2>\n<div class=\"grid\">\n";
  for (const Chart& chart : charts) html += to_html(chart);
  html += "</div>\n";
  if (curves.unreadable_lines > 0) {
    html += fmt::format("<p>{} lines of metrics.jsonl could not be read and are left out.</p>\n",
                        grouped(curves.unreadable_lines));
  }
  return html;
}

std::string facts_table(std::string_view caption, const std::vector<std::string>& keys,
                        const Json& summary) {
  std::string html =
      fmt::format("<table class=\"facts\">\n<caption>{}</caption>\n<tbody>\n", caption);
  for (const std::string& key : keys) {
    const std::string value =
        key == "numerics_levels" ? levels_text(summary[key]) : value_text(summary[key]);
    html += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", label_of(key), value);
  }
  return html + "</tbody>\n</table>\n";
}

std::string facts_section(const Json& summary) {
  std::string tables;
  std::vector<std::string> shown(kKeysElsewhere.begin(), kKeysElsewhere.end());
  for (const Group& group : groups()) {
    std::vector<std::string> keys;
    for (const std::string_view key : group.keys) {
      if (summary.contains(key)) keys.emplace_back(key);
    }
    if (!keys.empty()) tables += facts_table(group.caption, keys, summary);
    shown.insert(shown.end(), keys.begin(), keys.end());
  }
  std::vector<std::string> others;
  for (const auto& item : summary.items()) {
    if (!contains(shown, item.key())) others.push_back(item.key());
  }
  if (!others.empty()) tables += facts_table("Other", others, summary);
  return "<h2>Facts</h2>\n<div class=\"grid\">\n" + tables + "</div>\n";
}

std::string total_bytes_text(const Json& bytes) {
  if (!bytes.is_number_integer()) return value_text(bytes);
  return fmt::format("{} ({} bytes)", bytes_text(bytes.get<std::int64_t>()), value_text(bytes));
}

std::string memory_table(const std::vector<Share>& shares) {
  std::int64_t total = 0;
  for (const Share& share : shares) total += share.size;
  std::string html =
      "<div class=\"scroll\" role=\"region\" aria-label=\"Memory by category\" tabindex=\"0\">\n"
      "<table>\n<caption>Memory by category</caption>\n<thead>\n<tr><th scope=\"col\">category</th>"
      "<th scope=\"col\" class=\"number\">bytes</th><th scope=\"col\" class=\"number\">size</th>"
      "<th scope=\"col\" class=\"number\">share</th></tr>\n</thead>\n<tbody>\n";
  for (std::size_t index = 0; index < shares.size(); ++index) {
    const Share& share = shares[index];
    const double percent =
        total > 0 ? 100.0 * static_cast<double>(share.size) / static_cast<double>(total) : 0.0;
    html += fmt::format(
        "<tr><th scope=\"row\">{}{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>"
        "<td class=\"number\">{:.1f} %</td></tr>\n",
        swatch(index), label_of(share.name), grouped(share.size), bytes_text(share.size), percent);
  }
  return html + "</tbody>\n</table>\n</div>\n";
}

std::string memory_section(const Json& summary) {
  std::vector<Share> shares;
  const Json& memory = value_of(summary, "memory");
  if (memory.is_object()) {
    for (const auto& item : memory.items()) {
      if (!item.value().is_number_integer()) continue;
      shares.push_back({.name = item.key(), .size = item.value().get<std::int64_t>()});
    }
  }
  std::string html = fmt::format(
      "<h2>Memory</h2>\n<p>Planned before anything was allocated: {}. Held at most: {}.</p>\n",
      total_bytes_text(value_of(summary, "planned_bytes")),
      total_bytes_text(value_of(summary, "peak_bytes")));
  if (shares.empty()) return html;
  return html + stacked_bar("Share of each category of memory, as in the table below", shares) +
         memory_table(shares);
}

/// A share as a percentage; a dash where the class has none.
std::string share_cell(const Json& each, std::string_view key) {
  const Json& value = value_of(each, key);
  return fmt::format(
      "<td class=\"number\">{}</td>",
      value.is_number() ? fmt::format("{:.2f}", 100.0 * value.get<double>()) : value_text(Json()));
}

std::string classes_section(const Json& summary) {
  const Json& classes = value_of(summary, "classes");
  if (!classes.is_array() || classes.empty()) return {};
  std::string rows;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const Json& each = classes[label];
    if (!each.is_object()) continue;
    rows += fmt::format("<tr><th scope=\"row\">{}</th>{}{}{}<td class=\"number\">{}</td></tr>\n",
                        label, share_cell(each, "precision"), share_cell(each, "recall"),
                        share_cell(each, "f1"), text_or_dash(each, "samples"));
  }
  return "<h2>By class</h2>\n<details>\n<summary>Precision and recall of each class of the test "
         "samples</summary>\n<div class=\"scroll\" role=\"region\" aria-label=\"By class\" "
         "tabindex=\"0\">\n<table class=\"runs\">\n<caption>Precision, recall and F1 in %</caption>"
         "\n<thead>\n<tr><th scope=\"col\">class</th><th scope=\"col\" class=\"number\">precision"
         "</th><th scope=\"col\" class=\"number\">recall</th><th scope=\"col\" class=\"number\">F1"
         "</th><th scope=\"col\" class=\"number\">samples</th></tr>\n</thead>\n<tbody>\n" +
         rows + "</tbody>\n</table>\n</div>\n</details>\n";
}

/// One word of a POSIX shell.
std::string shell_word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("/._-:+=,@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char character : text) {
    quoted += character == '\'' ? "'\\''" : std::string(1, character);
  }
  return quoted + "'";
}

std::string option(const Json& summary, std::string_view key, std::string_view name) {
  const Json& value = value_of(summary, key);
  if (value.is_null()) return {};
  return fmt::format(" {} {}", name,
                     shell_word(value.is_string() ? value.get<std::string>() : value.dump()));
}

std::string repeat_section(const Json& summary, const std::filesystem::path& run) {
  const std::string folder = shell_word(run.string());
  const std::string commands = fmt::format(
      "batchwise train {}{}{} --out {}\nbatchwise evaluate {}\n",
      shell_word((run / "experiment.toml").string()), option(summary, "seed", "--seed"),
      option(summary, "device", "--device"), shell_word(run.string() + "-repeated"), folder);
  return fmt::format(
      "<h2>How to repeat it</h2>\n"
      "<p>With batchwise {}. The first command trains the same experiment again, with every "
      "default "
      "written out; where the two runs have the same weights_sha256 they have the same weights. "
      "The "
      "second evaluates this run. A run that began with --init needs the same file again.</p>\n"
      "<pre><code>{}</code></pre>\n",
      text_or_dash(summary, "version"), escape_html(commands));
}

Json parsed_summary(std::string_view text) {
  Json summary = Json::parse(text, nullptr, false);
  if (!summary.is_object()) {
    throw InputError(
        "the summary of the run is not a JSON object; expected what train writes to "
        "summary.json");
  }
  return summary;
}

}  // namespace

std::string run_report(const std::filesystem::path& metrics_file, std::string_view summary_json,
                       const Measurements* measurements) {
  const Json summary = parsed_summary(summary_json);
  const MetricsCurves curves = read_metrics_curves(metrics_file);
  const std::vector<NoiseWindow> noise =
      noise_scale_over_training(read_gradient_norms(metrics_file));
  const Json& name = value_of(summary, "experiment");
  const std::string experiment = name.is_string() ? name.get<std::string>() : "A training run";
  return html_page(experiment, headline(summary, experiment) + charts_section(curves) +
                                   measurements_html(noise, measurements) + facts_section(summary) +
                                   classes_section(summary) + memory_section(summary) +
                                   levels_section(summary) +
                                   repeat_section(summary, metrics_file.parent_path()));
}

}  // namespace batchwise
