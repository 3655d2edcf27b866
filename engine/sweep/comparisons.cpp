#include "engine/sweep/comparisons.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

namespace batchwise {
namespace {

constexpr double kLevel = 1.0 - kConfidence;

/// What is compared: a figure of a run, NaN where it has none.
struct Measure {
  std::string name;
  double (*of)(const SweepRun&);
};

bool any_run(const SweepResults& results, double SweepRun::*member) {
  for (const SweepCell& cell : results.cells) {
    for (const SweepRun& run : cell.runs) {
      if (std::isfinite(run.*member)) return true;
    }
  }
  return false;
}

Measure measure_of(const SweepResults& results) {
  if (!results.until.empty()) {
    return {"steps to target", [](const SweepRun& run) {
              return run.reached ? std::log(static_cast<double>(run.steps)) : kUnknown;
            }};
  }
  if (any_run(results, &SweepRun::test_accuracy)) {
    return {"test accuracy", [](const SweepRun& run) { return run.test_accuracy; }};
  }
  return {"validation accuracy", [](const SweepRun& run) { return run.validation_accuracy; }};
}

PairedComparison compare(const SweepCell& first, const SweepCell& second, const Measure& measure) {
  std::vector<double> of_first, of_second;
  for (std::size_t seed = 0; seed < first.runs.size() && seed < second.runs.size(); ++seed) {
    const double left = measure.of(first.runs[seed]);
    const double right = measure.of(second.runs[seed]);
    if (!std::isfinite(left) || !std::isfinite(right)) continue;
    of_first.push_back(left);
    of_second.push_back(right);
  }
  return compare_paired(of_first, of_second);
}

/// "by 1.2 points (95 % interval 0.9 to 1.5)", or as a factor for logarithms.
std::string sentence_of(const CellComparison& comparison, const SweepCell& first,
                        const SweepCell& second) {
  const PairedComparison& result = comparison.result;
  const Estimate& difference = result.difference;
  const bool logarithms = comparison.measure == "steps to target";
  if (difference.count < 2) {
    return fmt::format("{} and {}: {} seed{} in common, too few to compare", first.name,
                       second.name, difference.count, difference.count == 1 ? "" : "s");
  }
  if (comparison.differs) {
    if (logarithms) {
      return fmt::format("{} takes {:.2f} times the steps of {} (95 % interval {:.2f} to {:.2f})",
                         second.name, std::exp(difference.value), first.name,
                         std::exp(difference.low), std::exp(difference.high));
    }
    return fmt::format("{} is {} {} by {:.2f} points (95 % interval {:.2f} to {:.2f})", second.name,
                       difference.value > 0 ? "above" : "below", first.name,
                       std::abs(difference.value) * 100,
                       std::min(std::abs(difference.low), std::abs(difference.high)) * 100,
                       std::max(std::abs(difference.low), std::abs(difference.high)) * 100);
  }
  const std::string bound =
      logarithms ? fmt::format("beyond a factor of {:.2f}", std::exp(result.not_above))
                 : fmt::format("above {:.2f} points", result.not_above * 100);
  std::string text =
      fmt::format("no difference {} between {} and {}", bound, first.name, second.name);
  if (result.more_pairs && *result.more_pairs > 0) {
    const std::string found = logarithms
                                  ? fmt::format("a factor of {:.2f}", std::exp(difference.value))
                                  : fmt::format("{:.2f} points", std::abs(difference.value) * 100);
    text += fmt::format("; {} more seed{} would tell, if the {} found are real", *result.more_pairs,
                        *result.more_pairs == 1 ? "" : "s", found);
  }
  if (result.differs) {
    text += fmt::format(
        "; alone it would be called one (p = {:.2g}), among all comparisons of the "
        "sweep it is not (p = {:.2g})",
        result.p_value, comparison.adjusted_p);
  }
  return text;
}

}  // namespace

std::vector<CellComparison> compare_cells(const SweepResults& results) {
  const Measure measure = measure_of(results);
  const auto cell = [&](int index) -> const SweepCell& {
    return results.cells[static_cast<std::size_t>(index - 1)];
  };
  std::set<std::int64_t> sizes;
  for (const int index : results.best_cells) sizes.insert(cell(index).batch_size);
  std::vector<CellComparison> comparisons;
  std::vector<double> p_values;
  for (std::size_t left = 0; left < results.best_cells.size(); ++left) {
    for (std::size_t right = left + 1; right < results.best_cells.size(); ++right) {
      const int first = results.best_cells[left];
      const int second = results.best_cells[right];
      if (sizes.size() > 1 && cell(first).group != cell(second).group) continue;
      CellComparison comparison{.first = first,
                                .second = second,
                                .measure = measure.name,
                                .result = compare(cell(first), cell(second), measure),
                                .sentence = {}};
      p_values.push_back(comparison.result.p_value);
      comparisons.push_back(std::move(comparison));
    }
  }
  const std::vector<double> adjusted = holm_adjusted(p_values);
  for (std::size_t index = 0; index < comparisons.size(); ++index) {
    CellComparison& comparison = comparisons[index];
    comparison.adjusted_p = adjusted[index];
    comparison.differs = adjusted[index] < kLevel;
    comparison.sentence = sentence_of(comparison, cell(comparison.first), cell(comparison.second));
  }
  return comparisons;
}

}  // namespace batchwise
