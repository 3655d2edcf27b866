#include "engine/data/byte_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "tests/engine/data/data_files.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

class ByteSourceTest : public ::testing::Test {
 protected:
  TemporaryFolder folder;
};

TEST_F(ByteSourceTest, ReadsInOrderAndCountsTheOffset) {
  write_file(folder / "file", "abcdef");
  InputFile file(folder / "file");
  std::array<std::byte, 4> bytes{};
  file.read(bytes, "a word");
  EXPECT_EQ(std::to_integer<char>(bytes[3]), 'd');
  EXPECT_EQ(file.offset(), 4);
  EXPECT_EQ(file.read_up_to(bytes), 2u);
  EXPECT_EQ(file.offset(), 6);
  EXPECT_NO_THROW(file.expect_end());
}

TEST_F(ByteSourceTest, TruncationNamesWhatAndWhere) {
  write_file(folder / "file", "abcdef");
  InputFile file(folder / "file");
  std::array<std::byte, 4> bytes{};
  file.read(bytes, "a word");
  expect_input_error([&] { file.read(bytes, "the second word"); },
                     {"file", "truncated", "the second word", "offset 4", "4 bytes", "only 2"});
}

TEST_F(ByteSourceTest, ExpectRemainingIsExactForPlainFiles) {
  write_file(folder / "file", "abcdef");
  InputFile file(folder / "file");
  EXPECT_NO_THROW(file.expect_remaining(6, "all"));
  expect_input_error([&] { file.expect_remaining(7, "all"); }, {"7 bytes", "only 6"});
  expect_input_error([&] { file.expect_remaining(5, "all"); }, {"1 bytes too many"});
}

TEST_F(ByteSourceTest, ExpectEndNoticesWhatFollows) {
  write_file(folder / "file", "ab");
  InputFile file(folder / "file");
  expect_input_error([&] { file.expect_end(); }, {"offset 0"});
}

TEST_F(ByteSourceTest, MissingFile) {
  expect_input_error([&] { InputFile(folder / "absent"); }, {"absent", "no such file"});
}

TEST_F(ByteSourceTest, DanglingLink) {
  std::filesystem::create_symlink("nowhere", folder / "link");
  expect_input_error([&] { InputFile(folder / "link"); }, {"link", "no such file"});
}

TEST_F(ByteSourceTest, FolderInPlaceOfFile) {
  expect_input_error([&] { InputFile(folder.path()); }, {"is a folder; expected a file"});
}

TEST_F(ByteSourceTest, EmptyFile) {
  write_file(folder / "file", "");
  expect_input_error([&] { InputFile(folder / "file"); }, {"file", "empty"});
}

TEST_F(ByteSourceTest, PipeIsRefusedWithoutWaitingForIt) {
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_input_error([&] { InputFile(folder / "pipe"); }, {"not a regular file"});
}

TEST_F(ByteSourceTest, NoPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  write_file(folder / "file", "abc");
  ASSERT_EQ(chmod((folder / "file").c_str(), 0), 0);
  expect_input_error([&] { InputFile(folder / "file"); }, {"file", "Permission denied"});
}

TEST(ArrayBytes, MultipliesAndNoticesOverflow) {
  using Extents = std::vector<std::int64_t>;
  EXPECT_EQ(array_bytes("a", Extents{3, 4}, 8), 96);
  EXPECT_EQ(array_bytes("a", Extents{}, 8), 8);
  EXPECT_EQ(array_bytes("a", Extents{0, 4}, 8), 0);
  const std::int64_t large = std::int64_t{1} << 32;
  expect_input_error(
      [&] {
        (void)array_bytes("a", Extents{large, large}, 1);
      },
      {"a: ", "4294967296, 4294967296"});
  // The product of all three would fit, that of the first two does not.
  expect_input_error([&] { (void)array_bytes("a", Extents{large, large, 0}, 1); }, {"a: "});
}

}  // namespace
}  // namespace batchwise
