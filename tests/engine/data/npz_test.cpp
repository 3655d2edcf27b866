#include "engine/data/npz.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/data/data_files.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using Shape = std::vector<std::int64_t>;
using Labels = std::vector<std::int32_t>;
using Members = std::map<std::string, std::string>;

class NpzTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const Members& members, zip_int32_t method = ZIP_CM_STORE) {
    write_zip(folder / "data.npz", members, method);
    return folder / "data.npz";
  }
  Dataset dataset(const std::string& x_train, const std::string& y_train) {
    return read_npz_dataset(write({{"x_train.npy", x_train}, {"y_train.npy", y_train}}));
  }
  Labels labels_of(const std::string& y_train) {
    return dataset(npy<float>("<f4", "(3, 1)", {1, 2, 3}), y_train).train.labels;
  }

  const std::string features = npy<float>("<f4", "(2, 3)", {1, 2, 3, 4, 5, 6});
  const std::string labels = npy<std::int64_t>("<i8", "(2,)", {0, 1});
  TemporaryFolder folder;
};

TEST_F(NpzTest, ReadsStoredAndDeflatedArrays) {
  for (const zip_int32_t method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    const auto arrays = read_npz(write({{"a.npy", features}, {"b.npy", labels}}, method));
    ASSERT_EQ(arrays.size(), 2u);
    EXPECT_EQ(arrays.at("a").shape, (Shape{2, 3}));
    EXPECT_EQ(arrays.at("a").number(5), 6.0);
    EXPECT_EQ(arrays.at("b").number(1), 1.0);
  }
}

