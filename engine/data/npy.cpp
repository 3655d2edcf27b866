#include "engine/data/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cassert>
#include <charconv>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "engine/error.h"
#include "engine/files/durable_file.h"

namespace batchwise {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are stored little-endian");

constexpr std::string_view kMagic = "\x93NUMPY";

struct TypeEntry {
  NpyType type;
  std::string_view code;
  std::string_view name;
};

constexpr std::array kTypes = {
    TypeEntry{NpyType::b1, "b1", "bool"},    TypeEntry{NpyType::f4, "f4", "float32"},
    TypeEntry{NpyType::f8, "f8", "float64"}, TypeEntry{NpyType::i1, "i1", "int8"},
    TypeEntry{NpyType::i2, "i2", "int16"},   TypeEntry{NpyType::i4, "i4", "int32"},
    TypeEntry{NpyType::i8, "i8", "int64"},   TypeEntry{NpyType::u1, "u1", "uint8"},
    TypeEntry{NpyType::u2, "u2", "uint16"},  TypeEntry{NpyType::u4, "u4", "uint32"},
    TypeEntry{NpyType::u8, "u8", "uint64"},
};

const TypeEntry& entry_of(NpyType type) { return kTypes[static_cast<std::size_t>(type)]; }

std::int64_t element_bytes(NpyType type) { return entry_of(type).code[1] - '0'; }

/// What the header's dictionary says.
struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Parses the Python dictionary literal that numpy writes: string keys, and as values strings,
/// True or False, and tuples of integers.
class HeaderParser {
 public:
  HeaderParser(const std::string& name, std::string_view text) : name_(name), text_(text) {}

  Header parse() {
    Header header;
    int keys = 0;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      ++keys;
      if (key == "descr") {
        header.descr = descr();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
      } else if (key == "shape") {
        header.shape = tuple();
      } else {
        fail("an unknown key");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (keys != 3 || header.descr.empty() || position_ != text_.size()) {
      fail("not the three keys descr, fortran_order and shape");
    }
    return header;
  }

 private:
  void skip_space() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) {
      ++position_;
    }
  }
  bool accept(char character) {
    skip_space();
    if (position_ >= text_.size() || text_[position_] != character) return false;
    ++position_;
    return true;
  }
  void expect(char character) {
    if (!accept(character)) fail(fmt::format("no '{}'", character));
  }
  std::string string() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const std::size_t end = text_.find(quote, position_);
    if (end == std::string_view::npos) fail("an unfinished string");
    const std::string_view value = text_.substr(position_, end - position_);
    position_ = end + 1;
    return std::string(value);
  }
  std::string descr() {
    if (accept('[')) fail("a structured dtype; expected an array of plain numbers");
    return string();
  }
  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return value;
      }
    }
    fail("neither True nor False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> extents;
    expect('(');
    while (!accept(')')) {
      extents.push_back(extent());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }
  std::int64_t extent() {
    skip_space();
    std::int64_t value = 0;
    const char* begin = text_.data() + position_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0) fail("not a size");
    position_ += static_cast<std::size_t>(end - begin);
    return value;
  }
  [[noreturn]] void fail(std::string_view problem) const {
    throw InputError(
        fmt::format("{}: invalid .npy header: {} at character {}", name_, problem, position_));
  }

  const std::string& name_;
  std::string_view text_;
  std::size_t position_ = 0;
};

/// Reads magic, version and length, and returns the header's text.
std::string read_header_text(ByteSource& source) {
  std::array<char, 8> start{};
  source.read(std::as_writable_bytes(std::span(start)), "the .npy magic number");
  const int version = start[6];
  if (std::string_view(start.data(), kMagic.size()) != kMagic || version < 1 || version > 3) {
    throw InputError(fmt::format(
        "{}: does not start with \\x93NUMPY and a version from 1 to 3 at offset 0; expected an "
        "array written by numpy.save",
        source.name()));
  }
  std::array<std::uint8_t, 4> length{};
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  source.read(std::as_writable_bytes(std::span(length).first(length_bytes)), "the header length");
  const std::uint32_t size =
      length[0] | length[1] << 8 | length[2] << 16 | static_cast<std::uint32_t>(length[3]) << 24;
  constexpr std::uint32_t kLargestHeader = 1 << 16;
  if (size > kLargestHeader) {
    throw InputError(fmt::format("{}: header length {} at offset 8; expected at most {}",
                                 source.name(), size, kLargestHeader));
  }
  std::string text(size, '\0');
  source.read(std::as_writable_bytes(std::span(text)), "the header");
  return text;
}

