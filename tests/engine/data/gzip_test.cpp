#include "engine/data/gzip.h"

#include <gtest/gtest.h>

#include "tests/engine/data/data_files.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

class GzipTest : public ::testing::Test {
 protected:
  std::string read(std::string_view file_bytes, std::size_t expected_bytes) {
    write_file(folder / "file.gz", file_bytes);
    GzipFile file(folder / "file.gz");
    std::string text(expected_bytes, '\0');
    file.read(std::as_writable_bytes(std::span(text)), "the text");
    file.expect_end();
    return text;
  }

  TemporaryFolder folder;
};

TEST_F(GzipTest, GivesBackWhatWasCompressed) {
  const std::string text = counting_bytes(300000);  // several buffers
  EXPECT_EQ(read(gzip(text), text.size()), text);
}

TEST_F(GzipTest, MembersAreReadOneAfterAnother) {
  EXPECT_EQ(read(gzip("first ") + gzip("second"), 12), "first second");
}

TEST_F(GzipTest, TruncatedAnywhereIsAnError) {
  const std::string whole = gzip(counting_bytes(1000));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    expect_input_error([&] { read(whole.substr(0, size), 1000); },
                       {"file.gz", "compressed offset", "ends in the middle"});
  }
}

TEST_F(GzipTest, EveryFlippedByteOfTheDataIsAnError) {
  const std::string whole = gzip(counting_bytes(1000));
  constexpr std::size_t kHeaderBytes = 10;  // time and operating system may hold anything
  for (std::size_t index = kHeaderBytes; index < whole.size(); ++index) {
    std::string broken = whole;
    broken[index] = static_cast<char>(broken[index] ^ 0x55);
    expect_input_error([&] { read(broken, 1000); }, {"file.gz"});
  }
}

TEST_F(GzipTest, BytesAfterTheLastMemberAreAnError) {
  expect_input_error([&] { read(gzip("text") + "rest", 4); },
                     {"corrupt gzip data", "incorrect header check"});
}

TEST_F(GzipTest, MoreInsideThanExpectedIsAnError) {
  expect_input_error([&] { read(gzip("text"), 3); }, {"bytes follow at offset 3"});
}

TEST_F(GzipTest, FewerInsideThanExpectedIsAnError) {
  expect_input_error([&] { read(gzip("text"), 5); }, {"truncated", "5 bytes", "only 4"});
}

TEST_F(GzipTest, AnImpossibleSizeIsRefusedBeforeReading) {
  write_file(folder / "file.gz", gzip("text"));
  const GzipFile file(folder / "file.gz");
  expect_input_error([&] { file.expect_remaining(1000000, "the array"); },
                     {"1000000 bytes", "can come out of the compressed file"});
}

}  // namespace
}  // namespace batchwise
