// The words of a sweep's report: the answer, the comparisons, and how to repeat it.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "engine/report/html.h"
#include "engine/report/sweep_report_parts.h"

namespace batchwise {
namespace {

constexpr std::size_t kMostFailures = 10;

std::string name_of(const SweepCell& cell) {
  return cell.name.empty() ? fmt::format("batch {}", grouped(cell.batch_size)) : cell.name;
}

/// "above 0.4 points"; of steps "beyond a factor of 1.2"
std::string bound_text(const CellComparison& comparison) {
  const double bound = comparison.result.not_above;
  if (comparison.measure == kStepsToTargetMeasure) {
    return fmt::format("beyond a factor of {:.3g}", std::exp(bound));
  }
  return fmt::format("above {:.2g} points", 100.0 * bound);
}

const SweepCell* cell_of(const SweepResults& results, int index) {
  for (const SweepCell& cell : results.cells) {
    if (cell.index == index) return &cell;
  }
  return nullptr;
}

/// How many cells do not differ from this one by that measure, and what can be said of the one
/// closest to it: where the largest difference that is possible is smallest.
std::string not_told_apart(const SweepResults& results, int cell, std::string_view measure) {
  std::int64_t count = 0;
  const SweepCell* closest = nullptr;
  const CellComparison* shown = nullptr;
  for (const CellComparison& comparison : results.comparisons) {
    if (comparison.first != cell && comparison.second != cell) continue;
    if (comparison.measure != measure || comparison.differs) continue;
    if (!std::isfinite(comparison.result.not_above)) continue;
    const SweepCell* other =
        cell_of(results, comparison.first == cell ? comparison.second : comparison.first);
    if (other == nullptr) continue;
    ++count;
    if (shown != nullptr && comparison.result.not_above >= shown->result.not_above) continue;
    closest = other;
    shown = &comparison;
  }
  if (closest == nullptr) return {};
  std::string text = fmt::format(" {} is not told apart from it in {}: no difference {}",
                                 name_of(*closest), measure, bound_text(*shown));
  if (const std::int64_t more = shown->result.more_pairs.value_or(0); more > 0) {
    text += fmt::format("; {} more {} would tell", grouped(more), more == 1 ? "seed" : "seeds");
  }
  text[1] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[1])));
  return count > 1 ? fmt::format("{} (nor are {} others).", text, grouped(count - 1)) : text + ".";
}

std::string seeds_text(const SweepCell& cell) {
  return fmt::format("{} {}", grouped(cell.done), cell.done == 1 ? "seed" : "seeds");
}

std::string target_answer(const SweepResults& results) {
  const SweepCell* updates = soonest(results, &SweepCell::steps_to_target);
  if (updates == nullptr) {
    return fmt::format("No cell has reached {} so far. ", results.until);
  }
  std::string text = fmt::format(
      "{} takes the fewest updates to {}: {} ({} of {} seeds reached it).{}", name_of(*updates),
      results.until, estimate_text(updates->steps_to_target), grouped(updates->reached),
      grouped(static_cast<std::int64_t>(updates->runs.size())),
      not_told_apart(results, updates->index, kStepsToTargetMeasure));
  const SweepCell* epochs = soonest(results, &SweepCell::epochs_to_target);
  const SweepCell* seconds = soonest(results, &SweepCell::seconds_to_target);
  if (epochs != nullptr && epochs != updates) {
    text += fmt::format(" Fewest epochs: {}, {}.", name_of(*epochs),
                        estimate_text(epochs->epochs_to_target));
  }
  if (seconds != nullptr && seconds != updates) {
    text += fmt::format(" Least time: {}, {} s.", name_of(*seconds),
                        estimate_text(seconds->seconds_to_target));
  }
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text + " ";
}

std::string accuracy_answer(const SweepResults& results) {
  const SweepCell* best = most_accurate(results);
  if (best == nullptr) return "No run has ended with an accuracy yet.";
  const LeadAccuracy lead = lead_accuracy(results);
  std::string text = fmt::format("{} has the highest {}: {} over {}", name_of(*best), lead.name,
                                 percent_text(best->*lead.estimate), seeds_text(*best));
  if (lead.estimate != &SweepCell::test_accuracy && std::isfinite(best->test_accuracy.value)) {
    text += fmt::format(" (test: {})", percent_text(best->test_accuracy));
  }
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text + "." + not_told_apart(results, best->index, compared_accuracy(results));
}

std::string fact(std::string_view name, const std::string& value, const std::string& note = {}) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd>{}</div>\n", name, escape_html(value),
                     note.empty() ? "" : fmt::format("<dd>{}</dd>", escape_html(note)));
}