NpyType type_of(const std::string& name, const std::string& descr) {
  const std::string_view code = std::string_view(descr).substr(1);
  const bool single_byte = code.ends_with('1');
  if (descr[0] == '>' && !single_byte) {
    throw InputError(fmt::format(
        "{}: dtype '{}' is big-endian; expected little-endian: save array.astype('<{}')", name,
        descr, code));
  }
  for (const TypeEntry& entry : kTypes) {
    if (entry.code == code) return entry.type;
  }
  throw InputError(
      fmt::format("{}: dtype '{}' is not supported{}; expected bool, float32, float64 or integers",
                  name, descr, descr.ends_with('O') ? " (Python objects)" : ""));
}

template <class T>
double number_at(const std::vector<std::byte>& bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

}  // namespace

bool is_integer(NpyType type) { return type >= NpyType::i1; }

std::string_view name_of(NpyType type) { return entry_of(type).name; }

std::int64_t NpyArray::size() const {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  return elements;
}

double NpyArray::number(std::int64_t index) const {
  assert(index >= 0 && index < size());
  switch (dtype) {
    case NpyType::f4: return number_at<float>(bytes, index);
    case NpyType::f8: return number_at<double>(bytes, index);
    case NpyType::i1: return number_at<std::int8_t>(bytes, index);
    case NpyType::i2: return number_at<std::int16_t>(bytes, index);
    case NpyType::i4: return number_at<std::int32_t>(bytes, index);
    case NpyType::i8: return number_at<std::int64_t>(bytes, index);
    case NpyType::b1:
    case NpyType::u1: return number_at<std::uint8_t>(bytes, index);
    case NpyType::u2: return number_at<std::uint16_t>(bytes, index);
    case NpyType::u4: return number_at<std::uint32_t>(bytes, index);
    case NpyType::u8: return number_at<std::uint64_t>(bytes, index);
  }
  return 0.0;
}

NpyArray read_npy(ByteSource& source) {
  const std::string text = read_header_text(source);
  Header header = HeaderParser(source.name(), text).parse();
  NpyArray array;
  array.dtype = type_of(source.name(), header.descr);
  array.shape = std::move(header.shape);
  const std::int64_t bytes = array_bytes(source.name(), array.shape, element_bytes(array.dtype));
  if (header.fortran_order && array.shape.size() > 1) {
    throw InputError(fmt::format(
        "{}: is in Fortran order; expected C order: save numpy.ascontiguousarray(array)",
        source.name()));
  }
  source.expect_remaining(bytes, "the array");
  array.bytes.resize(static_cast<std::size_t>(bytes));
  source.read(array.bytes, "the array");
  source.expect_end();
  return array;
}

NpyArray read_npy(const std::filesystem::path& path) {
  InputFile file(path);
  return read_npy(file);
}

void write_npy(const std::filesystem::path& path, std::int64_t rows, std::int64_t columns,
               std::span<const float> values) {
  assert(static_cast<std::int64_t>(values.size()) == rows * columns);
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr std::size_t kPrefixBytes = 10, kAlignment = 64;
  while ((kPrefixBytes + header.size() + 1) % kAlignment != 0) header += ' ';
  header += '\n';
  std::string start(kMagic);
  start += {'\x01', '\x00', static_cast<char>(header.size() & 255),
            static_cast<char>(header.size() >> 8)};
  start += header;

  const std::array parts = {std::as_bytes(std::span(std::as_const(start))), std::as_bytes(values)};
  write_output(path, parts);
}

}  // namespace batchwise
