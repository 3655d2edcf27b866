#include "engine/data/idx.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/data/data_files.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using Shape = std::vector<std::int64_t>;

class IdxTest : public ::testing::Test {
 protected:
  std::filesystem::path write(std::string_view name, std::string_view bytes) {
    write_file(folder / name, bytes);
    return folder / name;
  }
  void write_split(const std::string& split, std::uint32_t images, std::uint32_t labels) {
    write(split + "-images-idx3-ubyte", idx_header({images, 2, 3}) + counting_bytes(images * 6));
    write(split + "-labels-idx1-ubyte", idx_header({labels}) + counting_bytes(labels));
  }

  TemporaryFolder folder;
};

TEST_F(IdxTest, ReadsEveryRankPlainAndCompressed) {
  const std::vector<std::string> headers = {idx_header({24}), idx_header({4, 6}),
                                            idx_header({4, 2, 3}), idx_header({2, 2, 2, 3})};
  for (std::size_t rank = 1; rank <= 4; ++rank) {
    const std::string bytes = headers[rank - 1] + counting_bytes(24);
    const IdxArray plain = read_idx(write("plain", bytes));
    const IdxArray compressed = read_idx(write("compressed", gzip(bytes)));
    EXPECT_EQ(plain.shape.size(), rank);
    EXPECT_EQ(plain.bytes.size(), 24u);
    EXPECT_EQ(plain.bytes[23], std::byte{23});
    EXPECT_EQ(compressed.shape, plain.shape);
    EXPECT_EQ(compressed.bytes, plain.bytes);
  }
}

