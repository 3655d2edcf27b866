// The portable exp, log, tanh and erf against the standard library in double, over the whole range
// of floats, and their special values.
#include "kernels/ops/portable_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace batchwise {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
constexpr float kLargest = std::numeric_limits<float>::max();

struct Function {
  const char* name;
  float (*portable)(float);
  double (*exact)(double);
  double promised_ulps;
};

const Function kFunctions[] = {
    {"exp", portable::exp, std::exp, 1.0},
    {"log", portable::log, std::log, 1.0},
    {"tanh", portable::tanh, std::tanh, 2.0},
    {"erf", portable::erf, std::erf, 2.0},
};

/// The distance of floats around a value, 2^-149 among the subnormals.
double ulp(double value) {
  const int exponent = value == 0.0 ? -126 : std::max(std::ilogb(value), -126);
  return std::ldexp(1.0, exponent - 23);
}

/// The error of `result` in ulps; infinite where one is NaN or infinite and the other is not.
double error_in_ulps(float result, double exact) {
  const auto rounded = static_cast<float>(exact);
  if (std::isnan(result) || std::isnan(exact)) {
    return std::isnan(result) && std::isnan(exact) ? 0.0 : kInfinity;
  }
  if (std::isinf(result) || std::isinf(rounded)) return result == rounded ? 0.0 : kInfinity;
  return std::abs(static_cast<double>(result) - exact) / ulp(exact);
}

/// Every 997th float of the whole range, subnormals, infinities and NaNs of both signs among them.
template <class Visit>
void for_sampled_floats(Visit visit) {
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 997) {
    visit(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
}

class PortableMath : public testing::TestWithParam<Function> {};

TEST_P(PortableMath, StaysWithinItsUlpsOverTheWholeRange) {
  double largest = 0.0;
  float at = 0.0f;
  for_sampled_floats([&](float x) {
    const double error = error_in_ulps(GetParam().portable(x), GetParam().exact(x));
    if (!(error <= largest)) {
      largest = error;
      at = x;
    }
  });
  std::printf("%s: at most %.4f ulp, at %a\n", GetParam().name, largest, static_cast<double>(at));
  EXPECT_LE(largest, GetParam().promised_ulps) << "at " << at;
}

TEST_P(PortableMath, GivesTheSameBitsInALoopAndInASingleCall) {
  std::vector<float> inputs;
  for_sampled_floats([&](float x) { inputs.push_back(x); });
  std::vector<float> outputs(inputs.size());
  const std::string name = GetParam().name;
  // Loops the compiler may vectorise: the call is direct, not through the pointer.
  for (std::size_t i = 0; i < inputs.size() && name == "exp"; ++i) {
    outputs[i] = portable::exp(inputs[i]);
  }
  for (std::size_t i = 0; i < inputs.size() && name == "log"; ++i) {
    outputs[i] = portable::log(inputs[i]);
  }
  for (std::size_t i = 0; i < inputs.size() && name == "tanh"; ++i) {
    outputs[i] = portable::tanh(inputs[i]);
  }
  for (std::size_t i = 0; i < inputs.size() && name == "erf"; ++i) {
    outputs[i] = portable::erf(inputs[i]);
  }
  float (*volatile single)(float) = GetParam().portable;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const volatile float x = inputs[i];
    const float expected = single(x);
    if (std::isnan(expected) && std::isnan(outputs[i])) continue;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(outputs[i]), std::bit_cast<std::uint32_t>(expected))
        << "at " << inputs[i];
  }
}

TEST_P(PortableMath, PassesNaN) {
  EXPECT_TRUE(std::isnan(GetParam().portable(kNaN)));
  EXPECT_TRUE(std::isnan(GetParam().portable(-kNaN)));
}

INSTANTIATE_TEST_SUITE_P(Functions, PortableMath, testing::ValuesIn(kFunctions),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(PortableMathComparison, FailsOnNaNInfinityAndASecondUlp) {
  EXPECT_EQ(error_in_ulps(kNaN, 1.0), kInfinity);
  EXPECT_EQ(error_in_ulps(1.0f, kNaN), kInfinity);
  EXPECT_EQ(error_in_ulps(kInfinity, 1.0), kInfinity);
  EXPECT_EQ(error_in_ulps(1.0f + 0x1p-22f, 1.0), 2.0);
  EXPECT_EQ(error_in_ulps(2 * kSmallest, 0.0), 2.0);
}

TEST(PortableExp, OverflowsToInfinityAndUnderflowsGradually) {
  EXPECT_EQ(portable::exp(0.0f), 1.0f);
  EXPECT_EQ(portable::exp(-0.0f), 1.0f);
  EXPECT_EQ(portable::exp(kInfinity), kInfinity);
  EXPECT_EQ(portable::exp(kLargest), kInfinity);
  EXPECT_EQ(portable::exp(88.8f), kInfinity);
  EXPECT_LT(portable::exp(88.7f), kInfinity);
  EXPECT_EQ(portable::exp(-kInfinity), 0.0f);
  EXPECT_EQ(portable::exp(-kLargest), 0.0f);
  EXPECT_EQ(portable::exp(-104.0f), 0.0f);
  EXPECT_EQ(portable::exp(-103.0f), kSmallest);
  EXPECT_GT(portable::exp(-100.0f), 20 * kSmallest);
}

TEST(PortableLog, KnowsZeroNegativesSubnormalsAndInfinity) {
  EXPECT_EQ(portable::log(1.0f), 0.0f);
  EXPECT_EQ(portable::log(0.0f), -kInfinity);
  EXPECT_EQ(portable::log(-0.0f), -kInfinity);
  EXPECT_TRUE(std::isnan(portable::log(-kSmallest)));
  EXPECT_TRUE(std::isnan(portable::log(-1.0f)));
  EXPECT_TRUE(std::isnan(portable::log(-kInfinity)));
  EXPECT_EQ(portable::log(kInfinity), kInfinity);
  EXPECT_FLOAT_EQ(portable::log(kSmallest), -103.278929f);
}

TEST(PortableTanhAndErf, AreOddAndSaturateExactly) {
  for (float (*function)(float) : {portable::tanh, portable::erf}) {
    for_sampled_floats([&](float x) {
      if (std::isnan(x)) return;
      const float negated = -function(-x);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(function(x)), std::bit_cast<std::uint32_t>(negated));
      ASSERT_LE(std::abs(function(x)), 1.0f) << "at " << x;
    });
    EXPECT_TRUE(std::signbit(function(-0.0f)));
    EXPECT_EQ(function(kSmallest), kSmallest);
    EXPECT_EQ(function(10.0f), 1.0f);
    EXPECT_EQ(function(-10.0f), -1.0f);
    EXPECT_EQ(function(kLargest), 1.0f);
    EXPECT_EQ(function(-kInfinity), -1.0f);
  }
}

}  // namespace
}  // namespace batchwise
