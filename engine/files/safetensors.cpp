#include "engine/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/files/file_reader.h"
#include "engine/files/sha256.h"

namespace batchwise {
namespace {

static_assert(std::endian::native == std::endian::little, "files hold numbers as memory does");

using nlohmann::json;

constexpr std::uint64_t kMaximumHeaderBytes = 100'000'000;  // the format's own limit
constexpr const char* kMetadata = "__metadata__";
constexpr std::array kTypes = {TensorType::f32, TensorType::f64, TensorType::i32, TensorType::i64,
                               TensorType::u8};

/// The bytes of a tensor; none for a negative extent or a product that does not fit.
[[nodiscard]] std::optional<std::uint64_t> bytes_of(TensorType type,
                                                    std::span<const std::int64_t> shape) {
  std::uint64_t bytes = size_in_bytes(type);
  for (const std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

/// A value of an unknown file in a form short and plain enough for a message.
[[nodiscard]] std::string excerpt(const json& value) {
  constexpr std::size_t kLongest = 80;
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

// ---- writing

void require_valid(std::span<const TensorData> tensors) {
  std::set<std::string_view> names = {kMetadata};
  for (const TensorData& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw std::invalid_argument(fmt::format("tensor name {} is taken", tensor.name));
    }
    if (bytes_of(tensor.type, tensor.shape) != tensor.bytes.size()) {
      throw std::invalid_argument(fmt::format("tensor {}: {} bytes do not fit its shape",
                                              tensor.name, tensor.bytes.size()));
    }
  }
}

[[nodiscard]] std::string header_of(std::span<const TensorData* const> tensors,
                                    const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t begin = 0;
  for (const TensorData* tensor : tensors) {
    const std::uint64_t end = begin + tensor->bytes.size();
    header[tensor->name] = {{"dtype", name_of(tensor->type)},
                            {"shape", tensor->shape},
                            {"data_offsets", json::array({begin, end})}};
    begin = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaximumHeaderBytes) {
    throw std::invalid_argument("names and metadata exceed the 100 MB that the format allows");
  }
  return text;
}

// ---- reading

/// Throws on what the JSON library lets pass: a key that occurs twice in an object, and nesting,
/// which no valid header has and which costs far more memory than the file's own bytes.
class HeaderRules {
 public:
  explicit HeaderRules(const std::filesystem::path& path) : path_(path) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    constexpr int kDeepest = 2;  // header, tensor, shape
    using Event = json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && depth > kDeepest) {
      throw InputError(
          fmt::format("{}: the header is nested too deeply, expected tensors with "
                      "dtype, shape and data_offsets",
                      path_.string()));
    }
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(parsed.get<std::string>()).second) {
      throw InputError(fmt::format("{}: found {} twice in the header, expected it once",
                                   path_.string(), excerpt(parsed)));
    }
    return true;
  }

 private:
  const std::filesystem::path& path_;
  std::vector<std::set<std::string>> keys_;  ///< of the objects open at this point
};

[[nodiscard]] json parse_header(const std::filesystem::path& path, const std::string& text) {
  // The library takes a zero byte for the end of the text and skips a byte order mark.
  if (!text.starts_with('{') || text.find('\0') != std::string::npos) {
    throw InputError(
        fmt::format("{}: the header is not a JSON object padded with spaces; the file "
                    "is damaged or not a safetensors file",
                    path.string()));
  }
  try {
    HeaderRules rules(path);
    return json::parse(text, [&rules](int depth, json::parse_event_t event, const json& parsed) {
      return rules(depth, event, parsed);
    });
  } catch (const json::parse_error& error) {
    throw InputError(
        fmt::format("{}: the header is not valid JSON at its byte {}; the file is "
                    "damaged or not a safetensors file",
                    path.string(), error.byte));
  }
}

[[nodiscard]] json read_header(const std::filesystem::path& path, FileReader& reader,
                               std::uint64_t& data_bytes) {
  std::uint64_t header_bytes = 0;
  if (reader.size_bytes() < sizeof(header_bytes)) {
    throw InputError(
        fmt::format("{}: found {} bytes, expected at least 8; the file is cut short "
                    "or not a safetensors file",
                    path.string(), reader.size_bytes()));
  }
  reader.read(std::as_writable_bytes(std::span(&header_bytes, 1)));
  const std::uint64_t rest = reader.size_bytes() - sizeof(header_bytes);
  if (header_bytes > std::min(rest, kMaximumHeaderBytes)) {
    throw InputError(
        fmt::format("{}: found a header length of {}, expected at most {}; the file "
                    "is cut short or not a safetensors file",
                    path.string(), header_bytes, std::min(rest, kMaximumHeaderBytes)));
  }
  std::string text(header_bytes, '\0');
  reader.read(std::as_writable_bytes(std::span(text)));
  data_bytes = rest - header_bytes;
  return parse_header(path, text);
}

[[nodiscard]] std::map<std::string, std::string> parse_metadata(const std::filesystem::path& path,
                                                                const json& value) {
  const auto is_text = [](const json& entry) { return entry.is_string(); };
  if (!value.is_object() || !std::all_of(value.begin(), value.end(), is_text)) {
    throw InputError(fmt::format("{}: found {} {}, expected an object of strings", path.string(),
                                 kMetadata, excerpt(value)));
  }
  return value.get<std::map<std::string, std::string>>();
}

/// What the header says of one tensor; its bytes are read once all of it is known to be right.
struct Entry {
  TensorData tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class EntryParser {
 public:
  EntryParser(const std::filesystem::path& path, const std::string& name, const json& value)
      : path_(path), name_(name), value_(value) {}

  [[nodiscard]] Entry parse() const {
    if (!value_.is_object()) throw error(value_, "an object with dtype, shape and data_offsets");
    Entry entry{{name_, type(), shape(), {}}, 0, 0};
    const json& offsets = field("data_offsets");
    if (!are_counts(offsets) || offsets.size() != 2 || offsets[0] > offsets[1]) {
      throw error(offsets, "two ascending data_offsets");
    }
    entry.begin = offsets[0].get<std::uint64_t>();
    entry.end = offsets[1].get<std::uint64_t>();
    if (bytes_of(entry.tensor.type, entry.tensor.shape) != entry.end - entry.begin) {
      throw error(offsets, fmt::format("data_offsets as far apart as the bytes of {} {}",
                                       name_of(entry.tensor.type), excerpt(field("shape"))));
    }
    return entry;
  }

 private:
  [[nodiscard]] TensorType type() const {
    const json& name = field("dtype");
    for (const TensorType candidate : kTypes) {
      if (name == name_of(candidate)) return candidate;
    }
    throw error(name, "a dtype of F32, F64, I32, I64 or U8");
  }

  [[nodiscard]] std::vector<std::int64_t> shape() const {
    const json& extents = field("shape");
    if (!are_counts(extents)) throw error(extents, "a shape of non-negative integers");
    return extents.get<std::vector<std::int64_t>>();
  }

  [[nodiscard]] static bool are_counts(const json& list) {
    return list.is_array() && std::all_of(list.begin(), list.end(), [](const json& number) {
             return number.is_number_unsigned() &&
                    std::in_range<std::int64_t>(number.get<std::uint64_t>());
           });
  }

  [[nodiscard]] const json& field(const char* key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) throw error(value_, fmt::format("a key {}", key));
    return *found;
  }

