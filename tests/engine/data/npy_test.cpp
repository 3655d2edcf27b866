#include "engine/data/npy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <limits>

#include "tests/engine/data/data_files.h"
#include "tests/engine/files/failing_writes.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using Shape = std::vector<std::int64_t>;

class NpyTest : public ::testing::Test {
 protected:
  NpyArray read(std::string_view bytes) {
    write_file(folder / "x.npy", bytes);
    return read_npy(folder / "x.npy");
  }
  template <class T>
  void expect_type(const std::string& descr, NpyType type, T low, T high) {
    const NpyArray array = read(npy<T>(descr, "(2,)", {low, high}));
    EXPECT_EQ(array.dtype, type) << descr;
    EXPECT_EQ(array.number(0), static_cast<double>(low)) << descr;
    EXPECT_EQ(array.number(1), static_cast<double>(high)) << descr;
  }

  TemporaryFolder folder;
};

TEST_F(NpyTest, ReadsEveryType) {
  expect_type<float>("<f4", NpyType::f4, -1.5f, 3e38f);
  expect_type<double>("<f8", NpyType::f8, -1.5, 1e300);
  expect_type<std::int8_t>("|i1", NpyType::i1, -128, 127);
  expect_type<std::int16_t>("<i2", NpyType::i2, -32768, 32767);
  expect_type<std::int32_t>("<i4", NpyType::i4, INT32_MIN, INT32_MAX);
  expect_type<std::int64_t>("<i8", NpyType::i8, INT64_MIN, 7);
  expect_type<std::uint8_t>("|u1", NpyType::u1, 0, 255);
  expect_type<std::uint8_t>("|b1", NpyType::b1, 0, 1);
  expect_type<std::uint16_t>("<u2", NpyType::u2, 0, 65535);
  expect_type<std::uint32_t>("=u4", NpyType::u4, 0, UINT32_MAX);
  expect_type<std::uint64_t>("<u8", NpyType::u8, 0, UINT64_MAX);
}

TEST_F(NpyTest, ReadsEveryRank) {
  EXPECT_EQ(read(npy<float>("<f4", "()", {1})).shape, Shape{});
  EXPECT_EQ(read(npy<float>("<f4", "(3,)", {1, 2, 3})).shape, Shape{3});
  EXPECT_EQ(read(npy<float>("<f4", "(2, 1, 1, 1, 1)", {1, 2})).shape, (Shape{2, 1, 1, 1, 1}));
  EXPECT_EQ(read(npy<float>("<f4", "(0, 3)", {})).size(), 0);
}

TEST_F(NpyTest, ReadsVersionTwo) {
  const std::string header = "{\"shape\": (1,), \"fortran_order\": True, \"descr\": \"|u1\"}";
  std::string file("\x93NUMPY\x02\x00", 8);
  file += {static_cast<char>(header.size()), '\0', '\0', '\0'};
  EXPECT_EQ(read(file + header + "a").number(0), 'a');
}

TEST_F(NpyTest, WhatIsWrittenIsReadBack) {
  const std::vector<float> values = {1.0f, -2.5f, 0x1p-149f, 3e38f, -0.0f, 7.0f};
  write_npy(folder / "y.npy", 2, 3, values);
  const NpyArray array = read_npy(folder / "y.npy");
  EXPECT_EQ(array.dtype, NpyType::f4);
  EXPECT_EQ(array.shape, (Shape{2, 3}));
  ASSERT_EQ(array.bytes.size(), values.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(array.bytes.data(), values.data(), array.bytes.size()), 0);
}

TEST_F(NpyTest, WritesTheBytesThatNumpyWrites) {
  write_npy(folder / "y.npy", 1, 1, std::vector<float>{1.0f});
  const std::string bytes = read_whole(folder / "y.npy");
  EXPECT_EQ(bytes.size(), 132u);  // numpy pads the header so that data starts at a multiple of 64
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(bytes.substr(10, 58), "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), ");
  EXPECT_EQ(bytes[127], '\n');
}

TEST_F(NpyTest, WritingWhereThereIsNoFolderIsARunError) {
  EXPECT_THROW(write_npy(folder / "absent" / "y.npy", 1, 1, std::vector<float>{1.0f}), RunError);
}

