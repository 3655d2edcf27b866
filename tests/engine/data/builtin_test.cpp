#include "engine/data/builtin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Shape = std::vector<std::int64_t>;

DataConfig config_of(const char* name, std::int64_t samples = 0, std::int64_t test_samples = -1) {
  DataConfig config;
  config.name = name;
  config.samples = samples;
  config.test_samples = test_samples;
  return config;
}

std::uint64_t hash_of_labels(const Samples& samples) {
  return hash_of(std::as_bytes(std::span(samples.labels)));
}

TEST(Builtin, Defaults) {
  const Dataset digits = draw_builtin(config_of("digits"), 0);
  EXPECT_EQ(digits.train.count, 10000);
  EXPECT_EQ(digits.train.type, ElementType::u8);
  EXPECT_EQ(digits.train.shape, (Shape{1, 28, 28}));
  EXPECT_EQ(digits.train.features.size(), 7840000u);
  EXPECT_TRUE(digits.train.files.empty());
  EXPECT_EQ(digits.test.value().count, 2000);

  const Dataset blobs = draw_builtin(config_of("blobs"), 0);
  EXPECT_EQ(blobs.train.count, 1000);
  EXPECT_EQ(blobs.train.type, ElementType::f32);
  EXPECT_EQ(blobs.train.shape, Shape{2});
  EXPECT_EQ(std::set(blobs.train.labels.begin(), blobs.train.labels.end()), (std::set{0, 1, 2}));
  EXPECT_EQ(blobs.test.value().count, 200);

  const Dataset random = draw_builtin(config_of("random"), 0);
  EXPECT_EQ(random.train.count, 1000);
  EXPECT_EQ(random.train.shape, Shape{10});
  EXPECT_EQ(std::set(random.train.labels.begin(), random.train.labels.end()), (std::set{0, 1}));
  EXPECT_FALSE(random.test.has_value());
}

// Whoever changes one of these numbers changes every result measured on the data set.
TEST(Builtin, NeverChanges) {
  const Dataset digits = draw_builtin(config_of("digits", 100, 100), 0);
  EXPECT_EQ(hash_of(digits.train.features), 0xd9d79d53432c075fu);
  EXPECT_EQ(hash_of_labels(digits.train), 0x76849053e4509c5du);
  EXPECT_EQ(hash_of(digits.test->features), 0xefca621cbfd4a59eu);
  const Dataset blobs = draw_builtin(config_of("blobs", 100, 100), 1);
  EXPECT_EQ(hash_of(blobs.train.features), 0x2d5aadd3bf4a177du);
  EXPECT_EQ(hash_of(blobs.test->features), 0x96aa273a75f19cb5u);
  DataConfig random = config_of("random", 100);
  EXPECT_EQ(hash_of(draw_builtin(random, 2).train.features), 0xcc84ffb5af120b55u);
  random.distribution = "uniform";
  EXPECT_EQ(hash_of(draw_builtin(random, 2).train.features), 0xa2eebd06bfe06cb7u);
}

TEST(Builtin, ASampleDoesNotDependOnTheNumberOfSamples) {
  for (const char* name : {"digits", "blobs", "random"}) {
    const Dataset few = draw_builtin(config_of(name, 10, 5), 3);
    const Dataset many = draw_builtin(config_of(name, 20, 9), 3);
    EXPECT_TRUE(std::equal(few.train.features.begin(), few.train.features.end(),
                           many.train.features.begin()));
    EXPECT_TRUE(
        std::equal(few.train.labels.begin(), few.train.labels.end(), many.train.labels.begin()));
    EXPECT_TRUE(std::equal(few.test->features.begin(), few.test->features.end(),
                           many.test->features.begin()));
  }
}

TEST(Builtin, SeedAndSplitChangeTheSamples) {
  for (const char* name : {"digits", "blobs", "random"}) {
    const Dataset data = draw_builtin(config_of(name, 10, 10), 3);
    EXPECT_NE(data.train.features, data.test->features) << name;
    EXPECT_NE(data.train.features, draw_builtin(config_of(name, 10, 10), 4).train.features) << name;
  }
}

