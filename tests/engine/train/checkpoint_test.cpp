// A checkpoint is whole or recognised as damaged, and saving never costs the last good one.
#include "engine/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/files/file_reader.h"
#include "tests/engine/files/failing_writes.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAreArray;

/// Content that tells steps apart in each of its parts.
Checkpoint checkpoint_at(std::int64_t step, std::size_t elements = 3) {
  const auto fill = static_cast<std::byte>(step);
  return {"{\"step\":" + std::to_string(step) + ",\"note\":\"\u00e9\\n\"}",
          {{"dense_1.weight",
            TensorType::f32,
            {static_cast<std::int64_t>(elements)},
            std::vector<std::byte>(elements * 4, fill)},
           {"dense_1.bias", TensorType::f64, {1, 1}, std::vector<std::byte>(8, fill)}}};
}

std::string name_of_step(std::int64_t step) {
  const std::string digits = std::to_string(step);
  return "step-" + std::string(12 - digits.size(), '0') + digits + ".checkpoint.safetensors";
}

class CheckpointStoreTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path folder() const { return run_ / "checkpoints"; }
  [[nodiscard]] std::filesystem::path file(std::int64_t step) const {
    return folder() / name_of_step(step);
  }
  void cut_short(std::int64_t step) const {
    std::filesystem::resize_file(file(step), std::filesystem::file_size(file(step)) - 1);
  }
  static void expect_is(const std::optional<CheckpointStore::Loaded>& loaded, std::int64_t step,
                        std::size_t elements = 3) {
    ASSERT_TRUE(loaded);
    const Checkpoint expected = checkpoint_at(step, elements);
    EXPECT_EQ(loaded->step, step);
    EXPECT_EQ(loaded->file.filename(), name_of_step(step));
    EXPECT_EQ(loaded->checkpoint.state, expected.state);
    EXPECT_THAT(loaded->checkpoint.tensors, UnorderedElementsAreArray(expected.tensors));
  }

  TemporaryFolder run_;
};

TEST_F(CheckpointStoreTest, HasNothingToLoadAtFirst) {
  const CheckpointStore store(folder());
  EXPECT_FALSE(store.load_newest());
  std::filesystem::create_directory(folder());
  write_durably(folder() / "notes.txt", "not a checkpoint");
  EXPECT_FALSE(store.load_newest());
}

TEST_F(CheckpointStoreTest, LoadsTheNewestAndKeepsTwo) {
  CheckpointStore store(folder());
  for (const std::int64_t step : {0, 9, 10, 100}) {
    store.save(step, checkpoint_at(step));
    const auto loaded = store.load_newest();
    expect_is(loaded, step);
    EXPECT_THAT(loaded->damaged, IsEmpty());
  }
  EXPECT_THAT(names_in(folder()), ElementsAre(name_of_step(10), name_of_step(100)));
}

TEST_F(CheckpointStoreTest, KeepsAsManyAsAsked) {
  CheckpointStore one(folder(), 1);
  one.save(1, checkpoint_at(1));
  one.save(2, checkpoint_at(2));
  EXPECT_THAT(names_in(folder()), ElementsAre(name_of_step(2)));
}

TEST_F(CheckpointStoreTest, OrdersStepsByNumberBeyondTwelveDigits) {
  CheckpointStore store(folder());
  constexpr std::int64_t kLong = 1'000'000'000'000;
  store.save(kLong - 1, checkpoint_at(1));
  store.save(kLong, checkpoint_at(2));
  EXPECT_EQ(store.load_newest()->step, kLong);
}

TEST_F(CheckpointStoreTest, SavesTheSameStepTwice) {
  CheckpointStore store(folder());
  store.save(5, checkpoint_at(5));
  store.save(5, checkpoint_at(5));
  expect_is(store.load_newest(), 5);
  EXPECT_THAT(names_in(folder()), ElementsAre(name_of_step(5)));
}

TEST_F(CheckpointStoreTest, RemovesTemporariesOfKilledSavesAndNothingElse) {
  CheckpointStore store(folder());
  store.save(1, checkpoint_at(1));
  write_durably(folder() / (name_of_step(2) + ".123.partial"), "half a checkpoint");
  write_durably(folder() / "notes.txt", "a user's file");
  expect_is(store.load_newest(), 1);
  store.save(3, checkpoint_at(3));
  EXPECT_THAT(names_in(folder()), ElementsAre("notes.txt", name_of_step(1), name_of_step(3)));
}