TEST_F(NpyTest, WritingToAFullDeviceIsARunError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  EXPECT_THROW(write_npy("/dev/full", 1, 1, std::vector<float>{1.0f}), RunError);
}

TEST_F(NpyTest, AFailedWriteLeavesTheOldFile) {
  write_npy(folder / "y.npy", 1, 1, std::vector<float>{1.0f});
  const std::string before = read_whole(folder / "y.npy");
  {
    const testing::FileSizeLimit limit(4096);
    EXPECT_THROW(write_npy(folder / "y.npy", 1, 5000, std::vector<float>(5000)), RunError);
  }
  EXPECT_EQ(read_whole(folder / "y.npy"), before);
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"y.npy"});
}

TEST_F(NpyTest, ALinkStaysALink) {
  write_npy(folder / "y.npy", 1, 1, std::vector<float>{1.0f});
  std::filesystem::create_symlink("y.npy", folder / "link.npy");
  write_npy(folder / "link.npy", 1, 2, std::vector<float>{1.0f, 2.0f});
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.npy"));
  EXPECT_EQ(read_npy(folder / "y.npy").shape, (Shape{1, 2}));
}

TEST_F(NpyTest, APipeIsWrittenTo) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const int reader = ::open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  write_npy(folder / "pipe", 1, 1, std::vector<float>{1.0f});
  std::string bytes(200, '\0');
  EXPECT_EQ(::read(reader, bytes.data(), bytes.size()), 132);
  ::close(reader);
  EXPECT_EQ(bytes.substr(0, 6), "\x93NUMPY");
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST_F(NpyTest, TypesThatAreNotPlainNumbers) {
  expect_input_error([&] { read(npy<float>(">f4", "(1,)", {1})); },
                     {"x.npy", "'>f4' is big-endian", "astype('<f4')"});
  expect_input_error([&] { read(npy<float>("|O", "(1,)", {1})); }, {"'|O'", "Python objects"});
  expect_input_error([&] { read(npy<float>("<c8", "(1,)", {1})); }, {"'<c8' is not supported"});
  expect_input_error([&] { read(npy<float>("<f2", "(1,)", {1})); }, {"'<f2' is not supported"});
  expect_input_error([&] { read(npy<float>("f", "(1,)", {1})); }, {"not supported"});
  expect_input_error(
      [&] {
        read(npy_with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                             "1234"));
      },
      {"structured dtype"});
}

TEST_F(NpyTest, FortranOrderIsRefusedWithTheRemedy) {
  const char* header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2), }";
  expect_input_error([&] { read(npy_with_header(header, "1234")); }, {"ascontiguousarray"});
}

TEST_F(NpyTest, BrokenHeaders) {
  const std::vector<const char*> headers = {
      "",
      "{",
      "{}",
      "{'descr': '<f4'}",
      "{'descr': '', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} rest",
      "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
      "{'shape': (1,), 'shape': (1,), 'shape': (1,)}",
  };
  for (const char* header : headers) {
    SCOPED_TRACE(header);
    expect_input_error([&] { read(npy_with_header(header, "1234")); },
                       {"x.npy", "invalid .npy header"});
  }
}

TEST_F(NpyTest, WrongMagicVersionAndLength) {
  expect_input_error([&] { read("not an array at all"); }, {"NUMPY", "offset 0"});
  std::string version_nine = npy<float>("<f4", "(1,)", {1});
  version_nine[6] = 9;
  expect_input_error([&] { read(version_nine); }, {"version from 1 to 3"});
  expect_input_error([&] { read(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)); },
                     {"header length 4294967295"});
}

TEST_F(NpyTest, TruncatedAndTrailing) {
  const std::string whole = npy<float>("<f4", "(2,)", {1, 2});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    expect_input_error([&] { read(whole.substr(0, size)); }, {"x.npy", "truncated"});
  }
  expect_input_error([&] { read(whole + "x"); }, {"1 bytes too many"});
}

TEST_F(NpyTest, ShapesThatCannotBe) {
  expect_input_error([&] { read(npy<float>("<f4", "(4294967296, 4294967296)", {1})); },
                     {"more than 2^63 bytes"});
  expect_input_error([&] { read(npy<float>("<f4", "(1000000000000,)", {1})); },
                     {"4000000000000 bytes", "only 4"});
}

}  // namespace
}  // namespace batchwise