TEST(Builtin, DigitsAreBalancedAndHaveInkAndBackground) {
  const Dataset data = draw_builtin(config_of("digits", 2000, 0), 5);
  std::vector<int> counts(10);
  for (const std::int32_t label : data.train.labels) ++counts.at(static_cast<std::size_t>(label));
  EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 140);
  EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 260);
  for (std::int64_t sample = 0; sample < data.train.count; ++sample) {
    const auto begin = data.train.features.begin() + sample * 784;
    const auto ink =
        std::count_if(begin, begin + 784, [](std::byte b) { return b >= std::byte{100}; });
    EXPECT_GE(ink, 10) << sample;
    EXPECT_LE(ink, 300) << sample;
  }
}

TEST(Builtin, NormalFeaturesHaveMeanZeroAndDeviationOne) {
  DataConfig config = config_of("random", 10000);
  const std::vector<float> values = floats(draw_builtin(config, 6).train);
  double sum = 0.0, square = 0.0;
  for (const float value : values) {
    sum += value;
    square += double{value} * value;
    ASSERT_LT(std::abs(value), 4.9f);
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 5.0 / std::sqrt(count));
  EXPECT_NEAR(square / count, 1.0, 5.0 * std::sqrt(2.0 / count));
}

TEST(Builtin, UniformFeaturesFillTheUnitInterval) {
  DataConfig config = config_of("random", 10000);
  config.distribution = "uniform";
  const std::vector<float> values = floats(draw_builtin(config, 6).train);
  double sum = 0.0;
  for (const float value : values) sum += value;
  EXPECT_NEAR(sum / static_cast<double>(values.size()), 0.5, 0.005);
  EXPECT_GE(*std::min_element(values.begin(), values.end()), 0.0f);
  EXPECT_LT(*std::max_element(values.begin(), values.end()), 1.0f);
}

TEST(Builtin, SizesAreTaken) {
  DataConfig config = config_of("blobs", 50, 0);
  config.features = 7;
  config.classes = 20;
  const Dataset data = draw_builtin(config, 0);
  EXPECT_EQ(data.train.shape, Shape{7});
  EXPECT_GT(*std::max_element(data.train.labels.begin(), data.train.labels.end()), 9);
  EXPECT_FALSE(data.test.has_value());
}

TEST(Builtin, WrongConfigurations) {
  const auto expect = [](const DataConfig& config, std::initializer_list<std::string_view> parts) {
    expect_input_error([&] { (void)draw_builtin(config, 0); }, parts);
  };
  expect(config_of("moons"), {"data.name = \"moons\"", "\"digits\", \"blobs\" or \"random\""});
  expect(config_of("blobs", -5), {"data.samples = -5"});
  expect(config_of("blobs", 5, -2), {"data.test_samples = -2"});
  expect(config_of("blobs", std::int64_t{1} << 40), {"data.samples = 1099511627776", "2147483647"});
  DataConfig config = config_of("digits");
  config.features = 100;
  expect(config, {"data.features = 100", "784"});
  config = config_of("blobs");
  config.classes = 1;
  expect(config, {"data.classes = 1"});
  config = config_of("random");
  config.distribution = "cauchy";
  expect(config, {"data.distribution = \"cauchy\"", "\"normal\" or \"uniform\""});
}

TEST(Builtin, SizesThatNoMemoryHoldsAreRefusedByTheirKeys) {
  DataConfig config = config_of("blobs");
  config.classes = config.features = INT32_MAX;
  expect_input_error([&] { (void)draw_builtin(config, 0); },
                     {"2147483647 x 2147483647", "data.classes or data.features"});
  config = config_of("random", INT32_MAX);
  config.features = INT32_MAX;
  expect_input_error([&] { (void)draw_builtin(config, 0); },
                     {"builtin \"random\"", "data.samples or data.features"});
}

}  // namespace
}  // namespace batchwise