TEST_F(NpzTest, ReadsBothSplitsUnderKerasNames) {
  const Dataset data = read_npz_dataset(write({{"x_train.npy", features},
                                               {"y_train.npy", labels},
                                               {"x_test.npy", features},
                                               {"y_test.npy", labels}}));
  EXPECT_EQ(data.train.count, 2);
  EXPECT_EQ(data.train.type, ElementType::f32);
  EXPECT_EQ(data.train.shape, Shape{3});
  EXPECT_EQ(floats(data.train), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(data.train.labels, (Labels{0, 1}));
  EXPECT_EQ(data.train.files, std::vector<std::string>{folder / "data.npz"});
  ASSERT_TRUE(data.test.has_value());
  EXPECT_TRUE(data.notes.empty());
}

TEST_F(NpzTest, WithoutTestArraysThereIsNoTestPartAndOthersAreNoted) {
  const Dataset data = read_npz_dataset(
      write({{"x_train.npy", features}, {"y_train.npy", labels}, {"names.npy", "anything"}}));
  EXPECT_FALSE(data.test.has_value());
  ASSERT_EQ(data.notes.size(), 1u);
  EXPECT_NE(data.notes[0].find("names is not read"), std::string::npos);
}

TEST_F(NpzTest, FeatureTypes) {
  const Dataset bytes = dataset(npy<std::uint8_t>("|u1", "(2, 2)", {1, 2, 3, 255}), labels);
  EXPECT_EQ(bytes.train.type, ElementType::u8);
  EXPECT_EQ(bytes.train.features[3], std::byte{255});
  const Dataset doubles = dataset(npy<double>("<f8", "(2, 1)", {0.1, -1e-3}), labels);
  EXPECT_EQ(doubles.train.type, ElementType::f32);
  EXPECT_EQ(floats(doubles.train), (std::vector<float>{0.1f, -1e-3f}));
  expect_input_error(
      [&] {
        dataset(npy<std::int64_t>("<i8", "(2, 1)", {1, 2}), labels);
      },
      {"x_train", "int64", "float32, float64 or uint8"});
}

TEST_F(NpzTest, FeatureRanks) {
  const std::vector<float> values(8, 0.5f);
  EXPECT_EQ(dataset(npy("<f4", "(2, 4)", values), labels).train.shape, Shape{4});
  EXPECT_EQ(dataset(npy("<f4", "(2, 2, 2)", values), labels).train.shape, (Shape{1, 2, 2}));
  EXPECT_EQ(dataset(npy("<f4", "(2, 1, 4, 1)", values), labels).train.shape, (Shape{1, 4, 1}));
  EXPECT_EQ(dataset(npy("<f4", "(2, 1, 1, 2, 2)", values), labels).train.shape, (Shape{1, 1, 4}));
  expect_input_error([&] { dataset(npy<float>("<f4", "()", {1}), labels); },
                     {"samples on the first axis"});
}

TEST_F(NpzTest, EmptyTrainingSet) {
  expect_input_error(
      [&] { dataset(npy<float>("<f4", "(0, 3)", {}), npy<std::int64_t>("<i8", "(0,)", {})); },
      {"x_train", "(0, 3)", "no empty axis"});
  expect_input_error([&] { dataset(npy<float>("<f4", "(2, 0)", {}), labels); }, {"(2, 0)"});
}

TEST_F(NpzTest, LabelForms) {
  const Labels expected = {2, 0, 1};
  EXPECT_EQ(labels_of(npy<std::uint8_t>("|u1", "(3,)", {2, 0, 1})), expected);
  EXPECT_EQ(labels_of(npy<std::int64_t>("<i8", "(3, 1)", {2, 0, 1})), expected);
  EXPECT_EQ(labels_of(npy<std::uint8_t>("|b1", "(3, 3)", {0, 0, 1, 1, 0, 0, 0, 1, 0})), expected);
  EXPECT_EQ(labels_of(npy<float>("<f4", "(3, 3)", {0, 0, 1, 1, 0, 0, 0, 1, 0})), expected);
}

TEST_F(NpzTest, LabelsThatAreNoClasses) {
  expect_input_error(
      [&] {
        labels_of(npy<float>("<f4", "(3,)", {0, 1, 2}));
      },
      {"y_train", "float32 of shape (3)", "expected integers"});
  expect_input_error(
      [&] {
        labels_of(npy<std::int64_t>("<i8", "(3,)", {0, 1, 1LL << 40}));
      },
      {"y_train", "sample 2", "1099511627776"});
  expect_input_error(
      [&] {
        labels_of(npy<std::int64_t>("<i8", "(3, 2, 1)", {0, 1, 0, 1, 0, 1}));
      },
      {"shape (3, 2, 1)"});
  expect_input_error(
      [&] {
        labels_of(npy<float>("<f4", "(3, 2)", {0, 1, 1, 1, 0, 1}));
      },
      {"y_train", "row 1 is not one-hot", "2 ones"});
  expect_input_error(
      [&] {
        labels_of(npy<float>("<f4", "(3, 2)", {0, 1, 0, 0, 0, 1}));
      },
      {"row 1 is not one-hot"});
  expect_input_error(
      [&] {
        labels_of(npy<float>("<f4", "(3, 2)", {0, 1, 0.9f, 0.1f, 0, 1}));
      },
      {"row 1 is not one-hot"});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_input_error(
      [&] {
        labels_of(npy<float>("<f4", "(3, 2)", {0, 1, nan, 1, 0, 1}));
      },
      {"row 1 is not one-hot"});
}

TEST_F(NpzTest, CountsDiffer) {
  expect_input_error([&] { labels_of(labels); }, {"y_train: 2 labels", "x_train holds 3 samples"});
}

TEST_F(NpzTest, NonFiniteFeatures) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_input_error(
      [&] {
        dataset(npy<float>("<f4", "(2, 2)", {1, 2, 3, nan}), labels);
      },
      {"data.npz: x_train", "sample 1, element 1 is nan"});
  expect_input_error(
      [&] {
        dataset(npy<double>("<f8", "(2, 2)", {1, -INFINITY, 3, 4}), labels);
      },
      {"sample 0, element 1 is -inf"});
  expect_input_error(
      [&] {
        dataset(npy<double>("<f8", "(2, 2)", {1, 2, 1e300, 4}), labels);
      },
      {"sample 1, element 0 is 1e+300"});
}

TEST_F(NpzTest, MissingArrays) {
  expect_input_error(
      [&] {
        (void)read_npz_dataset(write({{"a.npy", features}}));
      },
      {"holds no x_train; found: a"});
  expect_input_error(
      [&] {
        (void)read_npz_dataset(write({{"x_train.npy", features}}));
      },
      {"holds x_train but not y_train"});
  expect_input_error(
      [&] {
        (void)read_npz_dataset(write({{"y_train.npy", labels}}));
      },
      {"holds y_train but not x_train"});
}