TEST_F(CheckpointStoreTest, DetectsOrSurvivesEveryChangedByte) {
  CheckpointStore store(folder());
  store.save(7, checkpoint_at(7));
  const std::string whole = read_file(file(7));
  for (std::size_t position = 0; position < whole.size(); ++position) {
    for (const int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string changed = whole;
      changed[position] = static_cast<char>(changed[position] ^ flip);
      std::ofstream(file(7), std::ios::binary) << changed;
      try {
        expect_is(store.load_newest(), 7);  // such as a tab for a space of the padding
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr(file(7).string()));
      }
      ASSERT_FALSE(HasFailure()) << "position " << position << " flipped by " << flip;
    }
  }
}

TEST_F(CheckpointStoreTest, DetectsEveryTruncation) {
  CheckpointStore store(folder());
  store.save(7, checkpoint_at(7));
  for (auto length = std::filesystem::file_size(file(7)); length-- > 0;) {
    std::filesystem::resize_file(file(7), length);
    EXPECT_THROW((void)store.load_newest(), InputError) << length;
  }
}

TEST_F(CheckpointStoreTest, DetectsATensorThatIsMissingAddedOrMisshapen) {
  CheckpointStore store(folder());
  store.save(7, checkpoint_at(7));
  const SafetensorsFile whole = read_safetensors(file(7));
  const auto error_with = [&](std::vector<TensorData> tensors) -> std::string {
    write_safetensors(file(7), tensors, whole.metadata);
    try {
      (void)store.load_newest();
      return "no error";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(error_with(whole.tensors), "no error");
  EXPECT_THAT(error_with({whole.tensors[0]}), HasSubstr("tensor_table_sha256"));
  auto tensors = whole.tensors;
  tensors.push_back({"extra", TensorType::u8, {0}, {}});
  EXPECT_THAT(error_with(tensors), HasSubstr("damaged"));
  tensors = whole.tensors;
  tensors[0].shape = {1};
  EXPECT_THAT(error_with(tensors), HasSubstr("tensor_table_sha256"));
  tensors = whole.tensors;
  std::swap(tensors[0].bytes[0], tensors[1].bytes[0]);  // alike, so nothing changes
  EXPECT_EQ(error_with(tensors), "no error");
  tensors[1].bytes[0] ^= std::byte{1};
  EXPECT_THAT(error_with(tensors), HasSubstr("sha256:" + tensors[1].name));
}

TEST_F(CheckpointStoreTest, DetectsAFileUnderAnotherStepsName) {
  CheckpointStore store(folder());
  store.save(7, checkpoint_at(7));
  std::filesystem::copy_file(file(7), file(8));
  const auto loaded = store.load_newest();
  expect_is(loaded, 7);
  EXPECT_THAT(loaded->damaged, ElementsAre(HasSubstr("step is \"7\", expected \"8\"")));
}

TEST_F(CheckpointStoreTest, FallsBackToTheOlderOneAndSaysWhy) {
  CheckpointStore store(folder());
  store.save(1, checkpoint_at(1));
  store.save(2, checkpoint_at(2));
  cut_short(2);
  const auto loaded = store.load_newest();
  expect_is(loaded, 1);
  EXPECT_THAT(loaded->damaged,
              ElementsAre(AllOf(HasSubstr(file(2).string()), HasSubstr("cut short"))));
}

TEST_F(CheckpointStoreTest, GivesUpLaterStepsOnceItSavedAnEarlierOne) {
  CheckpointStore store(folder());
  store.save(100, checkpoint_at(100));
  store.save(200, checkpoint_at(200));
  cut_short(200);
  expect_is(store.load_newest(), 100);
  store.save(150, checkpoint_at(150));
  const auto loaded = store.load_newest();
  expect_is(loaded, 150);
  EXPECT_THAT(loaded->damaged, IsEmpty());
  EXPECT_THAT(names_in(folder()), ElementsAre(name_of_step(100), name_of_step(150)));
}

TEST_F(CheckpointStoreTest, ListsAllWhereAllAreDamaged) {
  CheckpointStore store(folder());
  store.save(1, checkpoint_at(1));
  store.save(2, checkpoint_at(2));
  cut_short(1);
  cut_short(2);
  try {
    (void)store.load_newest();
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(file(1).string()), HasSubstr(file(2).string()),
                                    HasSubstr("start anew with --overwrite")));
  }
}

