// --set section.key=value on top of an experiment file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/model/experiment_support.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(ExperimentOverrides, TakeTomlValuesAndBareWords) {
  const Experiment experiment =
      parsed(kSmallest + "[training]\nbatch_size = 8\n",
             {"training.batch_size=64", "optimizer.name=sgd", "optimizer.learning_rate = 1e-2",
              "optimizer.nesterov=true", "optimizer.momentum=0.5", "schedule.kind=\"step\"",
              "schedule.at=[1, 2]", "seed=3", "training.early_stopping.min_delta=0.5"});
  EXPECT_EQ(experiment.training.batch_size, 64);
  EXPECT_EQ(experiment.optimizer.name, OptimizerName::sgd);
  EXPECT_EQ(experiment.optimizer.learning_rate, 0.01);
  EXPECT_TRUE(experiment.optimizer.nesterov);
  EXPECT_EQ(experiment.schedule.at, (std::vector<double>{1.0, 2.0}));
  EXPECT_EQ(experiment.seed, 3u);
  EXPECT_EQ(experiment.training.early_stopping.min_delta, 0.5);
}

TEST(ExperimentOverrides, ReachIntoLayersAndReplaceThem) {
  const std::string text = with_layers(
      "{ type = \"dense\", units = 4, activation = \"relu\" },\n{ type = \"dense\", units = 3 }");
  const Experiment changed =
      parsed(text, {"model.layers.0.units=64", "model.layers.0.activation=tanh"});
  EXPECT_EQ(changed.model.layers[0].units, 64);
  EXPECT_EQ(changed.model.layers[0].activation, Activation::tanh);
  EXPECT_EQ(changed.model.layers[0].line, 6);

  const Experiment one = parsed(text, {"model.layers.0={type=\"flatten\"}"});
  EXPECT_EQ(one.model.layers[0].type, LayerType::flatten);
  EXPECT_EQ(one.model.layers[0].line, 0);

  const Experiment all = parsed(text, {"model.layers=[{type=\"dense\", units=7}]"});
  ASSERT_EQ(all.model.layers.size(), 1u);
  EXPECT_EQ(all.model.layers[0].units, 7);
}

TEST(ExperimentOverrides, PathsAreRelativeToTheCurrentDirectory) {
  const std::string text = "[data]\nkind = \"csv\"\ntrain = \"train.csv\"\n" + kModel;
  const Experiment experiment = parsed(text, {"data.test=a/../test.csv"});
  EXPECT_EQ(experiment.data.train, "/folder/train.csv");
  EXPECT_EQ(experiment.data.test, std::filesystem::current_path() / "test.csv");
  EXPECT_EQ(parsed(text, {"data.train=/absolute.csv"}).data.train, "/absolute.csv");
  EXPECT_EQ(parsed(text, {"data.test="}).data.test, "");
  EXPECT_EQ(parsed(text, {"data.train=/a#b \"c\\d"}).data.train, "/a#b \"c\\d");
}

struct Refused {
  std::vector<std::string> overrides;
  std::string message;
};

const Refused kRefused[] = {
    {{"optimizer.lr=0.1"},
     "--set optimizer.lr=0.1: unknown key optimizer.lr; did you mean optimizer.learning_rate?"},
    {{"lr=0.1"}, "--set lr=0.1: unknown key lr; did you mean optimizer.learning_rate?"},
    {{"trainning.epochs=3"},
     "--set trainning.epochs=3: unknown key trainning; did you mean training?"},
    {{"model.layers.0.unit=3"},
     "--set model.layers.0.unit=3: unknown key model.layers.0.unit; did you mean "
     "model.layers.0.units?"},
    {{"training.epochs=many"},
     "--set training.epochs=many: training.epochs is the string \"many\"; expected an integer of "
     "at least 0"},
    {{"training.epochs="},
     "--set training.epochs=: training.epochs is the string \"\"; expected an integer of at least "
     "0"},
    {{"optimizer.beta1=2"},
     "--set optimizer.beta1=2: optimizer.beta1 is the integer 2; expected a number in [0, 1)"},
    {{"training.micro_batch_size=33"},
     "--set training.micro_batch_size=33: training.micro_batch_size is 33, above "
     "training.batch_size = 32; a micro-batch is a part of the batch"},
    {{"training.epochs=1", "training.epochs=1"},
     "--set training.epochs=1: training.epochs is set twice on the command line; keep one"},
    {{"training.early_stopping={patience=0}", "training.early_stopping.patience=0"},
     "--set training.early_stopping.patience=0: training.early_stopping is set twice on the "
     "command line; keep one"},
    {{"training.epochs"},
     "--set training.epochs: expected section.key=value, for example training.batch_size=64"},
    {{"training..epochs=1"},
     "--set training..epochs=1: expected section.key=value, for example training.batch_size=64"},
    {{"=1"}, "--set =1: expected section.key=value, for example training.batch_size=64"},
    {{"model.layers.1.units=3"},
     "--set model.layers.1.units=3: 1 does not exist in a list of 1 elements, counted from 0"},
    {{"model.layers.first.units=3"},
     "--set model.layers.first.units=3: first does not exist in a list of 1 elements, counted "
     "from 0"},
    {{"data.name.first=3"},
     "--set data.name.first=3: first does not exist in the string \"blobs\""},
    {{"training=3"}, "--set training=3: training is the integer 3; expected a table"},
};

TEST(ExperimentOverrides, RefuseByNamingTheOverride) {
  for (const Refused& refused : kRefused) {
    EXPECT_EQ(refusal(kSmallest, refused.overrides), refused.message);
  }
}

TEST(ExperimentOverrides, MalformedValuesAreNotWords) {
  EXPECT_THAT(refusal(kSmallest, {"schedule.at=[1"}), StartsWith("--set schedule.at=[1: "));
  EXPECT_THAT(refusal(kSmallest, {"data.name=\"digits"}), StartsWith("--set data.name=\"digits: "));
  EXPECT_THAT(refusal(kSmallest, {"training.epochs=1\nseed=2"}), HasSubstr("expected one value"));
  EXPECT_THAT(refusal(kSmallest, {"data.name=\xff"}), StartsWith("--set data.name="));
}

}  // namespace
}  // namespace batchwise
