// Writing files and folders that are either complete or absent, also after a kill, a full disk or a
// power loss. Every failure is a RunError that names the file, the bytes, the reason and a remedy.
//
// A process that may meet a file-size limit must ignore SIGXFSZ, which otherwise kills it before
// the write can report the error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "engine/error.h"

namespace batchwise {

/// The ending of files that a killed write leaves behind; nobody reads them, anybody may delete
/// them when no write is going on.
inline constexpr std::string_view kTemporaryEnding = ".partial";

/// Replaces `path` by the parts, one after another: a temporary file in the same folder is written,
/// brought to the disk and renamed. On an error the old file stays and the temporary one is
/// removed.
void write_durably(const std::filesystem::path& path,
                   std::span<const std::span<const std::byte>> parts);
void write_durably(const std::filesystem::path& path, std::string_view text);

/// Writes the parts to a path of the user's choice: durably, through a link, unless it is a device
/// or a pipe, which is written to as it is.
void write_output(const std::filesystem::path& path,
                  std::span<const std::span<const std::byte>> parts);

/// Renames a folder whose files were written durably, and brings both folders to the disk. `folder`
/// must not exist, or be empty.
void publish_folder(const std::filesystem::path& temporary, const std::filesystem::path& folder);

/// Brings the names in a folder to the disk.
void sync_folder(const std::filesystem::path& folder);

/// The folder that holds `path`; "." for a bare name.
[[nodiscard]] std::filesystem::path folder_of(std::filesystem::path path);

/// What to tell the user when writing `bytes` to `path` failed with `error` (an errno).
[[nodiscard]] RunError write_error(const std::filesystem::path& path, std::uint64_t bytes,
                                   int error);

/// Writes all bytes, however many calls it takes; false with errno set on an error.
[[nodiscard]] bool write_fully(int descriptor, std::span<const std::byte> bytes);

}  // namespace batchwise
