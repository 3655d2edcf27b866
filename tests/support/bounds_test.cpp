// The comparators themselves: what must pass, and above all what must fail.
#include "tests/support/bounds.h"

#include <limits>
#include <vector>

namespace batchwise::testing_support {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
using Values = std::vector<double>;

TEST(WithinBound, PassesUpToTheBoundAndFailsBeyond) {
  EXPECT_TRUE(within_bound(Values{1.5}, Values{1.0}, Values{0.5}));
  EXPECT_FALSE(within_bound(Values{1.5000001}, Values{1.0}, Values{0.5}));
  EXPECT_FALSE(within_bound(Values{0.4999999}, Values{1.0}, Values{0.5}));
}

TEST(WithinBound, AcceptsNothingButEqualityUnderABoundOfZero) {
  EXPECT_TRUE(within_bound(Values{0.0}, Values{0.0}, Values{0.0}));
  EXPECT_FALSE(within_bound(Values{1e-300}, Values{0.0}, Values{0.0}));
}

TEST(WithinBound, FailsOnNaNAndInfinityThatTheJudgeLacks) {
  EXPECT_FALSE(within_bound(Values{kNaN}, Values{1.0}, Values{1.0}));
  EXPECT_FALSE(within_bound(Values{kInfinity}, Values{1.0}, Values{1.0}));
  EXPECT_FALSE(within_bound(Values{1.0}, Values{kNaN}, Values{1.0}));
  EXPECT_FALSE(within_bound(Values{1.0}, Values{kInfinity}, Values{1.0}));
  EXPECT_FALSE(within_bound(Values{-kInfinity}, Values{kInfinity}, Values{1.0}));
  EXPECT_TRUE(within_bound(Values{kNaN}, Values{kNaN}, Values{1.0}));
  EXPECT_TRUE(within_bound(Values{kInfinity}, Values{kInfinity}, Values{1.0}));
}

TEST(WithinBound, FailsOnABoundThatPromisesNothing) {
  EXPECT_FALSE(within_bound(Values{1.0}, Values{1.0}, Values{kNaN}));
  EXPECT_FALSE(within_bound(Values{1.0}, Values{1.0}, Values{kInfinity}));
  EXPECT_FALSE(within_bound(Values{1.0}, Values{1.0}, Values{-1.0}));
}

TEST(WithinBound, FailsOnOneElementAmongManyAndOnDifferentLengths) {
  EXPECT_FALSE(within_bound(Values{0.0, kNaN, 0.0}, Values{0.0, 0.0, 0.0}, Values{1.0, 1.0, 1.0}));
  EXPECT_FALSE(within_bound(Values{0.0}, Values{0.0, 0.0}, Values{1.0, 1.0}));
  EXPECT_FALSE(within_bound(Values{0.0}, Values{0.0}, Values{}));
}

TEST(SameBits, TellsApartNeighboursSignsOfZeroAndLengths) {
  using Floats = std::vector<float>;
  const auto same = [](const Floats& a, const Floats& b) { return same_bits<float>(a, b); };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(same({1.0f, -0.0f, nan}, {1.0f, -0.0f, -nan}));
  EXPECT_FALSE(same({1.0f}, {1.0f + 0x1p-23f}));
  EXPECT_FALSE(same({0.0f}, {-0.0f}));
  EXPECT_FALSE(same({nan}, {1.0f}));
  EXPECT_FALSE(same({1.0f}, {1.0f, 1.0f}));
}

}  // namespace
}  // namespace batchwise::testing_support
