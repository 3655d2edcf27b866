// The format byte by byte, and each way in which a file can break its rules.
#include "engine/files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/files/file_reader.h"
#include "engine/files/sha256.h"
#include "tests/engine/files/failing_writes.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class T>
TensorData tensor(std::string name, TensorType type, std::vector<std::int64_t> shape,
                  const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {std::move(name), type, std::move(shape), {bytes.begin(), bytes.end()}};
}

std::string bytes_of_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t index = 0; index + 1 < hex.size(); index += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(index, 2)), nullptr, 16));
  }
  return bytes;
}

/// A file with this header, not padded, and zeros for data.
std::string file_with(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + std::string(data_bytes, '\0');
}

class Safetensors : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path() const { return folder_ / "weights.safetensors"; }

  /// The InputError of reading these bytes, or "no error".
  [[nodiscard]] std::string error_of(const std::string& bytes) const {
    write_durably(path(), bytes);
    try {
      (void)read_safetensors(path());
      return "no error";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path().string()));
      return error.what();
    }
  }
  [[nodiscard]] std::string error_of_header(const std::string& header, std::size_t data_bytes) {
    return error_of(file_with(header, data_bytes));
  }

 private:
  TemporaryFolder folder_;
};

// Header length 200, the header padded with 3 spaces, then step = 3 (I64), w = {1, -2} (F32) and
// u = {7, 255} (U8): wide types first. Read back by version 0.8.0 of the Python package.
constexpr std::string_view kSmallFile =
    "c8000000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c"
    "2273746570223a7b22646174615f6f666673657473223a5b302c385d2c226474797065223a224936"
    "34222c227368617065223a5b5d7d2c2275223a7b22646174615f6f666673657473223a5b31362c31"
    "385d2c226474797065223a225538222c227368617065223a5b325d7d2c2277223a7b22646174615f"
    "6f666673657473223a5b382c31365d2c226474797065223a22463332222c227368617065223a5b31"
    "2c325d7d7d20202003000000000000000000803f000000c007ff";

std::vector<TensorData> small_tensors() {
  return {tensor<std::int64_t>("step", TensorType::i64, {}, {3}),
          tensor<float>("w", TensorType::f32, {1, 2}, {1.0f, -2.0f}),
          tensor<std::uint8_t>("u", TensorType::u8, {2}, {7, 255})};
}

TEST_F(Safetensors, WritesTheFormatByteByByte) {
  const auto tensors = small_tensors();
  const std::vector<TensorData> reversed(tensors.rbegin(), tensors.rend());
  write_safetensors(path(), reversed, {{"format", "pt"}});
  EXPECT_EQ(read_file(path()), bytes_of_hex(kSmallFile));
}

TEST_F(Safetensors, ReadsTheFormatByteByByte) {
  write_durably(path(), bytes_of_hex(kSmallFile));
  const SafetensorsFile file = read_safetensors(path());
  EXPECT_EQ(file.tensors, small_tensors());
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST_F(Safetensors, ReadsBackEveryTypeAndShape) {
  const std::vector<TensorData> tensors = {
      tensor<double>("f64", TensorType::f64, {2, 1}, {0.1, -0.0}),
      tensor<std::int64_t>("i64", TensorType::i64, {1, 1, 1, 1, 1}, {INT64_MIN}),
      tensor<float>("empty", TensorType::f32, {3, 0}, {}),
      tensor<std::int32_t>("i32", TensorType::i32, {1}, {-1}),
      tensor<std::uint8_t>("a \"quoted\"\n\u00e9 name", TensorType::u8, {1}, {1}),
      tensor<std::uint8_t>("", TensorType::u8, {}, {2})};
  const std::map<std::string, std::string> metadata = {{"", ""}, {"key", "{\"json\":\"\\u0000\"}"}};
  write_safetensors(path(), tensors, metadata);
  const SafetensorsFile file = read_safetensors(path());
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const TensorData& expected : tensors)
    EXPECT_THAT(file.tensors, ::testing::Contains(expected));
}

