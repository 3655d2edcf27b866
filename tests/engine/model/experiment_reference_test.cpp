// The table of keys: consistent in itself, with the structs' defaults and with docs/experiment.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "engine/model/experiment_fields.h"
#include "tests/engine/model/experiment_support.h"

namespace batchwise {
namespace {

const std::filesystem::path kReference =
    std::filesystem::path(BATCHWISE_SOURCE_DIR) / "docs/experiment.md";

TEST(ExperimentReference, IsTheCommittedDocument) {
  if (std::getenv("BATCHWISE_UPDATE") != nullptr) {
    std::ofstream(kReference, std::ios::binary) << experiment_reference();
  }
  std::ifstream stream(kReference, std::ios::binary);
  ASSERT_TRUE(stream) << kReference;
  const std::string committed{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(committed, experiment_reference())
      << "run this test with BATCHWISE_UPDATE=1 to rewrite " << kReference;
}

TEST(ExperimentSchema, HasARowForEveryFieldAndAFieldForEveryRow) {
  std::set<std::string> fields, rows;
  const auto collect = [&](std::string_view section, auto config) {
    for_each_field(config, [&](std::string_view name, auto&) {
      EXPECT_TRUE(fields.insert(std::string(section) + "." + std::string(name)).second);
    });
  };
  collect("", Experiment{});
  collect("data", DataConfig{});
  collect("model", ModelConfig{});
  collect("model.layers", LayerConfig{});
  collect("optimizer", OptimizerConfig{});
  collect("schedule", ScheduleConfig{});
  collect("batch_schedule", BatchScheduleConfig{});
  collect("training", TrainingConfig{});
  collect("training.early_stopping", EarlyStoppingConfig{});
  collect("measure", MeasureConfig{});
  for (const Key& key : experiment_keys()) {
    if (key.type == ValueType::section || key.type == ValueType::layers) continue;
    EXPECT_TRUE(rows.insert(std::string(key.section) + "." + std::string(key.name)).second)
        << path_of(key);
    EXPECT_FALSE(key.default_text.empty()) << path_of(key);
    EXPECT_TRUE(key.meaning.ends_with('.')) << path_of(key);
  }
  EXPECT_EQ(fields, rows);
}

/// The value written for a key of the experiment, as TOML; "" where it is not written.
std::string written(const std::string& file, const Key& key) {
  const std::string header = key.section.empty() ? "" : "[" + std::string(key.section) + "]\n";
  const std::size_t section = file.find(header);
  const std::string start = "\n" + std::string(key.name) + " = ";
  const std::size_t found = ("\n" + file).find(start, section);
  const std::size_t end = file.find("\n[", section);  // of the section
  if (section == std::string::npos || found == std::string::npos || found > end) return "";
  const std::size_t begin = found + start.size() - 1;
  return file.substr(begin, file.find('\n', begin) - begin);
}

TEST(ExperimentSchema, StatesTheDefaultsThatFilesGet) {
  const std::string random = "[data]\nkind = \"builtin\"\nname = \"random\"\n" + kModel;
  const std::string csv = "[data]\nkind = \"csv\"\ntrain = \"t\"\n" + kModel;
  const std::string files[] = {
      to_toml(parsed(random + "[schedule]\nkind = \"cosine\"\n")),
      to_toml(parsed(csv + "[optimizer]\nname = \"rmsprop\"\n"
                           "[schedule]\nkind = \"step\"\nat = [1]\n"
                           "[batch_schedule]\nkind = \"plateau\"\n",
                     {"data.validation_split=0.1"})),
      to_toml(parsed(csv + "[optimizer]\nname = \"sgd\"\n")),
  };
  for (const Key& key : experiment_keys()) {
    if (key.section.starts_with("model.") || key.section == "training.early_stopping") continue;
    if (key.default_text.empty() || key.default_text == "required") continue;
    if (path_of(key) == "optimizer.learning_rate") continue;  // tested by optimizer
    int times = 0;
    for (const std::string& file : files) {
      const std::string value = written(file, key);
      if (value.empty()) continue;
      if (key.name == "kind" && value != "\"constant\"") continue;
      if (path_of(key) == "data.validation_split" && value != "0.0") continue;
      if (path_of(key) == "optimizer.name" && value != "\"adam\"") continue;
      EXPECT_EQ(value, key.default_text) << path_of(key);
      ++times;
    }
    EXPECT_GT(times, 0) << path_of(key);
  }
}

TEST(ExperimentSchema, StatesTheDefaultsThatLayersGet) {
  const std::string file =
      to_toml(parsed(with_layers("{ type = \"batchnorm\" },\n{ type = \"dense\", units = 3 }")));
  for (const std::string_view name : {"momentum", "epsilon", "group", "activation", "trainable"}) {
    const Key& key = key_of("model.layers", name);
    EXPECT_THAT(file,
                testing::HasSubstr(std::string(name) + " = " + std::string(key.default_text)));
  }
}

TEST(ExperimentSchema, EveryAliasIsSuggestedInItsSection) {
  for (const Key& key : experiment_keys()) {
    for (const std::string_view alias : key.aliases) {
      if (find_key(key.section, alias) != nullptr) {
        ADD_FAILURE() << alias << " is a key of " << key.section << " itself";
      }
      EXPECT_THAT(suggest_key(key.section, key.section, alias), testing::HasSubstr(key.name))
          << alias;
    }
  }
}

TEST(ExperimentSchema, IntervalsContainNoNaN) {
  EXPECT_FALSE(Interval{}.contains(std::numeric_limits<double>::quiet_NaN()));
  const Interval share{.lowest = 0, .highest = 1, .highest_open = true};
  EXPECT_TRUE(share.contains(0.0));
  EXPECT_FALSE(share.contains(1.0));
  EXPECT_FALSE(share.contains(-1e-300));
  const Interval positive{.lowest = 0, .lowest_open = true};
  EXPECT_FALSE(positive.contains(0.0));
  EXPECT_TRUE(positive.contains(1e-300));
}

}  // namespace
}  // namespace batchwise
