#include "engine/sweep/comparisons.h"

#include <fmt/format.h>

#include <algorithm>
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
    return {std::string(kStepsToTargetMeasure), [](const SweepRun& run) {
              return run.reached ? std::log(static_cast<double>(run.steps)) : kUnknown;
            }};
  }
  if (any_run(results, &SweepRun::test_accuracy)) {
    return {std::string(kTestAccuracyMeasure),
            [](const SweepRun& run) { return run.test_accuracy; }};
  }
  return {std::string(kValidationAccuracyMeasure),
          [](const SweepRun& run) { return run.validation_accuracy; }};
}

/// The values of the seeds that have one in both cells.
struct Pairs {
  std::vector<double> first, second;
};

Pairs pairs_of(const SweepCell& first, const SweepCell& second, const Measure& measure) {
  Pairs pairs;
  for (std::size_t seed = 0; seed < first.runs.size() && seed < second.runs.size(); ++seed) {
    const double left = measure.of(first.runs[seed]);
    const double right = measure.of(second.runs[seed]);
    if (!std::isfinite(left) || !std::isfinite(right)) continue;
    pairs.first.push_back(left);
    pairs.second.push_back(right);
  }
  return pairs;
}

/// The same difference in every pair is what coarse figures (accuracy over few samples, a target
/// looked for once an epoch) leave of a spread, and no measure of certainty.
bool has_no_spread(const PairedComparison& result) {
  return result.difference.count >= 2 && result.difference.low == result.difference.high;
}

/// What differences and factors are called in a sentence.
class Wording {
 public:
  explicit Wording(bool logarithms) : logarithms_(logarithms) {}

  /// "0.42 points", "a factor of 1.08"
  [[nodiscard]] std::string size(double difference) const {
    return logarithms_ ? fmt::format("a factor of {:.2f}", std::exp(difference))
                       : fmt::format("{:.2f} points", std::abs(difference) * 100);
  }
  [[nodiscard]] std::string bound(double difference) const {
    return (logarithms_ ? "beyond " : "above ") + size(difference);
  }
  /// "B is above A by 1.2 points (95 % interval 0.9 to 1.5)"
  [[nodiscard]] std::string difference(const Estimate& found, const std::string& first,
                                       const std::string& second) const {
    if (logarithms_) {
      return fmt::format("{} takes {:.2f} times the steps of {} (95 % interval {:.2f} to {:.2f})",
                         second, std::exp(found.value), first, std::exp(found.low),
                         std::exp(found.high));
    }
    const auto [nearer, farther] = std::minmax({std::abs(found.low), std::abs(found.high)});
    return fmt::format("{} is {} {} by {} (95 % interval {:.2f} to {:.2f})", second,
                       found.value > 0 ? "above" : "below", first, size(found.value), nearer * 100,
                       farther * 100);
  }

 private:
  bool logarithms_;
};

std::string no_difference_text(const CellComparison& comparison, const Wording& wording,
                               const SweepCell& first, const SweepCell& second) {
  const PairedComparison& result = comparison.result;
  std::string text = fmt::format("no difference {} between {} and {}",
                                 wording.bound(result.not_above), first.name, second.name);
  if (result.more_pairs && *result.more_pairs > 0) {
    text += fmt::format("; {} more seed{} would tell, if the {} found are real", *result.more_pairs,
                        *result.more_pairs == 1 ? "" : "s", wording.size(result.difference.value));
  }
  return text;
}

std::string sentence_of(const CellComparison& comparison, const SweepCell& first,
                        const SweepCell& second) {
  const Estimate& difference = comparison.result.difference;
  const Wording wording(comparison.measure == kStepsToTargetMeasure);
  const std::size_t asked = first.runs.size();
  if (difference.count < 2) {
    return fmt::format("{} and {}: {} of {} seeds in common, too few to compare", first.name,
                       second.name, difference.count, asked);
  }
  std::string text;
  if (has_no_spread(comparison.result)) {
    text = fmt::format("{} and {} differ by {} in each of {} seeds: figures too coarse to say more",
                       first.name, second.name, wording.size(difference.value), difference.count);
  } else if (comparison.differs) {
    text = wording.difference(difference, first.name, second.name);
  } else {
    text = no_difference_text(comparison, wording, first, second);
  }
  if (difference.count < static_cast<std::int64_t>(asked)) {
    text += fmt::format("; over the {} of {} seeds that both have", difference.count, asked);
  }
  return text;
}

/// Indices of the cells to compare: of several batch sizes the best of each, or else all.
std::vector<int> compared_cells(const SweepResults& results, bool& one_size) {
  std::set<std::int64_t> sizes;
  for (const SweepCell& cell : results.cells) sizes.insert(cell.batch_size);
  one_size = sizes.size() == 1;
  if (!one_size || results.searched) return results.best_cells;
  std::vector<int> all;
  for (const SweepCell& cell : results.cells) all.push_back(cell.index);
  return all;
}

}  // namespace

std::vector<CellComparison> compare_cells(const SweepResults& results) {
  const Measure measure = measure_of(results);
  const auto cell = [&](int index) -> const SweepCell& {
    return results.cells[static_cast<std::size_t>(index - 1)];
  };
  bool one_size = false;
  const std::vector<int> indices = compared_cells(results, one_size);
  std::vector<CellComparison> comparisons;
  std::vector<double> p_values;
  std::int64_t tests = 0;
  for (std::size_t left = 0; left < indices.size(); ++left) {
    for (std::size_t right = left + 1; right < indices.size(); ++right) {
      const SweepCell& first = cell(indices[left]);
      const SweepCell& second = cell(indices[right]);
      if (!one_size && first.group != second.group) continue;
      const Pairs pairs = pairs_of(first, second, measure);
      PairedComparison result = compare_paired(pairs.first, pairs.second);
      if (has_no_spread(result)) result.p_value = kUnknown;
      tests += std::isnan(result.p_value) ? 0 : 1;
      p_values.push_back(result.p_value);
      comparisons.push_back({.first = first.index,
                             .second = second.index,
                             .measure = measure.name,
                             .result = result,
                             .sentence = {}});
    }
  }
  const std::vector<double> adjusted = holm_adjusted(p_values);
  for (std::size_t index = 0; index < comparisons.size(); ++index) {
    CellComparison& comparison = comparisons[index];
    const SweepCell& first = cell(comparison.first);
    const SweepCell& second = cell(comparison.second);
    comparison.adjusted_p = adjusted[index];
    comparison.differs = adjusted[index] < kLevel;
    if (!comparison.differs && tests > 1) {
      // What is possible, and what would tell, at the level the smallest p-value must come below.
      const Pairs pairs = pairs_of(first, second, measure);
      const PairedComparison strict =
          compare_paired(pairs.first, pairs.second, 1.0 - kLevel / static_cast<double>(tests));
      comparison.result.not_above = strict.not_above;
      comparison.result.more_pairs = strict.more_pairs;
    }
    comparison.sentence = sentence_of(comparison, first, second);
  }
  return comparisons;
}

}  // namespace batchwise