TEST_F(NpzTest, SamplesAreTheTestArraysOrElseTheTrainArraysAndMayBeUnlabelled) {
  const Samples train = read_npz_samples(write({{"x_train.npy", features}}));
  EXPECT_EQ(train.count, 2);
  EXPECT_FALSE(train.labelled());
  const Samples test =
      read_npz_samples(write({{"x_train.npy", features},
                              {"x_test.npy", npy<float>("<f4", "(1, 3)", {7, 8, 9})},
                              {"y_test.npy", npy<std::int64_t>("<i8", "(1,)", {1})}}));
  EXPECT_EQ(test.count, 1);
  EXPECT_EQ(test.labels, Labels{1});
  expect_input_error(
      [&] {
        (void)read_npz_samples(write({{"a.npy", features}}));
      },
      {"holds no x_test or x_train"});
}

TEST_F(NpzTest, NotAnArchive) {
  write_file(folder / "data.npz", "this is no zip file, whatever its name");
  expect_input_error([&] { (void)read_npz(folder / "data.npz"); },
                     {"data.npz", "not a readable .npz"});
  write_file(folder / "data.npz", "");
  expect_input_error([&] { (void)read_npz(folder / "data.npz"); }, {"empty"});
  expect_input_error([&] { (void)read_npz(folder.path()); }, {"is a folder"});
  expect_input_error([&] { (void)read_npz(folder / "absent.npz"); }, {"no such file"});
}

TEST_F(NpzTest, TruncatedAnywhere) {
  const std::string whole = read_whole(write({{"x.npy", features}}, ZIP_CM_DEFLATE));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    write_file(folder / "data.npz", whole.substr(0, size));
    expect_input_error([&] { (void)read_npz(folder / "data.npz"); }, {"data.npz"});
  }
}

TEST_F(NpzTest, AFlippedDataByteFailsTheChecksum) {
  std::string bytes = read_whole(write({{"x.npy", features}}));
  const std::size_t data = bytes.find("NUMPY") + features.size() - 3;
  bytes[data] = static_cast<char>(bytes[data] ^ 1);
  write_file(folder / "data.npz", bytes);
  expect_input_error([&] { (void)read_npz(folder / "data.npz"); }, {"data.npz: x", "CRC"});
}

/// Overwrites a 32-bit number of the only entry's record in the archive's directory.
void change_directory(const std::filesystem::path& path, std::size_t field, std::uint32_t value) {
  std::string bytes = read_whole(path);
  const std::size_t record = bytes.find("PK\x01\x02");
  std::memcpy(bytes.data() + record + field, &value, sizeof(value));
  write_file(path, bytes);
}
constexpr std::size_t kCompressedSize = 20, kSize = 24;

TEST_F(NpzTest, DeclaredSizesThatCannotBe) {
  change_directory(write({{"x.npy", features}}, ZIP_CM_DEFLATE), kSize, 0x7fffffff);
  expect_input_error([&] { (void)read_npz(folder / "data.npz"); },
                     {"x: declares 2147483647 bytes", "cannot be"});
  change_directory(write({{"x.npy", features}}), kSize, 7);
  expect_input_error([&] { (void)read_npz(folder / "data.npz"); }, {"declares 7 bytes"});
  change_directory(write({{"x.npy", features}}), kCompressedSize, 0x7fffffff);
  expect_input_error([&] { (void)read_npz(folder / "data.npz"); }, {"data.npz"});
}

TEST_F(NpzTest, DeclaredSizeAndArrayHeaderDiffer) {
  expect_input_error(
      [&] {
        (void)read_npz(write({{"x.npy", features + "more"}}));
      },
      {"x: 4 bytes too many"});
  expect_input_error(
      [&] {
        (void)read_npz(write({{"x.npy", features.substr(0, features.size() - 1)}}, ZIP_CM_DEFLATE));
      },
      {"x: truncated"});
}

TEST_F(NpzTest, TheSameArrayTwice) {
  expect_input_error(
      [&] {
        (void)read_npz(write({{"x.npy", features}, {"x", features}}));
      },
      {"holds x twice"});
}

}  // namespace
}  // namespace batchwise
