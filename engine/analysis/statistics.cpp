#include "engine/analysis/statistics.h"

#include <algorithm>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <stdexcept>

namespace batchwise {
namespace {

namespace distributions = boost::math;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kPower = 0.8;
/// From here on Student's t is the normal distribution for the purpose of counting pairs.
constexpr double kManyPairs = 10000.0;

bool all_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double each) { return std::isfinite(each); });
}

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Sum of the products of what two series deviate from their means.
double deviations(std::span<const double> first, std::span<const double> second) {
  const double first_mean = mean(first);
  const double second_mean = mean(second);
  double sum = 0.0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    sum += (first[i] - first_mean) * (second[i] - second_mean);
  }
  return sum;
}

/// |t| that so many degrees of freedom exceed with probability 1 - confidence.
double critical_t(double degrees, double confidence) {
  return distributions::quantile(
      distributions::complement(distributions::students_t(degrees), (1.0 - confidence) / 2.0));
}

void require_equal_lengths(std::span<const double> first, std::span<const double> second) {
  if (first.size() != second.size()) {
    throw std::invalid_argument("statistics of pairs need as many first as second values");
  }
}

/// Fieller's interval: the ratios q for which mean(numerators) - q mean(denominators) is not
/// significantly different from 0: a q^2 - 2 b q + c <= 0.
void set_fieller_interval(std::span<const double> numerators, std::span<const double> denominators,
                          double confidence, Estimate& ratio) {
  const auto count = static_cast<double>(numerators.size());
  const double numerator = mean(numerators);
  const double denominator = mean(denominators);
  const double t = critical_t(count - 1.0, confidence);
  const double weight = t * t / (count * (count - 1.0));
  const double a = denominator * denominator - weight * deviations(denominators, denominators);
  const double b = numerator * denominator - weight * deviations(numerators, denominators);
  const double c = numerator * numerator - weight * deviations(numerators, numerators);
  const double root = std::sqrt(std::max(0.0, b * b - a * c));
  if (denominator > 0.0 && a > 0.0) {
    ratio.low = (b - root) / a;
    ratio.high = (b + root) / a;
  } else if (denominator > 0.0 && numerator > 0.0 && c > 0.0) {
    ratio.low = c / (b + root);
  }
}

/// Pairs with which a difference of so many standard deviations is called with probability kPower.
std::int64_t pairs_needed(double effect, double confidence) {
  const distributions::normal normal;
  const double sum = distributions::quantile(normal, (1.0 + confidence) / 2.0) +
                     distributions::quantile(normal, kPower);
  double pairs = std::max(2.0, std::floor(sum * sum / (effect * effect)));
  const auto power = [&] {
    const double critical = critical_t(pairs - 1.0, confidence);
    const distributions::non_central_t shifted(pairs - 1.0, effect * std::sqrt(pairs));
    return distributions::cdf(distributions::complement(shifted, critical)) +
           distributions::cdf(shifted, -critical);
  };
  while (pairs < kManyPairs && power() < kPower) pairs += 1.0;
  // No count of runs is larger; a difference that is almost 0 would not fit an integer.
  return static_cast<std::int64_t>(std::min(pairs, 1e15));
}

}  // namespace

Estimate mean_estimate(std::span<const double> values, double confidence) {
  Estimate estimate;
  estimate.count = static_cast<std::int64_t>(values.size());
  if (values.empty() || !all_finite(values)) return estimate;
  estimate.value = mean(values);
  const auto count = static_cast<double>(values.size());
  double half = kInfinity;
  if (values.size() > 1) {
    const double error = std::sqrt(deviations(values, values) / (count - 1.0) / count);
    half = critical_t(count - 1.0, confidence) * error;
  }
  estimate.low = estimate.value - half;
  estimate.high = estimate.value + half;
  return estimate;
}

Estimate ratio_estimate(std::span<const double> numerators, std::span<const double> denominators,
                        double confidence) {
  require_equal_lengths(numerators, denominators);
  Estimate ratio;
  ratio.count = static_cast<std::int64_t>(numerators.size());
  if (numerators.empty() || !all_finite(numerators) || !all_finite(denominators)) return ratio;
  const double denominator = mean(denominators);
  ratio.value = denominator > 0.0 ? mean(numerators) / denominator : kInfinity;
  ratio.low = 0.0;
  ratio.high = kInfinity;
  if (numerators.size() > 1) {
    set_fieller_interval(numerators, denominators, confidence, ratio);
  }
  return ratio;
}

