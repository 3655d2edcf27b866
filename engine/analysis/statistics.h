// Estimates with confidence intervals, paired comparisons and fitted power laws. Distributions are
// Boost.Math's.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace batchwise {

/// The level of every interval unless another is asked for.
inline constexpr double kConfidence = 0.95;

/// A measured number with its confidence interval. NaN in value: there is none. An end may be
/// infinite where the data do not bound it.
struct Estimate {
  double value = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
  std::int64_t count = 0;  ///< measurements behind it

  [[nodiscard]] bool contains(double number) const { return low <= number && number <= high; }
};

/// The mean with Student's t interval; from a single value an interval without ends (-inf, inf).
/// Values that are not finite make it NaN.
[[nodiscard]] Estimate mean_estimate(std::span<const double> values,
                                     double confidence = kConfidence);

/// mean(numerators) / mean(denominators) of pairs that vary together, with Fieller's interval
/// (Fieller 1954), which is exact for normal means. Where the denominator's mean is not above 0
/// with that confidence, `high` is infinite, and `low` is the bound that remains, or 0.
[[nodiscard]] Estimate ratio_estimate(std::span<const double> numerators,
                                      std::span<const double> denominators,
                                      double confidence = kConfidence);

/// How two settings differ over the same seeds, by a paired t test.
struct PairedComparison {
  Estimate difference;   ///< of second - first
  double p_value = 1.0;  ///< two-sided; 1 where all differences are 0, NaN with fewer than 2 pairs
  bool differs = false;  ///< p_value < 1 - confidence
  /// The largest difference that the interval leaves possible: max(|low|, |high|).
  double not_above = std::numeric_limits<double>::infinity();
  /// More pairs with which a difference as large as the one found would be called, with a power of
  /// 80 %; 0 where it is called already; nothing where the data cannot say (fewer than 2 pairs, or
  /// no difference at all).
  std::optional<std::int64_t> more_pairs;
};

/// first[i] and second[i] are of seed i. Throws std::invalid_argument for unequal lengths.
[[nodiscard]] PairedComparison compare_paired(std::span<const double> first,
                                              std::span<const double> second,
                                              double confidence = kConfidence);

/// Holm's adjustment (Holm 1979) of p-values for being several; NaN stays NaN and does not count.
[[nodiscard]] std::vector<double> holm_adjusted(std::span<const double> p_values);

/// y = factor * x^exponent, by least squares through logarithms.
struct PowerLaw {
  Estimate exponent;
  double factor = std::numeric_limits<double>::quiet_NaN();
};
/// Points where x or y is not positive and finite are left out. Fewer than 3: no interval.
[[nodiscard]] PowerLaw fit_power_law(std::span<const double> x, std::span<const double> y,
                                     double confidence = kConfidence);

/// The quantile `share` (0 to 1) between order statistics (R's type 7); NaN of nothing.
[[nodiscard]] double quantile(std::vector<double> values, double share);

}  // namespace batchwise