  [[nodiscard]] InputError error(const json& found, std::string_view expected) const {
    return InputError(fmt::format("{}: tensor {}: found {}, expected {}", path_.string(),
                                  excerpt(name_), excerpt(found), expected));
  }

  const std::filesystem::path& path_;
  const std::string& name_;
  const json& value_;
};

/// Brings the tensors into the order of their data, which they must cover exactly once.
void require_exact_cover(const std::filesystem::path& path, std::vector<Entry>& entries,
                         std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& one, const Entry& other) {
    return std::tie(one.begin, one.end, one.tensor.name) <
           std::tie(other.begin, other.end, other.tensor.name);
  });
  std::uint64_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != covered) {
      throw InputError(
          fmt::format("{}: tensor {}: found its data at offset {}, expected {}: data "
                      "may neither overlap nor leave holes",
                      path.string(), excerpt(entry.tensor.name), entry.begin, covered));
    }
    covered = entry.end;
  }
  if (covered != data_bytes) {
    throw InputError(fmt::format(
        "{}: found {} bytes of data, expected {}, where the last tensor "
        "ends; the file is {}",
        path.string(), data_bytes, covered, data_bytes < covered ? "cut short" : "too long"));
  }
}

}  // namespace

std::size_t size_in_bytes(TensorType type) {
  switch (type) {
    case TensorType::f32: return 4;
    case TensorType::f64: return 8;
    case TensorType::i32: return 4;
    case TensorType::i64: return 8;
    case TensorType::u8: return 1;
  }
  return 0;
}

std::string_view name_of(TensorType type) {
  switch (type) {
    case TensorType::f32: return "F32";
    case TensorType::f64: return "F64";
    case TensorType::i32: return "I32";
    case TensorType::i64: return "I64";
    case TensorType::u8: return "U8";
  }
  return "?";
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorData> tensors,
                       const std::map<std::string, std::string>& metadata) {
  require_valid(tensors);
  std::vector<const TensorData*> ordered;
  for (const TensorData& tensor : tensors) ordered.push_back(&tensor);
  std::stable_sort(ordered.begin(), ordered.end(), [](const TensorData* one, const auto* other) {
    return size_in_bytes(one->type) > size_in_bytes(other->type);
  });

  const std::string header = header_of(ordered, metadata);
  const std::uint64_t header_bytes = header.size();
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(&header_bytes, 1)),
                                                   std::as_bytes(std::span(header))};
  for (const TensorData* tensor : ordered) parts.emplace_back(tensor->bytes);
  write_durably(path, parts);
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  FileReader reader(path);
  std::uint64_t data_bytes = 0;
  const json header = read_header(path, reader, data_bytes);

  SafetensorsFile file;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadata) {
      file.metadata = parse_metadata(path, value);
    } else {
      entries.push_back(EntryParser(path, name, value).parse());
    }
  }
  require_exact_cover(path, entries, data_bytes);

  for (Entry& entry : entries) {
    entry.tensor.bytes.resize(entry.end - entry.begin);
    reader.read(entry.tensor.bytes);
    file.tensors.push_back(std::move(entry.tensor));
  }
  return file;
}

std::string weights_sha256(std::span<const TensorData> tensors) {
  std::map<std::string_view, const TensorData*> by_name;
  for (const TensorData& tensor : tensors) {
    if (tensor.type != TensorType::f32) {
      throw std::invalid_argument(
          fmt::format("tensor {} is {}, expected F32", tensor.name, name_of(tensor.type)));
    }
    by_name.emplace(tensor.name, &tensor);
  }
  Sha256 sum;
  for (const auto& [name, tensor] : by_name) sum.update(tensor->bytes);
  return sum.hex();
}

}  // namespace batchwise
