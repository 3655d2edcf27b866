// A text file that grows by whole lines, such as metrics.jsonl. One process writes it at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/files/file_descriptor.h"

namespace batchwise {

/// Failures to open or write are RunErrors that name the file. A line is handed to the system in
/// one call. A kill or a power loss may still tear the last line (Linux ends a write between two
/// pages when the process is killed); it is dropped when the file is opened again.
class LineLog {
 public:
  /// Opens or creates the file. With `keep_bytes`, a length that bytes() once returned, everything
  /// after it is cut off; an InputError where the file is shorter or has no line end there.
  /// Without, all whole lines stay.
  explicit LineLog(std::filesystem::path path, std::optional<std::uint64_t> keep_bytes = {});

  /// Adds `line`, which has no line end of its own. After an error the file is as it was before.
  void append(std::string_view line);
  /// The file's length: what to store in a checkpoint, after flush_to_disk().
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// Returns when all lines are on the disk.
  void flush_to_disk();

 private:
  [[nodiscard]] std::uint64_t length_of_whole_lines(std::uint64_t length) const;
  [[nodiscard]] bool line_ends_at(std::uint64_t length) const;

  std::filesystem::path path_;
  FileDescriptor descriptor_;
  std::uint64_t bytes_ = 0;
  std::string buffer_;  ///< the line with its end, kept to save an allocation a line
};

}  // namespace batchwise
