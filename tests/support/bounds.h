// Comparators of computed arrays: within a bound beside a judge's values, or the same bits. They
// fail on a NaN or infinity that the judge does not have and on a bound that promises nothing.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

namespace batchwise::testing_support {

/// error / bound; at most 1 passes. Infinite wherever the comparison has no meaning.
[[nodiscard]] inline double error_over_bound(double result, double expected, double bound) {
  constexpr double kFailure = std::numeric_limits<double>::infinity();
  if (!(bound >= 0.0) || std::isinf(bound)) return kFailure;
  if (result == expected || (std::isnan(result) && std::isnan(expected))) return 0.0;
  const double ratio = std::abs(result - expected) / bound;
  return ratio <= std::numeric_limits<double>::max() ? ratio : kFailure;
}

/// Whether every result is within its bound of what is expected; reports the largest error / bound.
[[nodiscard]] inline testing::AssertionResult within_bound(std::span<const double> results,
                                                           std::span<const double> expected,
                                                           std::span<const double> bounds) {
  if (results.size() != expected.size() || results.size() != bounds.size()) {
    return testing::AssertionFailure() << results.size() << " results, " << expected.size()
                                       << " expected, " << bounds.size() << " bounds";
  }
  double largest = 0.0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const double ratio = error_over_bound(results[i], expected[i], bounds[i]);
    if (ratio > largest) {
      largest = ratio;
      at = i;
    }
  }
  if (largest <= 1.0) return testing::AssertionSuccess() << "error / bound " << largest;
  return testing::AssertionFailure()
         << "error / bound " << largest << " at element " << at << " of " << results.size() << ": "
         << results[at] << " instead of " << expected[at] << " within " << bounds[at];
}

/// Whether two arrays have the same bits; any NaN equals any other.
template <class T>
[[nodiscard]] testing::AssertionResult same_bits(std::span<const T> results,
                                                 std::span<const T> expected) {
  if (results.size() != expected.size()) {
    return testing::AssertionFailure()
           << results.size() << " results, " << expected.size() << " expected";
  }
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint8_t>>;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (std::bit_cast<Bits>(results[i]) == std::bit_cast<Bits>(expected[i])) continue;
    if (results[i] != results[i] && expected[i] != expected[i]) continue;
    return testing::AssertionFailure() << "element " << i << " of " << results.size() << ": "
                                       << testing::PrintToString(results[i]) << " instead of "
                                       << testing::PrintToString(expected[i]);
  }
  return testing::AssertionSuccess() << "same bits";
}

}  // namespace batchwise::testing_support
