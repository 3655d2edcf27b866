// What a gradient that reads signs alone may read in place of the activation: its bits, and what
// dropout made of it. Bit for bit, at every kind of number.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/reference/activation.h"
#include "kernels/reference/dropout.h"
#include "kernels/reference/sign_bits.h"
#include "tests/support/kernel_harness.h"

namespace batchwise {
namespace {

using testing_support::Buffer;
using Floats = std::vector<float>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Zeros, infinities, NaN, the smallest and the largest of both signs, and random ones: 140.
Floats numbers() {
  Floats values = {0.0f,      -0.0f,      0x1p-149f, -0x1p-149f, 0x1p-126f,         -0x1p-126f,
                   kInfinity, -kInfinity, 3.4e38f,   -3.4e38f,   __builtin_nanf("")};
  for (const float value : testing_support::random_values(129, 1)) values.push_back(value);
  return values;
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof(float)) == 0 || (std::isnan(a) && std::isnan(b));
}

/// A number for each pair of numbers() by numbers(): the first, and the second.
struct Pairs {
  Floats first, second;
  Pairs() {
    for (const float a : numbers()) {
      for (const float b : numbers()) {
        first.push_back(a);
        second.push_back(b);
      }
    }
  }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(first.size()); }
};

Floats gradients(ActivationFunction function, const Floats& dy, const Floats& saved) {
  Buffer<float> dys(dy), saveds(saved), dx(1, dys.columns());
  reference::activation_backward<float, float>(
      {dys.input(), saveds.input(), dx.matrix(), function});
  return dx.values();
}

void expect_same(const Floats& got, const Floats& expected, const Pairs& pairs) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(same_bits(got[i], expected[i])) << got[i] << " instead of " << expected[i] << " of "
                                                << pairs.first[i] << " and " << pairs.second[i];
  }
}

class Signs : public testing::TestWithParam<ActivationFunction> {
 protected:
  const Pairs pairs;  ///< a gradient, and an activation
};
INSTANTIATE_TEST_SUITE_P(Functions, Signs,
                         testing::Values(ActivationFunction::relu, ActivationFunction::leaky_relu));

TEST_P(Signs, AreAllThatTheGradientReads) {
  ASSERT_TRUE(reads_sign(GetParam()));
  Buffer<float> y(pairs.second), dy(pairs.first), dx(1, pairs.size());
  Buffer<std::int32_t> bits(1, sign_words(pairs.size()));
  reference::sign_bits<float>({y.input(), bits.matrix()});
  reference::activation_backward_bits<float, float>(
      {dy.input(), bits.input(), dx.matrix(), GetParam()});
  expect_same(dx.values(), gradients(GetParam(), pairs.first, pairs.second), pairs);
}

/// What the plan's stage choose_saved_forms relies on.
TEST_P(Signs, AreKeptByDropoutWhereItsGradientIsNotZero) {
  for (const double rate : {0.0, 0x1p-32, 0.1, 0.5, 0.999, 1.0 - 0x1p-53}) {
    const UpdateScalars scalars{.seed = 5, .step = 3, .batch_samples = 1};
    const auto dropped = [&](const Floats& values) {
      Buffer<float> x(values), y(1, x.columns());
      reference::dropout<float, float>(
          {x.input(), {}, y.matrix(), rate, 9, PassRange{&scalars, 1}});
      return y.values();
    };
    const Floats dy = dropped(pairs.first);
    expect_same(gradients(GetParam(), dy, dropped(pairs.second)),
                gradients(GetParam(), dy, pairs.second), pairs);
  }
}

TEST(SignBits, AreOneABitFromTheLowestOn) {
  Floats values(33, -1.0f);
  values[0] = values[5] = values[31] = values[32] = 2.0f;
  values[7] = __builtin_nanf("");
  Buffer<float> y(values);
  Buffer<std::int32_t> bits(1, 2);
  reference::sign_bits<float>({y.input(), bits.matrix()});
  EXPECT_EQ(static_cast<std::uint32_t>(bits(0, 0)), 0x80000021u);
  EXPECT_EQ(bits(0, 1), 1);
}

}  // namespace
}  // namespace batchwise
