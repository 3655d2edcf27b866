// Reading and writing the safetensors format (https://huggingface.co/docs/safetensors): a 64-bit
// header length, a JSON header padded with spaces to 8 bytes, then the tensors without holes. All
// numbers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace batchwise {

/// The element types that we read and write, of those that the format has.
enum class TensorType : std::uint8_t { f32, f64, i32, i64, u8 };

[[nodiscard]] std::size_t size_in_bytes(TensorType type);
/// The format's own name: "F32", ...
[[nodiscard]] std::string_view name_of(TensorType type);

/// A tensor with its name, contiguous in the row-major order of `shape`. Rank 0 is one element.
struct TensorData {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  bool operator==(const TensorData&) const = default;
};

struct SafetensorsFile {
  std::vector<TensorData> tensors;              ///< in the order of their data
  std::map<std::string, std::string> metadata;  ///< the header's __metadata__
};

/// Writes durably (engine/files/durable_file.h): wide types first, so that all are aligned, and in
/// the given order among equals. Text is UTF-8. A RunError where the file cannot be written,
/// std::invalid_argument where bytes do not fit the shape, a name occurs twice or the header would
/// exceed the format's limit.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorData> tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Reads a file from anywhere: each rule of the format is checked before memory is taken for what
/// the file claims. An InputError names the file, the tensor, what was found and what was expected.
[[nodiscard]] SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// The weights_sha256 of a run: SHA-256 of the data of f32 tensors in bytewise order of their
/// names, without headers. std::invalid_argument for another type.
[[nodiscard]] std::string weights_sha256(std::span<const TensorData> tensors);

}  // namespace batchwise
