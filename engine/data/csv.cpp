#include "engine/data/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "engine/data/byte_source.h"
#include "engine/error.h"

namespace batchwise {
namespace {

std::string read_text(const std::filesystem::path& path) {
  InputFile file(path);
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read(std::as_writable_bytes(std::span(text)), "the text");
  return text;
}

std::string_view without_surrounding_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// The text up to the separator, which is removed together with it.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view taken = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return taken;
}

/// A field as shown in a message: short and printable.
std::string quoted(std::string_view field) {
  constexpr std::size_t kLongest = 40;
  std::string shown(field.substr(0, kLongest));
  for (char& character : shown) {
    if (character < ' ' || character > '~') character = '?';
  }
  return '"' + shown + (field.size() > kLongest ? "...\"" : "\"");
}

template <class T>
std::errc parse(std::string_view field, T& value) {
  const char* end = field.data() + field.size();
  const auto [stop, error] = std::from_chars(field.data(), end, value);
  return error == std::errc() && stop != end ? std::errc::invalid_argument : error;
}

/// Nearest float32. A number too small for float32 is out of range to from_chars, hence the double.
std::optional<float> parse_feature(std::string_view field) {
  float value = 0.0f;
  std::errc error = parse(field, value);
  if (error == std::errc::result_out_of_range) {
    double wide = 0.0;
    error = parse(field, wide);
    value = static_cast<float>(wide);
  }
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

class CsvParser {
 public:
  CsvParser(const std::filesystem::path& path, bool header, std::optional<std::int64_t> features)
      : text_(read_text(path)), rest_(text_), header_(header), expected_features_(features) {
    samples_.source = path.string();
    samples_.files = {path.string()};
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  }

  Samples parse_file() {
    if (header_) next_line();
    while (!rest_.empty()) {
      const std::string_view line = without_surrounding_space(next_line());
      if (line.empty()) {
        expect_only_blank_lines();
        break;
      }
      if (samples_.count == 0) decide_columns(line);
      parse_line(line);
    }
    if (samples_.count == 0) {
      throw InputError(fmt::format("{}: holds no samples", samples_.source));
    }
    return std::move(samples_);
  }

 private:
  std::string_view next_line() {
    ++line_number_;
    return take_until(rest_, '\n');
  }

  void expect_only_blank_lines() {
    const int blank = line_number_;
    while (!rest_.empty()) {
      if (!without_surrounding_space(next_line()).empty()) {
        throw InputError(fmt::format("{}:{}: is blank, but samples follow; remove the blank line",
                                     samples_.source, blank));
      }
    }
  }

  void decide_columns(std::string_view line) {
    columns_ = std::count(line.begin(), line.end(), ',') + 1;
    labelled_ = !expected_features_ || columns_ != *expected_features_;
    const std::int64_t features = labelled_ ? columns_ - 1 : columns_;
    if (features == 0) {
      throw InputError(fmt::format(
          "{}:{}: one column, found {}; expected features and a class, separated by commas",
          samples_.source, line_number_, quoted(line)));
    }
    if (expected_features_ && features != *expected_features_) {
      throw InputError(fmt::format("{}:{}: {} columns; expected {} features, or {} and a class",
                                   samples_.source, line_number_, columns_, *expected_features_,
                                   *expected_features_));
    }
    samples_.shape = {features};
    reserve(features);
  }

  /// A value takes two bytes with its separator, which bounds the samples that can follow.
  void reserve(std::int64_t features) {
    const auto text_bytes = static_cast<std::int64_t>(text_.size());
    const std::int64_t lines = std::count(rest_.begin(), rest_.end(), '\n') + 2;
    const std::int64_t most_samples = std::min(lines, text_bytes / (2 * columns_) + 1);
    samples_.features.reserve(static_cast<std::size_t>(most_samples * features) * sizeof(float));
  }

  void parse_line(std::string_view line) {
    const std::int64_t found = std::count(line.begin(), line.end(), ',') + 1;
    if (found != columns_) {
      throw InputError(fmt::format("{}:{}: {} columns; expected {} as in the first sample",
                                   samples_.source, line_number_, found, columns_));
    }
    const std::int64_t features = samples_.shape[0];
    for (std::int64_t column = 0; column < features; ++column) append_feature(line, column);
    if (labelled_) append_label(line);
    ++samples_.count;
  }

  void append_feature(std::string_view& line, std::int64_t column) {
    const std::string_view field = without_surrounding_space(take_until(line, ','));
    const std::optional<float> value = parse_feature(field);
    if (!value) {
      const bool may_be_header = line_number_ == 1 && !header_;
      throw InputError(fmt::format(
          "{}:{}: column {}: found {}; expected a finite float32 number{}", samples_.source,
          line_number_, column + 1, quoted(field),
          may_be_header ? " (if the first line holds names, set data.header = true)" : ""));
    }
    const std::size_t end = samples_.features.size();
    samples_.features.resize(end + sizeof(float));
    std::memcpy(samples_.features.data() + end, &*value, sizeof(float));
  }

  void append_label(std::string_view line) {
    const std::string_view field = without_surrounding_space(line);
    double number = 0.0;
    const std::errc error = parse(field, number);
    if (error != std::errc() || number != std::floor(number) || std::abs(number) > 2147483647.0) {
      throw InputError(fmt::format(
          "{}:{}: column {}: found {}; expected a class index 0, 1, 2, ... in the last column",
          samples_.source, line_number_, columns_, quoted(field)));
    }
    samples_.labels.push_back(static_cast<std::int32_t>(number));
  }

  std::string text_;
  std::string_view rest_;
  bool header_;
  std::optional<std::int64_t> expected_features_;
  Samples samples_;
  std::int64_t columns_ = 0;
  bool labelled_ = true;
  int line_number_ = 0;
};

}  // namespace

Samples read_csv(const std::filesystem::path& path, bool header) {
  return CsvParser(path, header, std::nullopt).parse_file();
}

Samples read_csv_samples(const std::filesystem::path& path, bool header, std::int64_t features) {
  return CsvParser(path, header, features).parse_file();
}

}  // namespace batchwise