TEST_F(Safetensors, ReadsBackAFileWithoutTensors) {
  write_safetensors(path(), {});
  const SafetensorsFile file = read_safetensors(path());
  EXPECT_TRUE(file.tensors.empty());
  EXPECT_TRUE(file.metadata.empty());
}

TEST_F(Safetensors, RefusesToWriteWhatCouldNotBeRead) {
  const auto write = [this](const std::vector<TensorData>& tensors,
                            const std::map<std::string, std::string>& metadata = {}) {
    write_safetensors(path(), tensors, metadata);
  };
  EXPECT_THROW(write({tensor<float>("w", TensorType::f32, {3}, {1, 2})}), std::invalid_argument);
  EXPECT_THROW(write({tensor<float>("w", TensorType::f32, {-1}, {})}), std::invalid_argument);
  EXPECT_THROW(write({tensor<float>("__metadata__", TensorType::f32, {0}, {})}),
               std::invalid_argument);
  EXPECT_THROW(write({tensor<float>("w", TensorType::f32, {0}, {}),
                      tensor<float>("w", TensorType::f32, {0}, {})}),
               std::invalid_argument);
  std::string too_long;
  too_long.resize(100'000'000, 'x');
  EXPECT_THROW(write({}, {{"long", too_long}}), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Safetensors, LeavesNothingWhereTheFileDoesNotFit) {
  const testing::FileSizeLimit limit(100);
  EXPECT_THROW(write_safetensors(path(), small_tensors()), RunError);
  EXPECT_TRUE(names_in(path().parent_path()).empty());
}

TEST_F(Safetensors, DetectsEveryTruncationAndExtension) {
  const std::string whole = bytes_of_hex(kSmallFile);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(whole.substr(0, length)), "no error") << length;
  }
  EXPECT_THAT(error_of(whole.substr(0, whole.size() - 1)),
              AllOf(HasSubstr("found 17 bytes of data, expected 18"), HasSubstr("cut short")));
  EXPECT_THAT(error_of(whole + "x"), HasSubstr("too long"));
}

TEST_F(Safetensors, TakesNoMemoryForAHeaderThatIsNotThere) {
  EXPECT_THAT(error_of(std::string(16, '\xff')),
              HasSubstr("found a header length of 18446744073709551615, expected at most 8"));
}

TEST_F(Safetensors, TakesNoMemoryForATensorThatIsNotThere) {
  EXPECT_THAT(error_of_header(R"({"w":{"dtype":"U8","shape":[4611686018427387904],)"
                              R"("data_offsets":[0,4611686018427387904]}})",
                              4),
              HasSubstr("found 4 bytes of data, expected 4611686018427387904"));
}

