#include "engine/report/curve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace batchwise {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(ThinnedCurve, KeepsEveryPointUpToItsCapacity) {
  ThinnedCurve curve(4);
  for (int x = 1; x <= 4; ++x) curve.add(x, 10.0 * x);
  const auto points = curve.points();
  ASSERT_EQ(points.size(), 4u);
  EXPECT_EQ(curve.group_size(), 1);
  EXPECT_EQ(points[2].x, 3.0);
  EXPECT_EQ(points[2].y, 30.0);
  EXPECT_EQ(points[2].low, 30.0);
  EXPECT_EQ(points[2].high, 30.0);
}

TEST(ThinnedCurve, AveragesNeighboursAndKeepsTheirExtremes) {
  ThinnedCurve curve(4);
  for (const double y : {1.0, 3.0, 5.0, 9.0, 2.0, 4.0}) curve.add(y, y);
  const auto points = curve.points();
  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(curve.group_size(), 2);
  EXPECT_EQ(points[0].y, 2.0);
  EXPECT_EQ(points[1].y, 7.0);
  EXPECT_EQ(points[1].x, 7.0);
  EXPECT_EQ(points[1].low, 5.0);
  EXPECT_EQ(points[1].high, 9.0);
  EXPECT_EQ(points[2].y, 3.0);
}

TEST(ThinnedCurve, StaysWithinItsCapacityAndKeepsMeanAndExtremes) {
  for (const std::size_t capacity : {2u, 5u, 600u}) {
    for (const int count : {599, 600, 601, 1024, 100'003}) {
      ThinnedCurve curve(capacity);
      for (int x = 0; x < count; ++x) curve.add(x, x % 7);
      const auto points = curve.points();
      EXPECT_LE(points.size(), capacity);
      double sum = 0.0;
      double remaining = count;
      for (const CurvePoint& point : points) {
        const double group = std::fmin(remaining, static_cast<double>(curve.group_size()));
        sum += point.y * group;
        remaining -= group;
        EXPECT_LE(point.low, point.y);
        EXPECT_GE(point.high, point.y);
      }
      EXPECT_EQ(remaining, 0.0) << capacity << " for " << count;
      double expected = 0.0;
      for (int x = 0; x < count; ++x) expected += x % 7;
      // Each point takes at most log2(count) + group merges of relative error 3 epsilon.
      const double bound = 3e-16 * static_cast<double>(curve.group_size() + 20) * expected;
      EXPECT_TRUE(std::abs(sum - expected) <= bound) << sum << " against " << expected;
    }
  }
}

TEST(ThinnedCurve, LeavesValuesThatAreNotFiniteOutOfTheMean) {
  ThinnedCurve curve(2);
  for (const double y : {1.0, kNan, kNan, std::numeric_limits<double>::infinity()}) {
    curve.add(1.0, y);
  }
  const auto points = curve.points();
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0].y, 1.0);
  EXPECT_TRUE(std::isnan(points[1].y));
  EXPECT_EQ(curve.missing(), 3);
}

TEST(ThinnedCurve, MeanOfLargeValuesDoesNotOverflow) {
  ThinnedCurve curve(2);
  for (int x = 0; x < 8; ++x) curve.add(x, 1.5e308);
  EXPECT_EQ(curve.points()[0].y, 1.5e308);
}

}  // namespace
}  // namespace batchwise
