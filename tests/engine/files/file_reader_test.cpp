// Reading whole and partial files, and everything that is not a file.
#include "engine/files/file_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::HasSubstr;

std::string error_of_reading(const std::filesystem::path& path) {
  try {
    (void)read_file(path);
    return "no error";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(FileReader, ReadsPiecesInOrder) {
  const TemporaryFolder folder;
  write_durably(folder / "file", "abcdef");
  FileReader reader(folder / "file");
  std::array<char, 3> piece{};
  EXPECT_EQ(reader.size_bytes(), 6);
  reader.read(std::as_writable_bytes(std::span(piece)));
  EXPECT_EQ(std::string_view(piece.data(), 3), "abc");
  reader.read(std::as_writable_bytes(std::span(piece)));
  EXPECT_EQ(std::string_view(piece.data(), 3), "def");
  EXPECT_THROW(reader.read(std::as_writable_bytes(std::span(piece))), InputError);
}

TEST(FileReader, ReadsBinaryFilesWhole) {
  const TemporaryFolder folder;
  const std::string content("a\0b\r\n\xff", 6);
  write_durably(folder / "file", content);
  EXPECT_EQ(read_file(folder / "file"), content);
}

TEST(FileReader, NamesWhatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of_reading(folder / "missing"), HasSubstr("missing: No such file"));
  EXPECT_THAT(error_of_reading(folder.path()), HasSubstr("it is a folder, expected a file"));
  EXPECT_THAT(error_of_reading("/dev/zero"), HasSubstr("a device or a pipe"));
}

TEST(FileReader, DoesNotWaitForANamedPipe) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_of_reading(folder / "pipe"), HasSubstr("a device or a pipe"));
}

}  // namespace
}  // namespace batchwise
