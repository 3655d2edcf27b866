// Judges what a device made of a case: against the oracle's values and bounds, against the bits of
// the reference in float, and for writes to where nothing was to be written.
#pragma once

#include <optional>
#include <string>

#include "engine/model/experiment.h"
#include "engine/verify/run_case.h"

namespace batchwise::verification {

/// One number of a result.
struct Place {
  std::string element;  ///< "y[3, 7]"
  double got = 0.0;
  double expected = 0.0;
  double bound = 0.0;
  double error = 0.0;  ///< |got - expected| / bound; infinite where that has no meaning
};

struct Verdict {
  std::optional<Place> worst;  ///< the largest error / bound; none where nothing was to be written
  std::string failure;         ///< empty: passed

  [[nodiscard]] bool passed() const { return failure.empty(); }
};

/// |got - expected| / bound: at most 1 passes. Where a NaN or an infinity is expected, 0 for the
/// same and infinite for anything else; infinite too where the bound of a number promises nothing.
[[nodiscard]] double error_over_bound(double got, const Expected& expected);

/// How many floats lie between two, one of them counted; infinite where that has no meaning.
[[nodiscard]] double ulps_between(float a, float b);

/// Mode `invariant` promises the contract's order and the reference's bits; in mode `fast` products
/// are summed in any order.
[[nodiscard]] Verdict judge(const Case& test, const Results& results, Numerics numerics);

}  // namespace batchwise::verification
