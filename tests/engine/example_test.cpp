// The C++ example of the README, which is the marked region of this file, compiled and run.

// README example begins
#include <cstdio>

#include "engine/batchwise.h"

void train_digits() {
  using namespace batchwise;
  const char* const text = R"(
      data = { kind = "builtin", name = "digits", samples = 2000, test_samples = 500 }
      model = { layers = [{ type = "flatten" }, { type = "dense", units = 10 }] }
      training = { epochs = 5, batch_size = 32 })";
  const Experiment experiment = parse_experiment(text, "example", ".", {});
  Session session(experiment, load_dataset(experiment.data, experiment.seed));
  const TrainingSummary summary = Trainer(session, nullptr).run();
  std::printf("test accuracy %.3f\n", summary.test->accuracy);
}
// README example ends

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace batchwise {
namespace {

std::string text_of(const char* name) {
  const std::filesystem::path path = std::filesystem::path(BATCHWISE_SOURCE_DIR) / name;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// What stands between two texts; fails where one is missing.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t first = text.find(begin);
  const std::size_t last =
      first == std::string::npos ? first : text.find(end, first + begin.size());
  if (last == std::string::npos) throw std::runtime_error("no text from " + begin + " to " + end);
  return text.substr(first + begin.size(), last - first - begin.size());
}

TEST(ReadmeExample, IsTheCodeBlockOfTheReadme) {
  EXPECT_EQ(between(text_of("README.md"), "```cpp\n", "```\n"),
            between(text_of("tests/engine/example_test.cpp"), "// README example begins\n",
                    "// README example ends\n"));
}

TEST(ReadmeExample, TrainsToAnAccuracyFarAboveChance) {
  testing::internal::CaptureStdout();
  train_digits();
  const std::string printed = testing::internal::GetCapturedStdout();
  ASSERT_THAT(printed, testing::StartsWith("test accuracy 0."));
  EXPECT_GT(std::stod(printed.substr(printed.rfind(' '))), 0.8);  // chance is 0.1
}

}  // namespace
}  // namespace batchwise
