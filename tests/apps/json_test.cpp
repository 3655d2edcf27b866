// --json: exactly one object on standard output, whatever happens, and null for what is no number.
#include <gmock/gmock.h>

#include "engine/files/safetensors.h"
#include "tests/apps/program.h"

namespace batchwise {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

class JsonOutput : public ProgramTest {
 protected:
  void SetUp() override { write("experiment.toml", small_experiment()); }

  /// The one object a command prints, with what every such object has.
  [[nodiscard]] Json object_of(const std::vector<std::string>& arguments, const char* command,
                               int exit_code) const {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << result.messages;
    const std::vector<Json> lines = json_lines(result.output);
    EXPECT_EQ(lines.size(), 1u) << result.output;
    if (lines.size() != 1) return {};
    const Json& object = lines.front();
    EXPECT_EQ(object.at("command"), command);
    EXPECT_EQ(object.at("exit_code"), exit_code);
    EXPECT_TRUE(object.at("version").is_string());
    EXPECT_EQ(object.contains("result"), exit_code == 0);
    EXPECT_EQ(object.contains("error"), exit_code != 0);
    EXPECT_EQ(object.size(), 4u);
    return object;
  }
};

TEST_F(JsonOutput, EveryCommandPrintsOneObject) {
  const Json trained =
      object_of({"train", "experiment.toml", "--out", "run", "--json"}, "train", 0);
  EXPECT_EQ(trained["result"], Json::parse(read("run/summary.json")));
  const Json evaluated = object_of({"evaluate", "run", "--json"}, "evaluate", 0);
  for (const char* key : {"loss", "accuracy", "samples", "batch_size"}) {
    EXPECT_TRUE(evaluated["result"].at(key).is_number()) << key;
  }
  const Json predicted = object_of({"predict", "--json", "run", "--out", "p.npy"}, "predict", 0);
  EXPECT_EQ(predicted["result"]["samples"], 60);
  EXPECT_EQ(predicted["result"]["classes"], 3);
  EXPECT_EQ(predicted["result"]["values"], "probabilities");
  const Json starter = object_of({"new", "blobs-mlp", "--json"}, "new", 0);
  EXPECT_THAT(starter["result"]["text"], HasSubstr("[data]"));
  const Json demo = object_of({"demo", "--json", "--set", "training.max_steps=1", "--set",
                               "data.samples=50", "--set", "data.test_samples=10"},
                              "demo", 0);
  EXPECT_EQ(demo["result"]["runs"].size(), 3u);
  const Json explained = object_of({"train", "experiment.toml", "--explain", "--json"}, "train", 0);
  EXPECT_TRUE(explained["result"].at("schedule").is_string());
}

TEST_F(JsonOutput, ErrorsAreObjectsToo) {
  const Json input = object_of({"train", "no.toml", "--json"}, "train", 2);
  EXPECT_THAT(input["error"], HasSubstr("no.toml"));
  const Json option = object_of({"train", "experiment.toml", "--lr", "1", "--json"}, "train", 2);
  EXPECT_THAT(option["error"], HasSubstr("--lr"));
  const Json command = object_of({"--json"}, "", 2);
  EXPECT_THAT(command["error"], HasSubstr("no command"));
  const Json diverged =
      object_of({"train", "experiment.toml", "--learning-rate", "1e30", "--json"}, "train", 1);
  EXPECT_THAT(diverged["error"], HasSubstr("not finite"));
}

TEST_F(JsonOutput, TheErrorIsOnStandardErrorAsWell) {
  const ProgramResult result = run({"train", "no.toml", "--json"});
  EXPECT_THAT(result.messages, HasSubstr(Json::parse(result.output)["error"].get<std::string>()));
}

TEST_F(JsonOutput, WhatIsNotANumberIsNull) {
  // The logits are the features, and so far apart in the test sample that the loss overflows.
  write("train.csv", "1,0,0\n0,1,1\n");
  write("test.csv", "-3e38,3e38,0\n");
  write("experiment.toml",
        "[data]\nkind = \"csv\"\ntrain = \"train.csv\"\ntest = \"test.csv\"\n"
        "[model]\nlayers = [{ type = \"dense\", units = 2 }]\n[training]\nepochs = 0\n");
  const std::vector<TensorData> identity{f32_tensor("dense_1.weight", {2, 2}, {1, 0, 0, 1}),
                                         f32_tensor("dense_1.bias", {2}, {0, 0})};
  write_safetensors(path("identity.safetensors"), identity);
  const Json trained = object_of(
      {"train", "experiment.toml", "--init", "identity.safetensors", "--out", "run", "--json"},
      "train", 0);
  EXPECT_TRUE(trained["result"].at("test_loss").is_null()) << trained["result"]["test_loss"];
  EXPECT_TRUE(Json::parse(read("run/summary.json")).at("test_loss").is_null());
  EXPECT_TRUE(object_of({"evaluate", "run", "--json"}, "evaluate", 0)["result"]["loss"].is_null());
}

TEST_F(JsonOutput, NamesThatAreNotUtf8AreReplaced) {
  write("\xff.toml", small_experiment());
  const Json trained = object_of({"train", "\xff.toml", "--json"}, "train", 0);
  EXPECT_EQ(trained["result"]["experiment"], "\uFFFD");
}

}  // namespace
}  // namespace batchwise
