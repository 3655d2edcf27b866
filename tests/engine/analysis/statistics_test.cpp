// Estimates, comparisons and fits, against values of scipy and textbooks, and by simulation.
#include "engine/analysis/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

namespace batchwise {
namespace {

using Values = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Student's sleep data (1908): the extra hours of ten patients after each of two drugs.
const Values kFirstDrug{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
const Values kSecondDrug{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};

/// The share of so many simulations in which `holds`.
double share_of(int simulations, const std::function<bool()>& holds) {
  int count = 0;
  for (int i = 0; i < simulations; ++i) count += holds() ? 1 : 0;
  return static_cast<double>(count) / simulations;
}

Values normal_draws(std::mt19937_64& engine, std::size_t count, double mean = 0.0,
                    double deviation = 1.0) {
  std::normal_distribution<double> normal(mean, deviation);
  Values values(count);
  for (double& each : values) each = normal(engine);
  return values;
}

TEST(MeanEstimate, IsStudentsInterval) {
  Values differences;
  for (std::size_t i = 0; i < 10; ++i) differences.push_back(kSecondDrug[i] - kFirstDrug[i]);
  const Estimate usual = mean_estimate(differences);
  EXPECT_NEAR(usual.value, 1.58, 1e-12);
  EXPECT_NEAR(usual.low, 0.7001142367230176, 1e-9);
  EXPECT_NEAR(usual.high, 2.4598857632769824, 1e-9);
  EXPECT_EQ(usual.count, 10);
  const Estimate wider = mean_estimate(differences, 0.99);
  EXPECT_NEAR(wider.low, 0.31594811489517505, 1e-9);
  EXPECT_NEAR(wider.high, 2.8440518851048253, 1e-9);
}

TEST(MeanEstimate, SaysWhatFewOrUnusableValuesSay) {
  EXPECT_TRUE(std::isnan(mean_estimate({}).value));
  EXPECT_EQ(mean_estimate({}).count, 0);
  const Estimate one = mean_estimate(Values{3.0});
  EXPECT_EQ(one.value, 3.0);
  EXPECT_EQ(one.low, -kInfinity);
  EXPECT_EQ(one.high, kInfinity);
  const Estimate equal = mean_estimate(Values{2.0, 2.0});
  EXPECT_EQ(equal.low, 2.0);
  EXPECT_EQ(equal.high, 2.0);
  for (const double bad : {kNone, kInfinity}) {
    const Estimate none = mean_estimate(Values{1.0, bad, 2.0});
    EXPECT_TRUE(std::isnan(none.value));
    EXPECT_TRUE(std::isnan(none.low) && std::isnan(none.high));
  }
}

TEST(MeanEstimate, CoversTheTrueMeanAsOftenAsItSays) {
  std::mt19937_64 engine(1);
  for (const std::size_t count : {2, 3, 10}) {
    const double covered = share_of(
        4000, [&] { return mean_estimate(normal_draws(engine, count, 7.0, 3.0)).contains(7.0); });
    // 4 standard deviations of a share of 4000: 0.0138.
    EXPECT_NEAR(covered, 0.95, 0.0138) << count;
  }
}

TEST(RatioEstimate, IsFiellersInterval) {
  const Values numerators{10.1, 12.2, 9.5, 11.7, 10.9, 12.8};
  const Estimate ratio = ratio_estimate(numerators, Values{2.1, 2.6, 1.8, 2.2, 2.4, 2.3});
  EXPECT_NEAR(ratio.value, 5.0149253731343295, 1e-9);
  // Where a t test of numerators - ratio * denominators has p = 0.05.
  EXPECT_NEAR(ratio.low, 4.593273331755618, 1e-9);
  EXPECT_NEAR(ratio.high, 5.48886341023883, 1e-9);
  EXPECT_EQ(ratio.count, 6);
}

TEST(RatioEstimate, OfAWeakDenominatorHasNoUpperEnd) {
  const Values numerators{10.1, 12.2, 9.5, 11.7, 10.9, 12.8};
  const Estimate weak = ratio_estimate(numerators, Values{2.1, -2.6, 1.8, -1.2, 2.4, 2.3});
  EXPECT_NEAR(weak.value, 14.0, 1e-9);
  EXPECT_NEAR(weak.low, 3.459583427492243, 1e-9);
  EXPECT_EQ(weak.high, kInfinity);
  const Estimate negative = ratio_estimate(Values{1.0, 2.0, 3.0}, Values{-3.0, -3.1, -3.2});
  EXPECT_EQ(negative.value, kInfinity);
  EXPECT_EQ(negative.low, 0.0);
  EXPECT_EQ(negative.high, kInfinity);
  const Estimate both_weak = ratio_estimate(Values{-1.0, 2.0, 0.5}, Values{-1.0, 1.0, 2.0});
  EXPECT_EQ(both_weak.low, 0.0);
  EXPECT_EQ(both_weak.high, kInfinity);
}

TEST(RatioEstimate, CoversTheTrueRatioForStrongAndWeakDenominators) {
  std::mt19937_64 engine(2);
  std::normal_distribution<double> normal;
  for (const double denominator : {10.0, 1.0, 0.3}) {
    const double covered = share_of(4000, [&] {
      Values numerators;
      Values denominators;
      for (int i = 0; i < 8; ++i) {
        const double shared = normal(engine);
        numerators.push_back(5.0 * denominator + 2.0 * shared + normal(engine));
        denominators.push_back(denominator + shared);
      }
      return ratio_estimate(numerators, denominators).contains(5.0);
    });
    EXPECT_GE(covered, 0.95 - 0.0138) << denominator;
    // Dropping the ratios below 0 or with a denominator below 0 can only add to what is covered.
    if (denominator == 10.0) {
      EXPECT_LE(covered, 0.95 + 0.0138);
    }
  }
}

TEST(RatioEstimate, SaysWhatFewOrUnusableValuesSay) {
  EXPECT_TRUE(std::isnan(ratio_estimate({}, {}).value));
  const Estimate one = ratio_estimate(Values{6.0}, Values{2.0});
  EXPECT_EQ(one.value, 3.0);
  EXPECT_EQ(one.low, 0.0);
  EXPECT_EQ(one.high, kInfinity);
  const Estimate exact = ratio_estimate(Values{6.0, 6.0}, Values{2.0, 2.0});
  EXPECT_NEAR(exact.low, 3.0, 1e-12);
  EXPECT_NEAR(exact.high, 3.0, 1e-12);
  EXPECT_TRUE(std::isnan(ratio_estimate(Values{1.0, kNone}, Values{1.0, 1.0}).value));
  EXPECT_EQ(ratio_estimate(Values{1.0, 2.0}, Values{0.0, 0.0}).value, kInfinity);
  EXPECT_THROW((void)ratio_estimate(Values{1.0}, {}), std::invalid_argument);
}

TEST(ComparePaired, IsThePairedTTest) {
  const PairedComparison sleep = compare_paired(kFirstDrug, kSecondDrug);
  EXPECT_NEAR(sleep.p_value, 0.002832890197384273, 1e-9);
  EXPECT_TRUE(sleep.differs);
  EXPECT_EQ(sleep.more_pairs, 0);
  EXPECT_NEAR(sleep.difference.value, 1.58, 1e-12);
  EXPECT_NEAR(sleep.not_above, 2.4598857632769824, 1e-9);
  EXPECT_FALSE(compare_paired(kFirstDrug, kSecondDrug, 0.999).differs);
}

TEST(ComparePaired, SaysHowManyMorePairsWouldCallTheDifference) {
  // Effects of 0.505 and 0.456 standard deviations: 33 and 40 pairs have a power of 80 %.
  const PairedComparison five =
      compare_paired(Values{1.0, 2.0, 3.0, 4.0, 5.0}, Values{1.5, 1.9, 3.6, 4.1, 4.8});
  EXPECT_NEAR(five.p_value, 0.32186325956522416, 1e-9);
  EXPECT_FALSE(five.differs);
  EXPECT_EQ(five.more_pairs, 28);
  EXPECT_NEAR(five.not_above, 0.6224925361215603, 1e-9);
  const PairedComparison four =
      compare_paired(Values{0.9, 0.91, 0.89, 0.9}, Values{0.91, 0.905, 0.9, 0.899});
  EXPECT_EQ(four.more_pairs, 36);
  // An effect that is nearly nothing needs more pairs than anyone runs, and still has an answer.
  const PairedComparison tiny = compare_paired(Values{0.0, 0.0}, Values{1.0, -1.0 + 1e-12});
  ASSERT_TRUE(tiny.more_pairs.has_value());
  EXPECT_GT(*tiny.more_pairs, 1'000'000'000);
}

TEST(ComparePaired, SaysWhatFewOrEqualPairsSay) {
  for (const Values& few : {Values{}, Values{1.0}}) {
    const PairedComparison none = compare_paired(few, few);
    EXPECT_TRUE(std::isnan(none.p_value));
    EXPECT_FALSE(none.differs);
    EXPECT_EQ(none.not_above, kInfinity);
    EXPECT_EQ(none.more_pairs, std::nullopt);
  }
  const PairedComparison same = compare_paired(kFirstDrug, kFirstDrug);
  EXPECT_EQ(same.p_value, 1.0);
  EXPECT_FALSE(same.differs);
  EXPECT_EQ(same.not_above, 0.0);
  EXPECT_EQ(same.more_pairs, std::nullopt);
  const PairedComparison shifted = compare_paired(Values{1.0, 2.0}, Values{3.0, 4.0});
  EXPECT_EQ(shifted.p_value, 0.0);
  EXPECT_TRUE(shifted.differs);
  const PairedComparison broken = compare_paired(Values{1.0, kNone}, Values{3.0, 4.0});
  EXPECT_TRUE(std::isnan(broken.p_value));
  EXPECT_FALSE(broken.differs);
  EXPECT_THROW((void)compare_paired(Values{1.0}, {}), std::invalid_argument);
}

/// The same setting over different seeds. Exact tests call a difference in 5 % of trials; more than
/// 21 or fewer than 2 of 200 happen with a probability below 0.001 each (binomial).
TEST(ComparePaired, CallsTheSameSettingDifferentAsRarelyAsItSays) {
  for (const std::size_t seeds : {3, 5, 10}) {
    std::mt19937_64 engine(seeds);
    int called = 0;
    for (int trial = 0; trial < 200; ++trial) {
      const Values first = normal_draws(engine, seeds, 0.88, 0.003);
      const Values second = normal_draws(engine, seeds, 0.88, 0.003);
      called += compare_paired(first, second).differs ? 1 : 0;
    }
    EXPECT_LE(called, 21) << seeds;
    EXPECT_GE(called, 2) << seeds;
  }
}

/// With the pairs that more_pairs asks for, a difference of that size is called about 4 times in 5.
TEST(ComparePaired, HasThePowerItPromises) {
  const PairedComparison found =
      compare_paired(Values{0.0, 0.0, 0.0, 0.0}, Values{2.0, -1.0, 0.5, 1.5});
  ASSERT_TRUE(found.more_pairs.has_value() && *found.more_pairs > 0);
  const auto pairs = static_cast<std::size_t>(4 + *found.more_pairs);
  const Values nothing(pairs, 0.0);
  const double deviation = std::sqrt(21.0 / 12.0);  // of the four differences, whose mean is 0.75
  std::mt19937_64 engine(3);
  const double called = share_of(2000, [&] {
    return compare_paired(nothing, normal_draws(engine, pairs, 0.75, deviation)).differs;
  });
  // A share of 2000 varies by 0.009; the last pair adds at most 0.02.
  EXPECT_GE(called, 0.8 - 0.036);
  EXPECT_LE(called, 0.82 + 0.036);
}

TEST(HolmAdjusted, IsHolmsStepDown) {
  const Values adjusted = holm_adjusted(Values{0.01, 0.04, 0.03, 0.005});
  // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
  const Values expected{0.03, 0.06, 0.06, 0.02};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-12);
  EXPECT_EQ(holm_adjusted(Values{0.9, 0.8}), (Values{1.0, 1.0}));
  EXPECT_TRUE(holm_adjusted({}).empty());
}

TEST(HolmAdjusted, LeavesOutWhatIsNotANumber) {
  const Values adjusted = holm_adjusted(Values{0.02, kNone, 0.01});
  EXPECT_NEAR(adjusted[0], 0.02, 1e-12);
  EXPECT_TRUE(std::isnan(adjusted[1]));
  EXPECT_NEAR(adjusted[2], 0.02, 1e-12);
}

TEST(FitPowerLaw, IsARegressionOfLogarithms) {
  const PowerLaw law =
      fit_power_law(Values{1.0, 2.0, 4.0, 8.0, 16.0}, Values{3.1, 1.4, 0.8, 0.36, 0.2});
  EXPECT_NEAR(law.exponent.value, -0.9867750636276403, 1e-9);
  EXPECT_NEAR(law.exponent.low, -1.0875394485026233, 1e-9);
  EXPECT_NEAR(law.exponent.high, -0.8860106787526574, 1e-9);
  EXPECT_NEAR(law.factor, 2.9763241540383123, 1e-9);
  const PowerLaw exact = fit_power_law(Values{1.0, 3.0, 9.0}, Values{2.0, 18.0, 162.0});
  EXPECT_NEAR(exact.exponent.value, 2.0, 1e-12);
  EXPECT_NEAR(exact.exponent.high - exact.exponent.low, 0.0, 1e-6);
  EXPECT_NEAR(exact.factor, 2.0, 1e-9);
}

TEST(FitPowerLaw, LeavesOutWhatHasNoLogarithm) {
  const PowerLaw law =
      fit_power_law(Values{0.0, 1.0, 2.0, kNone, 4.0, 8.0}, Values{5.0, 1.0, 2.0, 3.0, -4.0, 8.0});
  EXPECT_EQ(law.exponent.count, 3);
  EXPECT_NEAR(law.exponent.value, 1.0, 1e-12);
  const PowerLaw two = fit_power_law(Values{1.0, 2.0}, Values{1.0, 4.0});
  EXPECT_NEAR(two.exponent.value, 2.0, 1e-12);
  EXPECT_EQ(two.exponent.high, kInfinity);
  EXPECT_EQ(two.exponent.low, -kInfinity);
  EXPECT_TRUE(std::isnan(fit_power_law(Values{2.0, 2.0, 2.0}, Values{1.0, 2.0, 3.0}).factor));
  EXPECT_TRUE(std::isnan(fit_power_law({}, {}).exponent.value));
  EXPECT_THROW((void)fit_power_law(Values{1.0}, {}), std::invalid_argument);
}

TEST(FitPowerLaw, CoversTheTrueExponentAsOftenAsItSays) {
  std::mt19937_64 engine(4);
  const Values x{16, 32, 64, 128, 256, 512};
  const double covered = share_of(4000, [&] {
    const Values noise = normal_draws(engine, x.size(), 0.0, 0.2);
    Values y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      y.push_back(3.0 * std::pow(x[i], -0.7) * std::exp(noise[i]));
    }
    return fit_power_law(x, y).exponent.contains(-0.7);
  });
  EXPECT_NEAR(covered, 0.95, 0.0138);
}

TEST(Quantile, LiesBetweenOrderStatistics) {
  const Values values{40.0, 15.0, 50.0, 20.0, 35.0};
  EXPECT_NEAR(quantile(values, 0.4), 29.0, 1e-12);
  EXPECT_EQ(quantile(values, 0.5), 35.0);
  EXPECT_EQ(quantile(values, 0.0), 15.0);
  EXPECT_EQ(quantile(values, 1.0), 50.0);
  EXPECT_EQ(quantile({7.0}, 0.3), 7.0);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
  EXPECT_TRUE(std::isnan(quantile({1.0, kNone}, 0.5)));
}

}  // namespace
}  // namespace batchwise
