#include "engine/data/csv.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/data/data_files.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using Shape = std::vector<std::int64_t>;
using Labels = std::vector<std::int32_t>;
using Floats = std::vector<float>;

class CsvTest : public ::testing::Test {
 protected:
  Samples read(std::string_view text, bool header = false) {
    write_file(folder / "d.csv", text);
    return read_csv(folder / "d.csv", header);
  }
  Samples read_samples(std::string_view text, std::int64_t features) {
    write_file(folder / "d.csv", text);
    return read_csv_samples(folder / "d.csv", false, features);
  }

  TemporaryFolder folder;
};

TEST_F(CsvTest, ReadsFeaturesAndLabels) {
  const Samples samples = read("1,2.5,0\n-3e2,.5,1\n");
  EXPECT_EQ(samples.count, 2);
  EXPECT_EQ(samples.shape, Shape{2});
  EXPECT_EQ(samples.type, ElementType::f32);
  EXPECT_EQ(floats(samples), (Floats{1, 2.5f, -300, 0.5f}));
  EXPECT_EQ(samples.labels, (Labels{0, 1}));
  EXPECT_EQ(samples.files, std::vector<std::string>{folder / "d.csv"});
}

TEST_F(CsvTest, LineEndsSpacesAndByteOrderMark) {
  for (const char* text : {"1,2,0\n3,4,1", "1,2,0\r\n3,4,1\r\n", " 1 ,\t2, 0\n3,4,1 \n\n\n",
                           "\xEF\xBB\xBF"
                           "1,2,0\n3,4,1\n \t\r\n"}) {
    SCOPED_TRACE(text);
    const Samples samples = read(text);
    EXPECT_EQ(floats(samples), (Floats{1, 2, 3, 4}));
    EXPECT_EQ(samples.labels, (Labels{0, 1}));
  }
}

TEST_F(CsvTest, HeaderIsPassedOver) {
  EXPECT_EQ(read("width,height,class\n1,2,0\n", true).count, 1);
  expect_input_error([&] { read("width,height,class\n1,2,0\n"); },
                     {"d.csv:1: column 1", "\"width\"", "data.header = true"});
}

TEST_F(CsvTest, NumbersAreTheNearestFloat) {
  EXPECT_EQ(floats(read("0.1,0\n1e-40,0\n1e-60,0\n16777217,0\n3.4028235e38,0\n")),
            (Floats{0.1f, 1e-40f, 0.0f, 16777216.0f, 3.4028235e38f}));
}

TEST_F(CsvTest, LabelsMayBeWrittenAsFloats) {
  EXPECT_EQ(read("1,3.000000000000000000e+00\n").labels, Labels{3});
}

TEST_F(CsvTest, WrongFeatures) {
  for (const char* field :
       {"abc", "", "1.5x", "nan", "inf", "-inf", "1e39", "\"1\"", "0x10", "1 2"}) {
    SCOPED_TRACE(field);
    expect_input_error([&] { read("1,2,0\n3," + std::string(field) + ",1\n"); },
                       {"d.csv:2: column 2: found \"", "finite float32"});
  }
}

TEST_F(CsvTest, WrongLabels) {
  for (const char* field : {"abc", "", "1.5", "nan", "inf", "1e10", "-3000000000"}) {
    SCOPED_TRACE(field);
    expect_input_error([&] { read("1,2,0\n3,4," + std::string(field) + "\n"); },
                       {"d.csv:2: column 3: found \"", "class index"});
  }
}

TEST_F(CsvTest, LinesOfDifferentLength) {
  expect_input_error([&] { read("1,2,0\n3,1\n"); }, {"d.csv:2: 2 columns; expected 3"});
  expect_input_error([&] { read("1,2,0\n3,4,5,1\n"); }, {"d.csv:2: 4 columns; expected 3"});
}

TEST_F(CsvTest, ABlankLineBetweenSamples) {
  expect_input_error([&] { read("1,2,0\n\n3,4,1\n"); }, {"d.csv:2: is blank"});
  expect_input_error([&] { read("\n1,2,0\n"); }, {"d.csv:1: is blank"});
}

TEST_F(CsvTest, AnotherSeparator) {
  expect_input_error([&] { read("1;2;0\n"); }, {"d.csv:1: one column", "\"1;2;0\"", "commas"});
}

TEST_F(CsvTest, NoSamples) {
  expect_input_error([&] { read(""); }, {"d.csv", "empty"});
  expect_input_error([&] { read("\n\n"); }, {"d.csv: holds no samples"});
  expect_input_error([&] { read("a,b\n", true); }, {"d.csv: holds no samples"});
}

TEST_F(CsvTest, BinaryGarbageIsShownPrintable) {
  expect_input_error([&] { read(std::string("\x89PNG\0\x01,2\n", 9)); }, {"\"?PNG??\""});
}

TEST_F(CsvTest, MissingFileAndFolder) {
  expect_input_error([&] { (void)read_csv(folder / "absent.csv", false); }, {"no such file"});
  expect_input_error([&] { (void)read_csv(folder.path(), false); }, {"is a folder"});
}

TEST_F(CsvTest, SamplesOfTheExpectedWidthAreUnlabelled) {
  EXPECT_FALSE(read_samples("1,2\n3,4\n", 2).labelled());
  EXPECT_EQ(read_samples("1,2,7\n", 2).labels, Labels{7});
  EXPECT_EQ(read_samples("1\n2\n", 1).count, 2);
  expect_input_error([&] { (void)read_samples("1,2,3,4\n", 2); },
                     {"d.csv:1: 4 columns; expected 2 features, or 2 and a class"});
}

TEST_F(CsvTest, WideLineFollowedByManyLinesTakesLittleMemory) {
  std::string text;
  for (int column = 0; column < 100000; ++column) text += "1,";
  text += "0\n" + std::string(1000000, '\n');
  EXPECT_EQ(read(text).count, 1);  // lines x columns would be 400 GB
}

TEST(PublishedCsv, OptdigitsHasThePublishedCountsAndLabels) {
  const char* data = std::getenv("BATCHWISE_DATA");
  if (data == nullptr) GTEST_SKIP() << "set BATCHWISE_DATA to a folder with optdigits";
  const std::filesystem::path folder = std::filesystem::path(data) / "optdigits";
  const Samples train = read_csv(folder / "optdigits.tra", false);
  const Samples test = read_csv(folder / "optdigits.tes", false);
  EXPECT_EQ(train.count, 3823);
  EXPECT_EQ(test.count, 1797);
  EXPECT_EQ(train.shape, Shape{64});
  EXPECT_EQ(Labels(train.labels.begin(), train.labels.begin() + 5), (Labels{0, 0, 7, 4, 6}));
  for (const Samples* split : {&train, &test}) {
    EXPECT_EQ(*std::min_element(split->labels.begin(), split->labels.end()), 0);
    EXPECT_EQ(*std::max_element(split->labels.begin(), split->labels.end()), 9);
    const Floats values = floats(*split);
    EXPECT_EQ(*std::min_element(values.begin(), values.end()), 0.0f);
    EXPECT_EQ(*std::max_element(values.begin(), values.end()), 16.0f);
  }
}

}  // namespace
}  // namespace batchwise
