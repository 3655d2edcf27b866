// The run folder: appears whole or not at all, is overwritten only when it is ours, and keeps what
// the run began with.
#include "engine/train/run_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/files/sha256.h"
#include "engine/train/progress.h"
#include "tests/engine/train/train_support.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using testing_support::message_of;
using testing_support::small_experiment;
using testing_support::text_of;

namespace fs = std::filesystem;

class RunFolderTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> siblings() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  static void write(const fs::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
  }

  TemporaryFolder folder_;
  Experiment experiment_ = small_experiment();
};

TEST_F(RunFolderTest, AppearsWithItsMarkerAndExperiment) {
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, {}, false);
  EXPECT_EQ(run.path(), folder_ / "run");
  EXPECT_TRUE(fs::exists(run.path() / ".batchwise-run"));
  EXPECT_TRUE(fs::is_directory(run.checkpoints()));
  EXPECT_EQ(to_toml(run.experiment()), to_toml(experiment_));
  EXPECT_EQ(run.experiment().name, "small");
  EXPECT_THAT(siblings(), ElementsAre("run"));
}

TEST_F(RunFolderTest, AppearsWithItsFirstCheckpoint) {
  const float weight = 3.5f;
  TensorData tensor{.name = "w", .type = TensorType::f32, .shape = {1}, .bytes = {}};
  tensor.bytes.assign(reinterpret_cast<const std::byte*>(&weight),
                      reinterpret_cast<const std::byte*>(&weight) + sizeof(weight));
  const Checkpoint first{.state = Progress().to_json(), .tensors = {tensor}};
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, {}, false, &first);
  const auto loaded = CheckpointStore(run.checkpoints()).load_newest();
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->step, 0);
  EXPECT_EQ(loaded->checkpoint.tensors, first.tensors);
}

TEST_F(RunFolderTest, RemovesWhatAKilledCreationLeft) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  ASSERT_EQ(waitpid(dead, nullptr, 0), dead);
  const fs::path left = folder_ / ("run.partial-" + std::to_string(dead));
  const fs::path of_others = folder_ / "run.partial-notes";
  fs::create_directory(left);
  fs::create_directory(of_others);
  (void)RunFolder::create(folder_ / "run", experiment_, {}, false);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(of_others));
}

TEST_F(RunFolderTest, NeverReplacesARunThatAppearsMeanwhile) {
  // Made by the first of several processes that chose the same default number.
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  const RunFolder first = RunFolder::create_numbered(experiment_, {});
  const RunFolder second = RunFolder::create_numbered(experiment_, {});
  fs::current_path(before);
  EXPECT_EQ(first.path().filename(), "small-001");
  EXPECT_EQ(second.path().filename(), "small-002");
  EXPECT_TRUE(fs::exists(first.experiment_file()));
}

TEST_F(RunFolderTest, RefusesMetadataThatDoesNotFit) {
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, {}, false);
  const auto message_with = [&](std::map<std::string, std::string> changed) {
    changed.insert({{"normalization", R"({"kind":"none","channels":1,"shift":[0],"divisor":[1]})"},
                    {"input_shape", "[12]"},
                    {"reduction_order", "1"}});
    write_safetensors(run.weights_file(), {}, changed);
    return message_of([&] { (void)run.read_weights(); });
  };
  EXPECT_EQ(message_with({}), message_of([] {}));
  for (const char* shape : {"[]", "[1,2,3,4]", "[0]", "[-1,5]", "[2000000000,2000000000]", "{}"}) {
    EXPECT_THAT(message_with({{"input_shape", shape}}), HasSubstr("input_shape")) << shape;
  }
  for (const char* normalization :
       {R"({"kind":"none","channels":3,"shift":[0],"divisor":[1]})",
        R"({"kind":"none","channels":0,"shift":[],"divisor":[]})",
        R"({"kind":"none","channels":5,"shift":[0,0,0,0,0],"divisor":[1,1,1,1,1]})",
        R"({"kind":"other","channels":1,"shift":[0],"divisor":[1]})"}) {
    EXPECT_THAT(message_with({{"normalization", normalization}}), HasSubstr("normalization"))
        << normalization;
  }
  EXPECT_THAT(message_with({{"reduction_order", "99"}}), HasSubstr("version 99"));
}

