// `batchwise advise` as a user meets it: its table, its JSON, and what it refuses.
#include <gmock/gmock.h>

#include "tests/apps/program.h"

namespace batchwise {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class AdviseTest : public ProgramTest {
 protected:
  AdviseTest() { write("small.toml", small_experiment()); }
};

TEST_F(AdviseTest, RecommendsWithReasons) {
  const ProgramResult result = run({"advise", "small.toml", "--within", "3s"});
  EXPECT_EQ(result.exit_code, 0) << result.messages;
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("ms/update"), HasSubstr("noise scale:"), HasSubstr("batch size "),
                    HasSubstr("micro-batch "), HasSubstr("learning rate "), HasSubstr("warm-up ")));
  EXPECT_THAT(result.messages, HasSubstr("measuring seconds per update"));
}

TEST_F(AdviseTest, GivesTheSameAsJson) {
  const nlohmann::json report =
      result_of({"advise", "small.toml", "--within", "3", "--batch-sizes", "16,32"});
  ASSERT_EQ(report["batches"].size(), 2u);
  EXPECT_EQ(report["batches"][0]["batch_size"], 16);
  EXPECT_GT(report["batches"][0]["seconds_per_update"]["value"], 0.0);
  const nlohmann::json& batch = report["advice"]["batch_size"];
  EXPECT_LE(batch["low"], batch["value"]);
  EXPECT_LE(batch["value"], batch["high"]);
  EXPECT_GT(report["advice"]["learning_rate"]["value"], 0.0);
  EXPECT_FALSE(batch["reason"].get<std::string>().empty());
}

/// What it advises can be trained with.
TEST_F(AdviseTest, AdvisesWhatTrainAccepts) {
  const nlohmann::json advice = result_of({"advise", "small.toml", "--within", "2s"})["advice"];
  succeed({"train", "small.toml", "--out", "run", "--batch-size",
           advice["batch_size"]["value"].dump(), "--micro-batch-size",
           advice["micro_batch_size"]["value"].dump(), "--learning-rate",
           advice["learning_rate"]["value"].dump(), "--set",
           "schedule.warmup_epochs=" + advice["warmup_epochs"]["value"].dump()});
}

TEST_F(AdviseTest, RefusesWhatIsNoTime) {
  for (const char* within : {"0", "-3s", "soon", "3d", "s", ""}) {
    const ProgramResult result = run({"advise", "small.toml", "--within", within});
    EXPECT_EQ(result.exit_code, 2) << within;
    EXPECT_THAT(result.messages, HasSubstr("expected a time above 0, for example 60s, 2m or 1h"))
        << within;
  }
}

TEST_F(AdviseTest, RunsOnTheEmulatedDevice) {
  const nlohmann::json report = result_of(
      {"advise", "small.toml", "--within", "2s", "--device", "emulated", "--batch-sizes", "16"});
  EXPECT_EQ(report["device"], "emulated");
  EXPECT_EQ(report["advice"]["batch_size"]["value"], 16);
}

}  // namespace
}  // namespace batchwise