TEST_F(CheckpointStoreTest, FailingSaveKeepsAllAndSaysHowToResume) {
  CheckpointStore store(folder());
  store.save(1, checkpoint_at(1));
  store.save(2, checkpoint_at(2));
  std::string message;
  {
    const testing::FileSizeLimit limit(4096);
    try {
      store.save(3, checkpoint_at(3, 10'000));
    } catch (const RunError& error) {
      message = error.what();
    }
  }
  EXPECT_THAT(message,
              AllOf(StartsWith("cannot write " + file(3).string()), HasSubstr("File too large"),
                    HasSubstr("newest good checkpoint is " + file(2).string() + " (step 2)"),
                    HasSubstr("`batchwise train --resume --out " + run_.path().string() + "`")));
  EXPECT_THAT(names_in(folder()), ElementsAre(name_of_step(1), name_of_step(2)));
  expect_is(store.load_newest(), 2);
}

TEST_F(CheckpointStoreTest, FailingFirstSaveSaysThatThereIsNoneToResumeFrom) {
  CheckpointStore store(run_ / "file/checkpoints");
  write_durably(run_ / "file", "in the way");
  try {
    store.save(1, checkpoint_at(1));
    FAIL() << "no error";
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr((run_ / "file/checkpoints").string()),
                                    HasSubstr("no good checkpoint to resume from")));
  }
}

TEST_F(CheckpointStoreTest, KeepsTheLastGoodOneOnAFullDisk) {
  const auto result = testing::on_small_disk(run_.path(), 128 << 10, [&]() -> std::string {
    CheckpointStore store(folder());
    store.save(1, checkpoint_at(1, 15'000));  // 60 kB: a second one just fits, a third does not
    store.save(2, checkpoint_at(2, 12'000));
    try {
      store.save(3, checkpoint_at(3, 15'000));
      return "no error";
    } catch (const RunError& error) {
      std::string message = error.what();
      if (message.find("No space left on device") == message.npos) return message;
      if (message.find("(step 2)") == message.npos) return message;
    }
    const auto loaded = store.load_newest();
    if (!loaded || loaded->step != 2 || !loaded->damaged.empty()) return "step 2 is gone";
    return names_in(folder()).size() == 2 ? "" : "a file is left or missing";
  });
  if (result == testing::ChildResult::no_disk) GTEST_SKIP() << "this system mounts no tmpfs for us";
  EXPECT_EQ(result, testing::ChildResult::succeeded);
}

TEST_F(CheckpointStoreTest, AStaleTemporaryDoesNotKeepTheDiskFull) {
  const auto result = testing::on_small_disk(run_.path(), 128 << 10, [&]() -> std::string {
    CheckpointStore store(folder());
    store.save(1, checkpoint_at(1));
    write_durably(folder() / (name_of_step(2) + ".123.partial"), std::string(100'000, 'x'));
    store.save(2, checkpoint_at(2, 15'000));
    return store.load_newest()->step == 2 ? "" : "step 2 was not saved";
  });
  if (result == testing::ChildResult::no_disk) GTEST_SKIP() << "this system mounts no tmpfs for us";
  EXPECT_EQ(result, testing::ChildResult::succeeded);
}

TEST_F(CheckpointStoreTest, NamesAFolderItMayNotWrite) {
  using std::filesystem::perms;
  CheckpointStore store(folder());
  store.save(1, checkpoint_at(1));
  std::filesystem::permissions(run_.path(), perms::all);
  std::filesystem::permissions(
      folder(), perms::all & ~(perms::owner_write | perms::group_write | perms::others_write));
  std::string message;
  {
    const testing::WithoutRoot user;
    if (!user.possible()) GTEST_SKIP() << "root may write anywhere and cannot become another user";
    try {
      store.save(2, checkpoint_at(2));
    } catch (const RunError& error) {
      message = error.what();
    }
  }
  std::filesystem::permissions(folder(), perms::all);
  EXPECT_THAT(message, AllOf(HasSubstr("Permission denied"), HasSubstr("make the folder"),
                             HasSubstr("(step 1)")));
}

/// Saves ever later steps until it is killed.
[[noreturn]] void save_without_end(const std::filesystem::path& folder, std::int64_t step,
                                   std::size_t elements) {
  CheckpointStore store(folder);
  for (;; ++step) store.save(step, checkpoint_at(step, elements));
}

TEST_F(CheckpointStoreTest, AKillLeavesTheOldOrTheNewOne) {
  constexpr int kKills = 50;
  constexpr std::size_t kElements = 50'000;
  CheckpointStore store(folder());
  store.save(0, checkpoint_at(0, kElements));
  std::mt19937 random(1);
  std::int64_t step = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_without_end(folder(), step + 1, kElements);
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 40'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);

    const auto loaded = store.load_newest();
    ASSERT_TRUE(loaded);
    EXPECT_THAT(loaded->damaged, IsEmpty());
    EXPECT_GE(loaded->step, step);
    step = loaded->step;
    expect_is(loaded, step, kElements);
  }
  EXPECT_GT(step, 0) << "no save ended between two kills";
}

}  // namespace
}  // namespace batchwise