TEST_F(IdxTest, ReadsTheFourStandardFiles) {
  write_split("train", 5, 5);
  write_split("t10k", 2, 2);
  const Dataset dataset = read_idx_dataset(folder.path());
  EXPECT_EQ(dataset.train.count, 5);
  EXPECT_EQ(dataset.train.type, ElementType::u8);
  EXPECT_EQ(dataset.train.shape, (Shape{1, 2, 3}));
  EXPECT_EQ(dataset.train.labels, (std::vector<std::int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(dataset.train.files, (std::vector<std::string>{folder / "train-images-idx3-ubyte",
                                                           folder / "train-labels-idx1-ubyte"}));
  ASSERT_TRUE(dataset.test.has_value());
  EXPECT_EQ(dataset.test->count, 2);
  EXPECT_TRUE(dataset.notes.empty());
}

TEST_F(IdxTest, WithoutTestFilesThereIsNoTestPart) {
  write_split("train", 5, 5);
  EXPECT_FALSE(read_idx_dataset(folder.path()).test.has_value());
}

TEST_F(IdxTest, PlainIsPreferredAndSaid) {
  write_split("train", 5, 5);
  write("train-labels-idx1-ubyte.gz", "not read");
  const Dataset dataset = read_idx_dataset(folder.path());
  EXPECT_EQ(dataset.train.labels.size(), 5u);
  ASSERT_EQ(dataset.notes.size(), 1u);
  EXPECT_NE(dataset.notes[0].find("train-labels-idx1-ubyte is read"), std::string::npos);
}

TEST_F(IdxTest, CompressedIsTakenWherePlainIsAbsent) {
  write("train-images-idx3-ubyte.gz", gzip(idx_header({1, 1, 2}) + "ab"));
  write("train-labels-idx1-ubyte.gz", gzip(idx_header({1}) + "\x07"));
  const Dataset dataset = read_idx_dataset(folder.path());
  EXPECT_EQ(dataset.train.labels, std::vector<std::int32_t>{7});
  EXPECT_TRUE(dataset.notes.empty());
}

TEST_F(IdxTest, SamplesOfAFolderAreTheTestFilesOrElseTheTrainFiles) {
  write_split("train", 5, 5);
  EXPECT_EQ(read_idx_samples(folder.path()).count, 5);
  write_split("t10k", 2, 2);
  EXPECT_EQ(read_idx_samples(folder.path()).count, 2);
  EXPECT_TRUE(read_idx_samples(folder.path()).labelled());
}

TEST_F(IdxTest, SamplesMayBeUnlabelled) {
  write_split("t10k", 2, 2);
  EXPECT_FALSE(read_idx_samples(folder / "t10k-images-idx3-ubyte").labelled());
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  EXPECT_FALSE(read_idx_samples(folder.path()).labelled());
}

TEST_F(IdxTest, WrongMagic) {
  expect_input_error([&] { (void)read_idx(write("x", "GIF89a..")); },
                     {"x: ", "47 49 46 38", "offset 0", "00 00 08"});
  expect_input_error([&] { (void)read_idx(write("x", std::string("\0\0\x0d\x01....", 8))); },
                     {"00 00 0d 01"});
  expect_input_error([&] { (void)read_idx(write("x", std::string("\0\0\x08\x05....", 8))); },
                     {"00 00 08 05", "rank from 01 to 04"});
  expect_input_error([&] { (void)read_idx(write("x", std::string("\0\0\x08\0....", 8))); },
                     {"00 00 08 00"});
}

TEST_F(IdxTest, TruncatedAnywhere) {
  const std::string whole = idx_header({2, 2, 3}) + counting_bytes(12);
  for (std::size_t size = 1; size < whole.size(); ++size) {
    expect_input_error([&] { (void)read_idx(write("x", whole.substr(0, size))); },
                       {"x: ", "truncated", "offset"});
    expect_input_error([&] { (void)read_idx(write("x", gzip(whole.substr(0, size)))); },
                       {"x: ", "truncated", "offset"});
  }
}

TEST_F(IdxTest, TrailingBytes) {
  const std::string long_by_one = idx_header({2}) + "abc";
  expect_input_error([&] { (void)read_idx(write("x", long_by_one)); },
                     {"1 bytes too many", "offset 8", "2 bytes", "3 are there"});
  expect_input_error([&] { (void)read_idx(write("x", gzip(long_by_one))); },
                     {"bytes follow at offset 10"});
}

TEST_F(IdxTest, EmptyFileAndEmptyArray) {
  expect_input_error([&] { (void)read_idx(write("x", "")); }, {"empty"});
  expect_input_error(
      [&] {
        (void)read_idx(write("x", idx_header({0, 28, 28})));
      },
      {"extent 0 at offset 4"});
  expect_input_error(
      [&] {
        (void)read_idx(write("x", idx_header({3, 0, 28})));
      },
      {"extent 0 at offset 8"});
}

TEST_F(IdxTest, ASizeThatOverflowsOrCannotBeIsRefusedBeforeMemoryIsTaken) {
  const std::string huge = idx_header({0xffffffff, 0xffffffff, 0xffffffff}) + "data";
  expect_input_error([&] { (void)read_idx(write("x", huge)); }, {"more than 2^63 bytes"});
  const std::string large = idx_header({0xffffffff, 0xffff}) + "data";
  expect_input_error([&] { (void)read_idx(write("x", large)); }, {"only 4"});
  expect_input_error([&] { (void)read_idx(write("x", gzip(large))); }, {"at most"});
}

TEST_F(IdxTest, CorruptGzip) {
  std::string broken = gzip(idx_header({100}) + counting_bytes(100));
  const std::size_t checksum = broken.size() - 8;
  broken[checksum] = static_cast<char>(broken[checksum] ^ 0x55);
  expect_input_error([&] { (void)read_idx(write("x", broken)); },
                     {"corrupt gzip data", "incorrect data check"});
}

TEST_F(IdxTest, CountsOfImagesAndLabelsDiffer) {
  write_split("train", 5, 4);
  expect_input_error(
      [&] { (void)read_idx_dataset(folder.path()); },
      {"train-labels-idx1-ubyte", "4 labels", "train-images-idx3-ubyte", "5 samples"});
}

TEST_F(IdxTest, LabelsOfAnotherRank) {
  write_split("train", 5, 5);
  write("train-labels-idx1-ubyte", idx_header({5, 1}) + "12345");
  expect_input_error([&] { (void)read_idx_dataset(folder.path()); }, {"rank 2", "expected 1"});
}

TEST_F(IdxTest, MissingFiles) {
  expect_input_error([&] { (void)read_idx_dataset(folder.path()); },
                     {"neither train-images-idx3-ubyte nor its .gz"});
  expect_input_error([&] { (void)read_idx_samples(folder.path()); }, {"t10k-images-idx3-ubyte"});
  write_split("train", 5, 5);
  std::filesystem::remove(folder / "train-labels-idx1-ubyte");
  expect_input_error([&] { (void)read_idx_dataset(folder.path()); },
                     {"has train-images-idx3-ubyte but neither train-labels-idx1-ubyte"});
  write_split("t10k", 1, 1);
  std::filesystem::remove(folder / "t10k-images-idx3-ubyte");
  expect_input_error([&] { (void)read_idx_samples(folder.path()); },
                     {"has t10k-labels-idx1-ubyte but neither t10k-images-idx3-ubyte"});
}

TEST_F(IdxTest, FileAndFolderInEachOthersPlace) {
  expect_input_error([&] { (void)read_idx_dataset(folder / "absent"); }, {"no such folder"});
  expect_input_error([&] { (void)read_idx_dataset(write("file", "x")); }, {"not a folder"});
  write_split("train", 5, 5);
  std::filesystem::remove(folder / "train-images-idx3-ubyte");
  std::filesystem::create_directory(folder / "train-images-idx3-ubyte");
  expect_input_error([&] { (void)read_idx_dataset(folder.path()); },
                     {"is a folder; expected a file"});
}

struct PublishedData {
  const char* folder;
  std::vector<std::int32_t> first_training_labels;
  std::vector<std::int32_t> first_test_labels;
};

class PublishedIdxTest : public ::testing::TestWithParam<PublishedData> {};

TEST_P(PublishedIdxTest, HasThePublishedCountsAndLabels) {
  const char* data = std::getenv("BATCHWISE_DATA");
  if (data == nullptr) GTEST_SKIP() << "set BATCHWISE_DATA to a folder with " << GetParam().folder;
  const Dataset dataset = read_idx_dataset(std::filesystem::path(data) / GetParam().folder);
  ASSERT_TRUE(dataset.test.has_value());
  EXPECT_EQ(dataset.train.count, 60000);
  EXPECT_EQ(dataset.test->count, 10000);
  for (const Samples* split : {&dataset.train, &*dataset.test}) {
    EXPECT_EQ(split->shape, (Shape{1, 28, 28}));
    const auto [low, high] = std::minmax_element(split->labels.begin(), split->labels.end());
    EXPECT_EQ(*low, 0);
    EXPECT_EQ(*high, 9);
  }
  const auto first = [](const Samples& samples) {
    return std::vector<std::int32_t>(samples.labels.begin(), samples.labels.begin() + 10);
  };
  EXPECT_EQ(first(dataset.train), GetParam().first_training_labels);
  EXPECT_EQ(first(*dataset.test), GetParam().first_test_labels);
}

INSTANTIATE_TEST_SUITE_P(Real, PublishedIdxTest,
                         ::testing::Values(PublishedData{"mnist",
                                                         {5, 0, 4, 1, 9, 2, 1, 3, 1, 4},
                                                         {7, 2, 1, 0, 4, 1, 4, 9, 5, 9}},
                                           PublishedData{"fashion-mnist",
                                                         {9, 0, 0, 3, 0, 2, 7, 2, 5, 5},
                                                         {9, 2, 1, 1, 6, 1, 4, 6, 5, 7}}),
                         [](const auto& instance) {
                           return std::string(instance.index == 0 ? "Mnist" : "FashionMnist");
                         });

}  // namespace
}  // namespace batchwise
