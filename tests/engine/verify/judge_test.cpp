// The comparer of results: what must pass, and above all what must fail.
#include "engine/verify/judge.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "engine/verify/operation_cases.h"

namespace batchwise::verification {
namespace {

using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ErrorOverBound, IsAtMostOneUpToTheBound) {
  EXPECT_DOUBLE_EQ(error_over_bound(1.5, {1.0, 0.5}), 1.0);
  EXPECT_GT(error_over_bound(1.5000001, {1.0, 0.5}), 1.0);
  EXPECT_GT(error_over_bound(0.4999999, {1.0, 0.5}), 1.0);
  EXPECT_EQ(error_over_bound(0.0, {0.0, 0.0}), 0.0);
  EXPECT_EQ(error_over_bound(-0.0, {0.0, 0.0}), 0.0);
  EXPECT_EQ(error_over_bound(1e-300, {0.0, 0.0}), kInfinity);
}

TEST(ErrorOverBound, FailsOnWhatTheOracleDoesNotHave) {
  EXPECT_EQ(error_over_bound(kNaN, {1.0, 1.0}), kInfinity);
  EXPECT_EQ(error_over_bound(kInfinity, {1.0, 1.0}), kInfinity);
  EXPECT_EQ(error_over_bound(1.0, {kNaN, 1.0}), kInfinity);
  EXPECT_EQ(error_over_bound(1.0, {kInfinity, 1.0}), kInfinity);
  EXPECT_EQ(error_over_bound(-kInfinity, {kInfinity, 1.0}), kInfinity);
  EXPECT_EQ(error_over_bound(kNaN, {kNaN, kNaN}), 0.0);
  EXPECT_EQ(error_over_bound(kInfinity, {kInfinity, kNaN}), 0.0);
}

TEST(ErrorOverBound, FailsOnABoundThatPromisesNothing) {
  EXPECT_EQ(error_over_bound(1.0, {1.0, kNaN}), kInfinity);
  EXPECT_EQ(error_over_bound(1.0, {1.0, kInfinity}), kInfinity);
  EXPECT_EQ(error_over_bound(1.0, {1.0, -1.0}), kInfinity);
}

TEST(UlpsBetween, CountsFloatsAcrossZero) {
  EXPECT_EQ(ulps_between(1.0f, 1.0f), 0.0);
  EXPECT_EQ(ulps_between(1.0f, std::nextafter(1.0f, 2.0f)), 1.0);
  EXPECT_EQ(ulps_between(-0x1p-149f, 0x1p-149f), 2.0);
  EXPECT_EQ(ulps_between(0.0f, -0.0f), 0.0);
  EXPECT_EQ(ulps_between(1.0f, static_cast<float>(kNaN)), kInfinity);
}

/// y = x W of 4 rows, 3 inputs and 5 units, rows padded; its results are the reference's.
class JudgedProduct : public testing::Test {
 protected:
  JudgedProduct() {
    Draw draw(0, "judge", 0);
    CaseBuilder c("dense_forward", Layout::padded, false, draw);
    c.input(by_rows(c.matrix("x", 4, 3, c.normal())));
    c.input(c.weight("weight", 5, 3, c.normal()));
    c.input(c.vector("bias", 5, c.normal()));
    y = c.output(by_rows(c.matrix("y", 4, 5)));
    c.whole_batch(4);
    test = std::move(c).build("product");
    // Padding behind each row of y, whatever was drawn.
    Operand& output = test.operands[static_cast<std::size_t>(y)];
    output.strides[0] = 9;
    output.bytes.assign(static_cast<std::size_t>(output.span()) * 4, std::byte{0xFF});
    results = run_reference(test);
  }

  float& result(std::int64_t place) {
    return reinterpret_cast<float*>(results.bytes[static_cast<std::size_t>(y)].data())[place];
  }
  [[nodiscard]] Verdict verdict(Numerics numerics = Numerics::invariant) const {
    return judge(test, results, numerics);
  }

  int y = 0;
  Case test;
  Results results;
};

TEST_F(JudgedProduct, ThatIsTheReferencesPasses) {
  EXPECT_EQ(verdict().failure, "");
  ASSERT_TRUE(verdict().worst);
  EXPECT_GT(verdict().worst->error, 0.0);
  EXPECT_LE(verdict().worst->error, 1.0);
}

TEST_F(JudgedProduct, OfAnErrorAboveTheBoundFailsWithItsPlace) {
  result(9 * 2 + 3) += 1e-4f;
  EXPECT_THAT(verdict().failure, HasSubstr("times its bound: y[2, 3] is"));
  EXPECT_EQ(verdict().worst->element, "y[2, 3]");
  EXPECT_THAT(verdict(Numerics::fast).failure, HasSubstr("y[2, 3]"));
}

TEST_F(JudgedProduct, OfOneOtherBitFailsWhereBitsArePromised) {
  float& value = result(9 * 1 + 4);
  value = std::nextafter(value, 1e9f);
  EXPECT_THAT(verdict().failure, HasSubstr("other bits than the reference by 1 ulps: y[1, 4] is"));
  EXPECT_EQ(verdict(Numerics::fast).failure, "");
}

TEST_F(JudgedProduct, ThatLeavesPoisonFails) {
  result(0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(verdict().failure, HasSubstr("error inf times its bound: y[0, 0] is nan"));
}

TEST_F(JudgedProduct, ThatWritesIntoPaddingFails) {
  result(9 * 1 + 5) = 0.0f;
  EXPECT_THAT(verdict().failure, HasSubstr("wrote into the padding of y, element 14"));
}

TEST_F(JudgedProduct, ThatWritesToAnInputFails) {
  results.bytes[1][0] ^= std::byte{1};
  EXPECT_EQ(verdict().failure, "wrote to its input weight");
}

TEST_F(JudgedProduct, ThatWritesAroundItsOperandsFails) {
  results.stray_write = "wrote behind the memory of y";
  EXPECT_EQ(verdict().failure, "wrote behind the memory of y");
}

}  // namespace
}  // namespace batchwise::verification
