// batchwise verify as a user meets it: exit codes, the table, --json, and its options.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>

#include "tests/apps/program.h"
#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class VerifyCommand : public ProgramTest {
 protected:
  /// The program with a wrong softmax on the cpu.
  [[nodiscard]] ProgramResult run_with_fault(const std::string& arguments) const {
    const std::string command = "cd '" + folder().string() + "' && '" + BATCHWISE_FAULTY_PROGRAM +
                                "' verify --device cpu " + arguments + " > output 2> messages";
    const int status = std::system(command.c_str());
    return {WEXITSTATUS(status), read("output"), read("messages")};
  }
};

TEST_F(VerifyCommand, PassesTheCpuInEverything) {
  const Json report = result_of({"verify", "--device", "cpu", "--shapes", "1"});
  EXPECT_EQ(report["passed"], true);
  EXPECT_EQ(report["not_covered"], Json::array());
  EXPECT_GT(report["operations"].size(), 20u);
  for (const Json& operation : report["operations"]) {
    EXPECT_EQ(operation["passed"], true) << operation;
    EXPECT_GT(operation["cases"], 20) << operation;
    EXPECT_EQ(operation["left_out"], 0) << operation;
    EXPECT_LE(operation["worst_error"], 1.0) << operation;
  }
  for (const char* part : {"plans", "invariance"}) {
    EXPECT_GE(report[part].size(), 8u);
    for (const Json& check : report[part]) {
      EXPECT_EQ(check["passed"], true) << check;
      EXPECT_GE(check["comparisons"], 3) << check;
    }
  }
}

TEST_F(VerifyCommand, TheTableNamesWhatWasVerified) {
  const ProgramResult result =
      run({"verify", "--device", "cpu", "--op", "gather", "--shapes", "1", "--progress", "none"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("device cpu, seed 0\n"), HasSubstr("bits (level 6)"),
                    HasSubstr("u8,f32"), HasSubstr("everything passed"), Not(HasSubstr("FAILED"))));
  EXPECT_EQ(result.messages, "");
}

TEST_F(VerifyCommand, JsonIsOneObjectWithWhatTheTableSays) {
  const ProgramResult result = run({"verify", "--device", "cpu", "--op", "softmax,gather", "--op",
                                    "dropout", "--shapes", "0", "--seed", "3", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.messages;
  const std::vector<Json> lines = json_lines(result.output);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["command"], "verify");
  EXPECT_EQ(lines[0]["exit_code"], 0);
  const Json& report = lines[0]["result"];
  EXPECT_EQ(report["passed"], true);
  EXPECT_EQ(report["device"], "cpu");
  EXPECT_EQ(report["numerics"], "invariant");
  EXPECT_EQ(report["seed"], 3);
  EXPECT_EQ(report["plans"].size(), 0u);
  EXPECT_EQ(report["invariance"].size(), 0u);
  ASSERT_EQ(report["operations"].size(), 3u);
  EXPECT_EQ(report["operations"][0]["operation"], "gather");
  EXPECT_EQ(report["operations"][0]["types"], Json({"u8", "f32"}));
  for (const Json& operation : report["operations"]) {
    EXPECT_EQ(operation["passed"], true);
    EXPECT_GT(operation["cases"], 50);
    EXPECT_EQ(operation["left_out"], 0);
    EXPECT_EQ(operation["failed"], 0);
    EXPECT_LE(operation["worst_error"], 1.0);
    EXPECT_EQ(operation["failures"], Json::array());
    const Json& place = operation["worst"]["place"];
    for (const char* number : {"got", "expected", "bound", "error"}) {
      EXPECT_TRUE(place[number].is_number()) << number;
    }
    EXPECT_THAT(place["element"].get<std::string>(), HasSubstr("["));
  }
}

TEST_F(VerifyCommand, TheSameSeedGivesTheSameReport) {
  const std::vector<std::string> arguments = {"verify",   "--device", "cpu",    "--op",  "softmax",
                                              "--shapes", "3",        "--json", "--seed"};
  const auto output = [&](const std::string& seed) {
    std::vector<std::string> with_seed = arguments;
    with_seed.push_back(seed);
    return run(with_seed).output;
  };
  EXPECT_EQ(output("11"), output("11"));
  EXPECT_NE(output("11"), output("12"));
}

TEST_F(VerifyCommand, AFailureIsTheResultAndExitCodeOne) {
  const ProgramResult result = run_with_fault("--op softmax --shapes 0 --json");
  EXPECT_EQ(result.exit_code, 1);
  const std::vector<Json> lines = json_lines(result.output);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["exit_code"], 1);
  EXPECT_FALSE(lines[0].contains("error"));
  EXPECT_EQ(lines[0]["result"]["passed"], false);
  for (const Json& operation : lines[0]["result"]["operations"]) {
    EXPECT_EQ(operation["passed"], operation["operation"] != "softmax");
    if (operation["passed"]) continue;
    EXPECT_GT(operation["failed"], 0);
    EXPECT_THAT(operation["failures"][0]["message"].get<std::string>(),
                HasSubstr("probabilities[0, 0]"));
  }
  EXPECT_THAT(result.messages, HasSubstr("failed on cpu: softmax\n"));
}

TEST_F(VerifyCommand, AFailureIsNamedInTheTable) {
  const ProgramResult result = run_with_fault("--op softmax --shapes 0 --progress none");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("FAILED softmax: rows "), Not(HasSubstr("everything passed"))));
}

TEST_F(VerifyCommand, BadArgumentsAreExitCodeTwo) {
  const auto message_of = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all{"verify"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const ProgramResult result = run(all);
    EXPECT_EQ(result.exit_code, 2) << result.output;
    return result.messages;
  };
  EXPECT_THAT(message_of({"--op", "sofmax"}), HasSubstr("did you mean softmax?"));
  EXPECT_THAT(message_of({"--device", "tpu"}), HasSubstr("unknown device"));
  EXPECT_THAT(message_of({"--device", "reference"}), HasSubstr("the reference is the judge"));
  EXPECT_THAT(message_of({"--numerics", "exact"}), HasSubstr("expected invariant or fast"));
  EXPECT_THAT(message_of({"--seed", "-1"}), HasSubstr("expected an integer from 0 on"));
  EXPECT_THAT(message_of({"--shapes", "many"}), HasSubstr("expected an integer from 0 on"));
}

TEST_F(VerifyCommand, FastComparesNoBits) {
  const ProgramResult result = run({"verify", "--device", "cpu", "--numerics", "fast", "--op",
                                    "softmax", "--shapes", "0", "--progress", "none"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("bits are not promised"));
}

TEST_F(VerifyCommand, SaysWhatItDoesOnStandardError) {
  const ProgramResult result =
      run({"verify", "--device", "cpu", "--op", "dropout", "--shapes", "0"});
  EXPECT_EQ(result.messages, "verifying dropout\n");
}

}  // namespace
}  // namespace batchwise
