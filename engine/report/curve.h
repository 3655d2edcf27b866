// A curve for a chart, thinned while it is filled, so that any number of points needs bounded
// memory.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace batchwise {

/// One point of a curve. Where it stands for several, y is their mean and low and high are their
/// extremes. A NaN in y is a gap.
struct CurvePoint {
  double x = 0.0;
  double y = std::numeric_limits<double>::quiet_NaN();
  double low = y;
  double high = y;
};

/// Keeps at most `capacity` points. Neighbours are averaged in groups of equal size, which doubles
/// whenever the capacity is reached; until then every point is kept as it is.
class ThinnedCurve {
 public:
  explicit ThinnedCurve(std::size_t capacity = 600) : capacity_(capacity) {}

  /// A y that is not finite is counted in missing() and takes no part in the mean.
  void add(double x, double y);

  [[nodiscard]] std::vector<CurvePoint> points() const;
  /// The number of values that were added and not finite.
  [[nodiscard]] std::int64_t missing() const { return missing_; }
  /// How many neighbours a point stands for; the last may stand for fewer.
  [[nodiscard]] std::int64_t group_size() const { return group_size_; }

 private:
  struct Group {
    CurvePoint point;
    std::int64_t count = 0;   ///< points added
    std::int64_t finite = 0;  ///< of those, with a finite y
  };
  static Group merged(const Group& left, const Group& right);
  void halve();

  std::size_t capacity_;
  std::int64_t group_size_ = 1;
  std::int64_t missing_ = 0;
  std::vector<Group> groups_;
};

}  // namespace batchwise
