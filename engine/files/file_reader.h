// Reading regular files whose size is known before anything is allocated. Every failure is an
// InputError that names the file and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "engine/files/file_descriptor.h"

namespace batchwise {

/// Reads one file from its beginning.
class FileReader {
 public:
  explicit FileReader(std::filesystem::path path);

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// Fills `bytes` with the file's next ones; an InputError where the file has fewer.
  void read(std::span<std::byte> bytes);

 private:
  std::filesystem::path path_;
  FileDescriptor descriptor_;
  std::uint64_t size_bytes_ = 0;
};

/// The whole file.
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

}  // namespace batchwise
