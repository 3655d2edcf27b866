#include "engine/report/curve.h"

#include <cmath>

namespace batchwise {
namespace {

/// Weights first, so that the mean of large values does not overflow.
double weighted_mean(double left, std::int64_t left_count, double right, std::int64_t right_count) {
  const auto count = static_cast<double>(left_count + right_count);
  return left * (static_cast<double>(left_count) / count) +
         right * (static_cast<double>(right_count) / count);
}

}  // namespace

void ThinnedCurve::add(double x, double y) {
  Group added{.point = {.x = x}, .count = 1};
  if (std::isfinite(y)) {
    added.point = {.x = x, .y = y, .low = y, .high = y};
    added.finite = 1;
  } else {
    ++missing_;
  }
  if (!groups_.empty() && groups_.back().count < group_size_) {
    groups_.back() = merged(groups_.back(), added);
    return;
  }
  if (groups_.size() == capacity_) {
    halve();
    if (groups_.back().count < group_size_) {  // an odd capacity leaves half a group
      groups_.back() = merged(groups_.back(), added);
      return;
    }
  }
  groups_.push_back(added);
}

std::vector<CurvePoint> ThinnedCurve::points() const {
  std::vector<CurvePoint> points;
  points.reserve(groups_.size());
  for (const Group& group : groups_) points.push_back(group.point);
  return points;
}

ThinnedCurve::Group ThinnedCurve::merged(const Group& left, const Group& right) {
  Group result = left.finite > 0 ? left : right;
  result.count = left.count + right.count;
  result.finite = left.finite + right.finite;
  result.point.x = weighted_mean(left.point.x, left.count, right.point.x, right.count);
  if (left.finite > 0 && right.finite > 0) {
    result.point.y = weighted_mean(left.point.y, left.finite, right.point.y, right.finite);
    result.point.low = std::fmin(left.point.low, right.point.low);
    result.point.high = std::fmax(left.point.high, right.point.high);
  }
  return result;
}

void ThinnedCurve::halve() {
  std::vector<Group> halved;
  halved.reserve(capacity_);
  for (std::size_t index = 0; index < groups_.size(); index += 2) {
    halved.push_back(index + 1 < groups_.size() ? merged(groups_[index], groups_[index + 1])
                                                : groups_[index]);
  }
  groups_ = std::move(halved);
  group_size_ *= 2;
}

}  // namespace batchwise
