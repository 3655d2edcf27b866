// Targets at which training ends: what is read, and what is refused.
#include "engine/model/until.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>

#include "engine/error.h"
#include "engine/model/experiment_file.h"

namespace batchwise {
namespace {

TEST(Until, ReadsMetricDirectionAndValue) {
  const std::optional<Until> accuracy = parse_until("validation_accuracy >= 0.88");
  ASSERT_TRUE(accuracy);
  EXPECT_EQ(accuracy->metric, Until::Metric::validation_accuracy);
  EXPECT_TRUE(accuracy->of_validation());
  EXPECT_TRUE(accuracy->reached_by(0.88));
  EXPECT_FALSE(accuracy->reached_by(0.8799));
  const std::optional<Until> loss = parse_until("train_loss<=1e-2");
  ASSERT_TRUE(loss);
  EXPECT_EQ(loss->metric, Until::Metric::train_loss);
  EXPECT_FALSE(loss->of_validation());
  EXPECT_TRUE(loss->reached_by(0.01));
  EXPECT_FALSE(loss->reached_by(0.011));
  EXPECT_FALSE(loss->reached_by(std::nan("")));
  EXPECT_FALSE(accuracy->reached_by(std::nan("")));
}

TEST(Until, NoneIsNoTarget) { EXPECT_FALSE(parse_until("none")); }

TEST(Until, RefusesWhatItCannotRead) {
  for (const char* text : {"", "validation_accuracy", "validation_accuracy>", "accuracy>=0.9",
                           "validation_accuracy>0.9", "validation_accuracy=0.9", "train_loss<=",
                           "train_loss<=low", "train_loss<=0.1x", "train_loss<=nan", ">=0.5"}) {
    EXPECT_THROW((void)parse_until(text), InputError) << text;
  }
}

TEST(Until, AnExperimentNamesTheKeyItRefuses) {
  const auto experiment = [](const char* until, const char* split) {
    return parse_experiment(
        fmt::format("data = {{ kind = \"builtin\", name = \"blobs\", validation_split = {} }}\n"
                    "model.layers = [{{ type = \"dense\", units = 3 }}]\n"
                    "training.until = \"{}\"\n",
                    split, until),
        "experiment", ".", {});
  };
  EXPECT_EQ(experiment("validation_loss<=0.5", "0.1").training.until, "validation_loss<=0.5");
  EXPECT_NO_THROW((void)experiment("train_loss<=0.5", "0.0"));
  EXPECT_THAT([&] { (void)experiment("accuracy>=0.5", "0.1"); },
              testing::ThrowsMessage<InputError>(testing::AllOf(
                  testing::HasSubstr("experiment:3"), testing::HasSubstr("validation_accuracy"))));
  EXPECT_THAT([&] { (void)experiment("validation_loss<=0.5", "0.0"); },
              testing::ThrowsMessage<InputError>(testing::HasSubstr("data.validation_split")));
}

}  // namespace
}  // namespace batchwise