std::string state_text(const SweepResults& results) {
  const std::int64_t done = results.runs_done();
  const std::int64_t asked = results.runs_asked();
  if (done >= asked) return {};
  return fmt::format(
      "<p class=\"alert\" role=\"note\"><strong>Partial: {} of {} runs are done.</strong> What "
      "follows is of those, and may change.</p>\n",
      grouped(done), grouped(asked));
}

std::string list(std::string_view classes, const std::vector<std::string>& items) {
  if (items.empty()) return {};
  std::string html = fmt::format("<ul class=\"{}\">\n", classes);
  for (const std::string& item : items) html += fmt::format("<li>{}</li>\n", escape_html(item));
  return html + "</ul>\n";
}

std::vector<std::string> failures(const SweepResults& results) {
  std::vector<std::string> all;
  for (const SweepCell& cell : results.cells) {
    for (const SweepRun& run : cell.runs) {
      if (run.state != RunState::diverged) continue;
      all.push_back(fmt::format("{}, seed {}, diverged{}{}", name_of(cell), run.seed,
                                run.failure.empty() ? "" : ": ", run.failure));
    }
  }
  if (all.size() > kMostFailures) {
    const std::size_t more = all.size() - kMostFailures;
    all.resize(kMostFailures);
    all.push_back(fmt::format("and {} more", more));
  }
  return all;
}

std::string row(std::string_view name, const std::string& value) {
  if (value.empty()) return {};
  return fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", name, escape_html(value));
}

std::string seeds_list(const SweepResults& results) {
  std::string text;
  for (const std::uint64_t seed : results.seeds) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", seed);
  }
  return text;
}

}  // namespace

std::string sweep_headline(const SweepResults& results) {
  const std::int64_t done = results.runs_done();
  const std::int64_t asked = results.runs_asked();
  std::int64_t diverged = 0;
  for (const SweepCell& cell : results.cells) diverged += cell.diverged;
  std::string facts =
      fact("runs",
           done == asked ? grouped(done) : fmt::format("{} of {}", grouped(done), grouped(asked)),
           diverged > 0 ? fmt::format("{} diverged", grouped(diverged)) : "");
  facts += fact(results.searched ? "trials" : "cells", std::to_string(results.cells.size()));
  facts += fact("seeds", std::to_string(results.seeds.size()));
  if (!results.compared_at.empty()) facts += fact("compared at", results.compared_at);
  if (!results.device.empty()) facts += fact("device", results.device, results.hardware);
  const std::string target = results.until.empty() ? "" : target_answer(results);
  return fmt::format(
      "<h1>{}</h1>\n{}<p class=\"answer\">{}{}</p>\n<dl class=\"headline\">\n{}</dl>\n{}",
      escape_html(results.name.empty() ? "A sweep" : results.name), state_text(results),
      escape_html(target), escape_html(accuracy_answer(results)), facts,
      list("sentences quiet", results.notes));
}

std::string comparisons_section(const SweepResults& results) {
  std::vector<std::string> sentences;
  for (const CellComparison& comparison : results.comparisons) {
    if (!comparison.sentence.empty()) sentences.push_back(comparison.sentence);
  }
  std::string html;
  if (!sentences.empty()) {
    html +=
        "<h2>Comparisons</h2>\n<p class=\"quiet\">Paired over the same seeds; p-values are "
        "adjusted for all comparisons of the sweep (Holm).</p>\n" +
        list("sentences", sentences);
  }
  const std::string diverged = list("sentences", failures(results));
  return diverged.empty() ? html : html + "<h2>Runs that diverged</h2>\n" + diverged;
}

std::string repeat_section(const SweepResults& results) {
  const std::string rows =
      row("version", results.version) + row("seeds", seeds_list(results)) +
      row("compared at", results.compared_at) + row("target", results.until) +
      row("resolution", results.resolution) + row("device", results.device) +
      row("hardware", results.hardware) + row("precision", results.precision) +
      row("numerics", results.numerics) +
      (results.training_samples > 0 ? row("training samples", grouped(results.training_samples))
                                    : "") +
      (results.parameters > 0 ? row("parameters", grouped(results.parameters)) : "");
  std::string html = "<h2>How to repeat it</h2>\n";
  if (!results.command.empty()) {
    html += "<pre><code>" + escape_html(results.command) + "</code></pre>\n";
  }
  return rows.empty() ? html
                      : html +
                            "<table class=\"facts\">\n<caption>Settings of all runs</caption>\n"
                            "<tbody>\n" +
                            rows + "</tbody>\n</table>\n";
}

}  // namespace batchwise
