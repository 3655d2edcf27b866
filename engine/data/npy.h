// NumPy's array format (numpy.lib.format), versions 1.0 to 3.0: C-ordered, little-endian numbers.
// Reading throws InputError; sizes are compared with the file before memory is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "engine/data/byte_source.h"

namespace batchwise {

/// NumPy's type codes: kind (boolean, float, signed, unsigned) and bytes an element.
enum class NpyType : std::uint8_t { b1, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 };

[[nodiscard]] bool is_integer(NpyType type);
/// NumPy's name, such as "float32".
[[nodiscard]] std::string_view name_of(NpyType type);

struct NpyArray {
  NpyType dtype = NpyType::f4;
  std::vector<std::int64_t> shape;  ///< any rank; empty for a scalar
  std::vector<std::byte> bytes;     ///< C order

  [[nodiscard]] std::int64_t size() const;
  /// Element `index` in C order; integers beyond 2^53 are rounded.
  [[nodiscard]] double number(std::int64_t index) const;
};

/// Reads one array, which must end where the source ends.
[[nodiscard]] NpyArray read_npy(ByteSource& source);
[[nodiscard]] NpyArray read_npy(const std::filesystem::path& path);

/// Writes a float32 array [rows, columns] in format 1.0, as write_output does: RunError, and the
/// old file stays, if it cannot be written whole.
void write_npy(const std::filesystem::path& path, std::int64_t rows, std::int64_t columns,
               std::span<const float> values);

}  // namespace batchwise
