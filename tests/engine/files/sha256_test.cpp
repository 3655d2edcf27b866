// SHA-256 against the examples of FIPS 180-4.
#include "engine/files/sha256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

std::string sha256_of_text(const std::string& text) {
  return sha256_of(std::as_bytes(std::span(text)));
}

constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kMillionA =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, AgreesWithPublishedExamples) {
  EXPECT_EQ(sha256_of_text(""), kEmpty);
  EXPECT_EQ(sha256_of_text("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of_text(std::string(1'000'000, 'a')), kMillionA);
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  const std::string piece(1'000, 'a');
  Sha256 sum;
  for (int index = 0; index < 1'000; ++index) {
    sum.update(std::as_bytes(std::span(piece)));
    sum.update({});
  }
  EXPECT_EQ(sum.hex(), kMillionA);
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const TemporaryFolder folder;
  std::string content((std::size_t{1} << 20) + 7, 'x');  // more than one read
  content.back() = 'y';
  write_durably(folder / "long", content);
  EXPECT_EQ(sha256_of_file(folder / "long"), sha256_of_text(content));
  write_durably(folder / "empty", "");
  EXPECT_EQ(sha256_of_file(folder / "empty"), kEmpty);
}

TEST(Sha256, OfAMissingFileIsAnErrorThatNamesIt) {
  try {
    (void)sha256_of_file("/nonexistent/data");
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("/nonexistent/data: No such file"));
  }
}

}  // namespace
}  // namespace batchwise