TEST_F(Safetensors, NamesHeadersThatAreNotJson) {
  EXPECT_THAT(error_of_header(R"({"w")", 0), HasSubstr("not valid JSON at its byte 5"));
  EXPECT_THAT(error_of_header("{\"\xff\":1}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of_header("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of_header(" {}", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of_header(std::string("{}\0\0", 4), 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of_header("{}{}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of_header("{\"w\":" + std::string(100'000, '['), 0),
              HasSubstr("nested too deeply"));
  EXPECT_EQ(error_of_header("{}   ", 0), "no error");
}

TEST_F(Safetensors, NamesKeysThatOccurTwice) {
  const std::string w = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(error_of_header("{" + w + "," + w + "}", 1), HasSubstr("found \"w\" twice"));
  EXPECT_THAT(
      error_of_header(R"({"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
      HasSubstr("found \"dtype\" twice"));
}

TEST_F(Safetensors, NamesMetadataThatIsNotText) {
  EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":1}})", 0), HasSubstr("object of strings"));
  EXPECT_THAT(error_of_header(R"({"__metadata__":["a"]})", 0), HasSubstr("object of strings"));
}

TEST_F(Safetensors, NamesTheTensorAndWhatIsWrongWithIt) {
  struct Case {
    const char* entry;
    const char* expected;
  };
  const Case cases[] = {
      {R"(1)", "found 1, expected an object"},
      {R"({"shape":[1],"data_offsets":[0,4]})", "expected a key dtype"},
      {R"({"dtype":"F32","data_offsets":[0,4]})", "expected a key shape"},
      {R"({"dtype":"F32","shape":[1]})", "expected a key data_offsets"},
      {R"({"dtype":"BF16","shape":[2],"data_offsets":[0,4]})", "found \"BF16\", expected a dtype"},
      {R"({"dtype":4,"shape":[1],"data_offsets":[0,4]})", "found 4, expected a dtype"},
      {R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})", "found 1, expected a shape"},
      {R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", "found [-1], expected a shape"},
      {R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", "found [1.0], expected a shape"},
      {R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]})", "a shape"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", "found [0], expected two"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,4]})", "expected two"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", "expected two ascending"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":"04"})", "found \"04\", expected two"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", "the bytes of F32 [2]"},
      {R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})", "the bytes of"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", "at offset 4, expected 0"},
  };
  for (const auto& [entry, expected] : cases) {
    EXPECT_THAT(error_of_header(std::string("{\"dense_1.weight\":") + entry + "}", 4),
                AllOf(HasSubstr("tensor \"dense_1.weight\""), HasSubstr(expected)))
        << entry;
  }
}

TEST_F(Safetensors, NamesOverlapsAndHoles) {
  const auto header_of = [](int second_begin) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
           R"("b":{"dtype":"U8","shape":[4],"data_offsets":[)" +
           std::to_string(second_begin) + "," + std::to_string(second_begin + 4) + "]}}";
  };
  EXPECT_EQ(error_of_header(header_of(4), 8), "no error");
  EXPECT_THAT(error_of_header(header_of(3), 7), HasSubstr("\"b\": found its data at offset 3"));
  EXPECT_THAT(error_of_header(header_of(5), 9), HasSubstr("\"b\": found its data at offset 5"));
  EXPECT_THAT(error_of_header(header_of(0), 4), HasSubstr("\"b\": found its data at offset 0"));
}

TEST_F(Safetensors, MessagesAreShortAndPlainWhateverTheFileHolds) {
  const std::string header =
      "{\"" + std::string(10'000, 'n') + "\\u0007\":{\"dtype\":\"\xc3\xa9\"}}";
  const std::string message = error_of_header(header, 0);
  EXPECT_LT(message.size(), path().string().size() + 300);
  EXPECT_THAT(message, HasSubstr("..."));
  for (const char character : message) EXPECT_TRUE(character >= ' ' && character <= '~');
}

TEST(WeightsSha256, CoversTheDataInBytewiseOrderOfNames) {
  // Bytewise, "B" comes before "a" and "\u00e9" after "z".
  const std::vector<TensorData> tensors = {tensor<float>("\u00e9", TensorType::f32, {1}, {4}),
                                           tensor<float>("a", TensorType::f32, {1, 1}, {2}),
                                           tensor<float>("z", TensorType::f32, {1}, {3}),
                                           tensor<float>("B", TensorType::f32, {}, {1})};
  const std::vector<float> expected = {1, 2, 3, 4};
  EXPECT_EQ(weights_sha256(tensors), sha256_of(std::as_bytes(std::span(expected))));
  // printf '\0\0\200\77\0\0\0\100\0\0\100\100\0\0\200\100' | sha256sum
  EXPECT_EQ(weights_sha256(tensors),
            "ad73b9acd6e4a74b2f5bb5386658ce3bb146cd040a1867646ab3b973fb6632b1");
}

TEST(WeightsSha256, IsForF32Alone) {
  EXPECT_THROW((void)weights_sha256(std::vector{tensor<double>("w", TensorType::f64, {1}, {1})}),
               std::invalid_argument);
}

}  // namespace
}  // namespace batchwise