TEST_F(RunFolderTest, MakesTheFoldersAboveIt) {
  const RunFolder run = RunFolder::create(folder_ / "a/b/run", experiment_, {}, false);
  EXPECT_TRUE(fs::exists(folder_ / "a/b/run/experiment.toml"));
  const RunFolder slash = RunFolder::create(folder_ / "a/c/", experiment_, {}, false);
  EXPECT_TRUE(fs::exists(folder_ / "a/c/experiment.toml"));
}

TEST_F(RunFolderTest, RefusesAFolderThatExists) {
  (void)RunFolder::create(folder_ / "run", experiment_, {}, false);
  for (const fs::path& path : {folder_ / "run", folder_ / "run/"}) {
    EXPECT_THAT(message_of([&] { (void)RunFolder::create(path, experiment_, {}, false); }),
                AllOf(HasSubstr("exists already"), HasSubstr("--resume"), HasSubstr("--overwrite"),
                      HasSubstr("--out")));
  }
  write(folder_ / "file", "");
  EXPECT_THAT(message_of([&] { RunFolder::check_creatable(folder_ / "file", false); }),
              HasSubstr("exists already"));
}

TEST_F(RunFolderTest, OverwritesARun) {
  const RunFolder old = RunFolder::create(folder_ / "run", experiment_, {}, false);
  write(old.metrics_file(), "old");
  Experiment changed = experiment_;
  changed.seed = 9;
  const RunFolder run = RunFolder::create(folder_ / "run", changed, {}, true);
  EXPECT_EQ(run.experiment().seed, 9u);
  EXPECT_FALSE(fs::exists(run.metrics_file()));
  EXPECT_THAT(siblings(), ElementsAre("run"));  // nothing is left of the old one
}

TEST_F(RunFolderTest, OverwriteTouchesNothingThatIsNotOurs) {
  fs::create_directory(folder_ / "photos");
  write(folder_ / "photos/1.jpg", "irreplaceable");
  write(folder_ / "photos/experiment.toml", "");
  EXPECT_THAT(
      message_of([&] { (void)RunFolder::create(folder_ / "photos", experiment_, {}, true); }),
      AllOf(HasSubstr("not a run of batchwise"), HasSubstr("--out")));
  EXPECT_EQ(text_of(folder_ / "photos/1.jpg"), "irreplaceable");
  EXPECT_THAT(siblings(), ElementsAre("photos"));
}

TEST_F(RunFolderTest, OverwriteOfALinkLeavesWhatItLeadsTo) {
  const RunFolder old = RunFolder::create(folder_ / "run", experiment_, {}, false);
  write(old.metrics_file(), "old");
  fs::create_directory_symlink(folder_ / "run", folder_ / "link");
  (void)RunFolder::create(folder_ / "link", experiment_, {}, true);
  EXPECT_EQ(text_of(folder_ / "run/metrics.jsonl"), "old");
  EXPECT_FALSE(fs::exists(folder_ / "link/metrics.jsonl"));
}

TEST_F(RunFolderTest, LeavesNothingWhereItCannotBeMade) {
  write(folder_ / "file", "");
  EXPECT_THAT(
      message_of([&] { (void)RunFolder::create(folder_ / "file/run", experiment_, {}, false); }),
      AllOf(HasSubstr("cannot be made"), HasSubstr("file/run")));
  EXPECT_THAT(siblings(), ElementsAre("file"));
}

TEST_F(RunFolderTest, OpensRunsAlone) {
  EXPECT_THAT(message_of([&] { (void)RunFolder::open(folder_ / "none"); }),
              AllOf(HasSubstr("none"), HasSubstr("not a folder")));
  fs::create_directory(folder_ / "empty");
  EXPECT_THAT(message_of([&] { (void)RunFolder::open(folder_ / "empty"); }),
              HasSubstr("experiment.toml"));
  (void)RunFolder::create(folder_ / "run", experiment_, {}, false);
  EXPECT_EQ(to_toml(RunFolder::open(folder_ / "run").experiment()), to_toml(experiment_));
}

TEST_F(RunFolderTest, AppliesOverridesToItsExperiment) {
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, {}, false);
  const std::vector<std::string> overrides = {"training.epochs=9"};
  EXPECT_EQ(run.experiment(overrides).training.epochs, 9);
  EXPECT_EQ(run.experiment().training.epochs, 2);
}