PairedComparison compare_paired(std::span<const double> first, std::span<const double> second,
                                double confidence) {
  require_equal_lengths(first, second);
  std::vector<double> differences(first.size());
  std::transform(second.begin(), second.end(), first.begin(), differences.begin(), std::minus<>());
  PairedComparison comparison;
  comparison.difference = mean_estimate(differences, confidence);
  comparison.p_value = kNone;
  if (differences.size() < 2 || !all_finite(differences)) return comparison;
  const auto count = static_cast<double>(differences.size());
  const double difference = std::abs(comparison.difference.value);
  const double deviation = std::sqrt(deviations(differences, differences) / (count - 1.0));
  if (difference == 0.0) {
    comparison.p_value = 1.0;
  } else if (deviation == 0.0) {
    comparison.p_value = 0.0;
  } else {
    const double t = difference / deviation * std::sqrt(count);
    comparison.p_value = 2.0 * distributions::cdf(distributions::complement(
                                   distributions::students_t(count - 1.0), t));
  }
  comparison.differs = comparison.p_value < 1.0 - confidence;
  comparison.not_above =
      std::max(std::abs(comparison.difference.low), std::abs(comparison.difference.high));
  if (comparison.differs) {
    comparison.more_pairs = 0;
  } else if (difference > 0.0) {
    const auto have = static_cast<std::int64_t>(differences.size());
    comparison.more_pairs =
        std::max<std::int64_t>(1, pairs_needed(difference / deviation, confidence) - have);
  }
  return comparison;
}

std::vector<double> holm_adjusted(std::span<const double> p_values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p_values.size(); ++i) {
    if (!std::isnan(p_values[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t left, std::size_t right) { return p_values[left] < p_values[right]; });
  std::vector<double> adjusted(p_values.begin(), p_values.end());
  double highest = 0.0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto factor = static_cast<double>(order.size() - rank);
    highest = std::max(highest, std::min(1.0, factor * p_values[order[rank]]));
    adjusted[order[rank]] = highest;
  }
  return adjusted;
}

PowerLaw fit_power_law(std::span<const double> x, std::span<const double> y, double confidence) {
  require_equal_lengths(x, y);
  std::vector<double> log_x;
  std::vector<double> log_y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] > 0.0 && y[i] > 0.0 && std::isfinite(x[i]) && std::isfinite(y[i])) {
      log_x.push_back(std::log(x[i]));
      log_y.push_back(std::log(y[i]));
    }
  }
  PowerLaw law;
  law.exponent.count = static_cast<std::int64_t>(log_x.size());
  if (log_x.size() < 2 ||
      std::adjacent_find(log_x.begin(), log_x.end(), std::not_equal_to<>()) == log_x.end()) {
    return law;
  }
  const double spread = deviations(log_x, log_x);
  const double exponent = deviations(log_x, log_y) / spread;
  law.factor = std::exp(mean(log_y) - exponent * mean(log_x));
  double half = kInfinity;
  if (log_x.size() > 2) {
    double squares = 0.0;
    for (std::size_t i = 0; i < log_x.size(); ++i) {
      const double residual = log_y[i] - std::log(law.factor) - exponent * log_x[i];
      squares += residual * residual;
    }
    const double degrees = static_cast<double>(log_x.size()) - 2.0;
    half = critical_t(degrees, confidence) * std::sqrt(squares / degrees / spread);
  }
  law.exponent.value = exponent;
  law.exponent.low = exponent - half;
  law.exponent.high = exponent + half;
  return law;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty() ||
      std::any_of(values.begin(), values.end(), [](double each) { return std::isnan(each); })) {
    return kNone;
  }
  std::sort(values.begin(), values.end());
  const double position = std::clamp(share, 0.0, 1.0) * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const double beyond = position - static_cast<double>(below);
  if (beyond == 0.0) return values[below];
  return values[below] + beyond * (values[below + 1] - values[below]);
}

}  // namespace batchwise
