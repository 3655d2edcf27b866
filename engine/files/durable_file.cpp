#include "engine/files/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "engine/files/file_descriptor.h"

namespace batchwise {
namespace {

[[nodiscard]] std::string remedy_for(const std::filesystem::path& path, int error) {
  const std::string folder = folder_of(path).string();
  switch (error) {
    case ENOSPC: return fmt::format("free at least that many bytes on the disk of {}", folder);
    case EDQUOT: return fmt::format("free at least that many bytes of your quota on {}", folder);
    case EFBIG: return "raise the limit on the size of files (ulimit -f)";
    case EACCES:
    case EPERM:
    case EROFS: return fmt::format("make the folder {} writable", folder);
    case ENOENT:
    case ENOTDIR: return fmt::format("create the folder {}", folder);
    case EIO: return fmt::format("check the disk of {}; the system's log says more", folder);
    default: return "remove the cause and try again";
  }
}

[[nodiscard]] std::uint64_t size_of(std::span<const std::span<const std::byte>> parts) {
  std::uint64_t bytes = 0;
  for (const std::span<const std::byte> part : parts) bytes += part.size();
  return bytes;
}

/// A file that disappears again unless it is renamed to its final name.
class TemporaryFile {
 public:
  /// The process id keeps two processes that write the same file from sharing a temporary one.
  explicit TemporaryFile(const std::filesystem::path& final_path)
      : path_(fmt::format("{}.{}{}", final_path.string(), ::getpid(), kTemporaryEnding)),
        descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
        exists_(descriptor_.valid()) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (exists_) ::unlink(path_.c_str());
  }

  /// Each returns false with errno set on an error.
  [[nodiscard]] bool created() const { return exists_; }
  [[nodiscard]] bool write(std::span<const std::byte> bytes) {
    return write_fully(descriptor_.value(), bytes);
  }
  [[nodiscard]] bool bring_to_disk() {
    return ::fsync(descriptor_.value()) == 0 && descriptor_.close();
  }
  [[nodiscard]] bool rename_to(const std::filesystem::path& final_path) {
    if (std::rename(path_.c_str(), final_path.c_str()) != 0) return false;
    exists_ = false;
    return true;
  }

 private:
  std::filesystem::path path_;
  FileDescriptor descriptor_;
  bool exists_;
};

}  // namespace

std::filesystem::path folder_of(std::filesystem::path path) {
  if (!path.has_filename()) path = path.parent_path();  // "runs/a/" is the folder a in runs
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

RunError write_error(const std::filesystem::path& path, std::uint64_t bytes, int error) {
  return RunError(fmt::format("cannot write {} ({} bytes): {}; {}", path.string(), bytes,
                              std::generic_category().message(error), remedy_for(path, error)));
}

bool write_fully(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

void write_durably(const std::filesystem::path& path,
                   std::span<const std::span<const std::byte>> parts) {
  TemporaryFile temporary(path);
  bool succeeded = temporary.created();
  for (const std::span<const std::byte> part : parts) {
    succeeded = succeeded && temporary.write(part);
  }
  if (!(succeeded && temporary.bring_to_disk() && temporary.rename_to(path))) {
    throw write_error(path, size_of(parts), errno);
  }
  sync_folder(folder_of(path));
}

void write_durably(const std::filesystem::path& path, std::string_view text) {
  const std::span<const std::byte> part = std::as_bytes(std::span(text));
  write_durably(path, std::span(&part, 1));
}

void write_output(const std::filesystem::path& path,
                  std::span<const std::span<const std::byte>> parts) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status) || std::filesystem::is_regular_file(status)) {
    const std::filesystem::path target = std::filesystem::canonical(path, error);
    write_durably(error ? path : target, parts);
    return;
  }
  FileDescriptor descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  bool succeeded = descriptor.valid();
  for (const std::span<const std::byte> part : parts) {
    succeeded = succeeded && write_fully(descriptor.value(), part);
  }
  if (!(succeeded && descriptor.close())) throw write_error(path, size_of(parts), errno);
}

void publish_folder(const std::filesystem::path& temporary, const std::filesystem::path& folder) {
  sync_folder(temporary);
  if (std::rename(temporary.c_str(), folder.c_str()) != 0) {
    throw RunError(fmt::format("cannot rename {} to {}: {}", temporary.string(), folder.string(),
                               std::generic_category().message(errno)));
  }
  sync_folder(folder_of(folder));
}

void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems refuse to synchronise a folder (EINVAL): they have no more to offer.
  if (!descriptor.valid() || (::fsync(descriptor.value()) != 0 && errno != EINVAL)) {
    throw RunError(fmt::format("cannot bring the folder {} to the disk: {}", folder.string(),
                               std::generic_category().message(errno)));
  }
}

}  // namespace batchwise