TEST_F(RunFolderTest, RemembersItsDataFiles) {
  write(folder_ / "a \"quoted\" name.csv", "1,2,0\n");
  write(folder_ / "b.csv", "3,4,1\n");
  const std::vector<DataFile> files =
      hash_files({folder_ / "a \"quoted\" name.csv", folder_ / "b.csv"});
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[1].sha256, sha256_of_file(folder_ / "b.csv"));
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, files, false);
  const std::vector<DataFile> read = RunFolder::open(folder_ / "run").data_files();
  ASSERT_EQ(read.size(), 2u);
  for (std::size_t index = 0; index < 2; ++index) {
    EXPECT_EQ(read[index].path, files[index].path);
    EXPECT_EQ(read[index].sha256, files[index].sha256);
  }
  EXPECT_NO_THROW(run.check_data_files());
}

TEST_F(RunFolderTest, RefusesADataFileThatHasChanged) {
  write(folder_ / "b.csv", "3,4,1\n");
  const RunFolder run =
      RunFolder::create(folder_ / "run", experiment_, hash_files({folder_ / "b.csv"}), false);
  write(folder_ / "b.csv", "3,5,1\n");
  EXPECT_THAT(message_of([&] { run.check_data_files(); }),
              AllOf(HasSubstr("b.csv"), HasSubstr("not the file"), HasSubstr("SHA-256"),
                    HasSubstr("original")));
  fs::remove(folder_ / "b.csv");
  EXPECT_THAT(message_of([&] { run.check_data_files(); }), HasSubstr("b.csv"));
}

TEST_F(RunFolderTest, NamesTheNextFreeRun) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  EXPECT_EQ(RunFolder::default_path("digits"), fs::path("runs/digits-001"));
  fs::create_directories("runs/digits-001");
  fs::create_directories("runs/digits-003");
  EXPECT_EQ(RunFolder::default_path("digits"), fs::path("runs/digits-002"));
  EXPECT_EQ(RunFolder::default_path("blobs"), fs::path("runs/blobs-001"));
  fs::current_path(before);
}

TEST_F(RunFolderTest, StoresWeightsWithTheirNormalization) {
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, {}, false);
  EXPECT_THAT(message_of([&] { (void)run.read_weights(); }),
              AllOf(HasSubstr("has not finished"), HasSubstr("--resume")));
  const RunFolder::StoredWeights stored{
      .tensors = {{"dense_1.bias", TensorType::f32, {2}, std::vector<std::byte>(8, std::byte{3})}},
      .normalization = {.kind = Normalize::standardize,
                        .channels = 2,
                        .shift = {0.1f, -3.0f},
                        .divisor = {1.0f / 3.0f, 2.0f}},
      .input_shape = {1, 28, 28}};
  run.write_weights(stored);
  const RunFolder::StoredWeights read = run.read_weights();
  EXPECT_EQ(read.tensors, stored.tensors);
  EXPECT_EQ(read.normalization.kind, stored.normalization.kind);
  EXPECT_EQ(read.normalization.channels, 2);
  EXPECT_EQ(read.normalization.shift, stored.normalization.shift);
  EXPECT_EQ(read.normalization.divisor, stored.normalization.divisor);
  EXPECT_EQ(read.input_shape, stored.input_shape);
}

TEST_F(RunFolderTest, RefusesWeightsThatItDidNotWrite) {
  const RunFolder run = RunFolder::create(folder_ / "run", experiment_, {}, false);
  write_safetensors(run.weights_file(), {});
  EXPECT_THAT(message_of([&] { (void)run.read_weights(); }), HasSubstr("metadata"));
  write(run.weights_file(), "not safetensors");
  EXPECT_THAT(message_of([&] { (void)run.read_weights(); }), HasSubstr("weights.safetensors"));
}

TEST_F(RunFolderTest, HoldsWhatTheContractLists) {
  (void)testing_support::train_in(folder_ / "run", experiment_);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_ / "run")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, UnorderedElementsAre(".batchwise-run", "experiment.toml", "metrics.jsonl",
                                          "summary.json", "weights.safetensors", "checkpoints",
                                          "report.html"));
}

}  // namespace
}  // namespace batchwise
