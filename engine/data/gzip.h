// A gzip file (RFC 1952), of one or more members, read as the bytes inside it.
#pragma once

#include <zlib.h>

#include <array>
#include <filesystem>

#include "engine/data/byte_source.h"

namespace batchwise {

/// Throws InputError, with the compressed offset, where the data is corrupt or ends too early.
class GzipFile final : public ByteSource {
 public:
  explicit GzipFile(const std::filesystem::path& path);
  ~GzipFile() override;

 private:
  [[nodiscard]] Size size() const override;
  std::size_t read_some(std::span<std::byte> destination) override;
  /// Makes input available; false at the end of the file.
  bool refill();
  void inflate_once();
  [[noreturn]] void fail(std::string_view problem) const;

  InputFile file_;
  z_stream stream_{};
  bool finished_ = false;
  std::array<std::byte, 1 << 16> compressed_{};
};

}  // namespace batchwise
