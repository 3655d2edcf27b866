// A write succeeds as a whole, or leaves the old file and an error that helps.
#include "engine/files/durable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "engine/files/file_reader.h"
#include "tests/engine/files/failing_writes.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The RunError of writing, or "no error".
std::string error_of_writing(const std::filesystem::path& path, const std::string& text) {
  try {
    write_durably(path, text);
    return "no error";
  } catch (const RunError& error) {
    return error.what();
  }
}

TEST(DurableFile, WritesPartsOneAfterAnother) {
  const TemporaryFolder folder;
  const std::string first = "one ", third = "three";
  const std::array parts = {std::as_bytes(std::span(first)), std::span<const std::byte>(),
                            std::as_bytes(std::span(third))};
  write_durably(folder / "file", parts);
  EXPECT_EQ(read_file(folder / "file"), "one three");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(DurableFile, ReplacesALongerFile) {
  const TemporaryFolder folder;
  write_durably(folder / "file", "a long content");
  write_durably(folder / "file", "short");
  EXPECT_EQ(read_file(folder / "file"), "short");
}

TEST(DurableFile, WritesBareNamesIntoTheCurrentFolder) {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const std::string error = error_of_writing("file", "content");
  std::filesystem::current_path(before);
  EXPECT_EQ(error, "no error");
  EXPECT_EQ(read_file(folder / "file"), "content");
}

TEST(DurableFile, KeepsTheOldFileWhereTheNewOneDoesNotFit) {
  const TemporaryFolder folder;
  write_durably(folder / "file", "old");
  std::string error;
  {
    const testing::FileSizeLimit limit(4096);
    error = error_of_writing(folder / "file", std::string(5000, 'x'));
  }
  EXPECT_THAT(error, AllOf(HasSubstr((folder / "file").string()), HasSubstr("(5000 bytes)"),
                           HasSubstr("File too large"), HasSubstr("ulimit -f")));
  EXPECT_EQ(read_file(folder / "file"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(DurableFile, KeepsTheOldFileOnAFullDisk) {
  const TemporaryFolder folder;
  const auto result = testing::on_small_disk(folder.path(), 64 << 10, [&]() -> std::string {
    write_durably(folder / "file", "old");
    const std::string error = error_of_writing(folder / "file", std::string(100'000, 'x'));
    if (error.find("(100000 bytes): No space left on device; free at least") == error.npos) {
      return "unexpected message: " + error;
    }
    if (read_file(folder / "file") != "old") return "the old file is gone";
    if (names_in(folder.path()).size() != 1) return "a temporary file is left";
    return "";
  });
  if (result == testing::ChildResult::no_disk) GTEST_SKIP() << "this system mounts no tmpfs for us";
  EXPECT_EQ(result, testing::ChildResult::succeeded);
}

TEST(DurableFile, NamesAFolderThatIsNotWritable) {
  const TemporaryFolder folder;
  using std::filesystem::perms;
  std::filesystem::permissions(folder.path(), perms::owner_read | perms::owner_exec |
                                                  perms::others_read | perms::others_exec);
  std::string error;
  {
    const testing::WithoutRoot user;
    if (!user.possible()) GTEST_SKIP() << "root may write anywhere and cannot become another user";
    error = error_of_writing(folder / "file", "content");
  }
  std::filesystem::permissions(folder.path(), perms::owner_all);
  EXPECT_THAT(error, AllOf(HasSubstr("Permission denied"), HasSubstr("make the folder"),
                           HasSubstr(folder.path().string())));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST(DurableFile, NamesAMissingFolder) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of_writing(folder / "missing/file", "content"),
              AllOf(HasSubstr("No such file or directory"),
                    HasSubstr("create the folder " + (folder / "missing").string())));
}

TEST(DurableFile, DoesNotReplaceAFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "name");
  EXPECT_THAT(error_of_writing(folder / "name", "content"), HasSubstr("directory"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("name"));
}

TEST(DurableFile, ErrorsSayWhatToDo) {
  EXPECT_THAT(write_error("runs/a/file", 7, EIO).what(),
              AllOf(HasSubstr("cannot write runs/a/file (7 bytes): Input/output error"),
                    HasSubstr("check the disk of runs/a")));
  EXPECT_THAT(write_error("file", 7, EROFS).what(), HasSubstr("make the folder . writable"));
}

TEST(DurableFile, FolderOfIgnoresATrailingSlash) {
  EXPECT_EQ(folder_of("runs/a"), "runs");
  EXPECT_EQ(folder_of("runs/a/"), "runs");
  EXPECT_EQ(folder_of("a"), ".");
  EXPECT_EQ(folder_of("/a"), "/");
}

TEST(PublishFolder, RenamesIt) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "new.partial");
  write_durably(folder / "new.partial/file", "content");
  publish_folder(folder / "new.partial", folder / "new");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("new"));
  EXPECT_EQ(read_file(folder / "new/file"), "content");
}

TEST(PublishFolder, LeavesAFolderThatHoldsSomething) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "new.partial");
  std::filesystem::create_directory(folder / "old");
  write_durably(folder / "old/file", "content");
  EXPECT_THROW(publish_folder(folder / "new.partial", folder / "old"), RunError);
  EXPECT_EQ(read_file(folder / "old/file"), "content");
  EXPECT_THROW(publish_folder(folder / "missing", folder / "new"), RunError);
}

}  // namespace
}  // namespace batchwise
