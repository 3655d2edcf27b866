#include "engine/files/file_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "engine/error.h"

namespace batchwise {
namespace {

[[nodiscard]] InputError read_error(const std::filesystem::path& path, int error) {
  return InputError(
      fmt::format("cannot read {}: {}", path.string(), std::generic_category().message(error)));
}

}  // namespace

FileReader::FileReader(std::filesystem::path path)
    : path_(std::move(path)),
      // Opening a named pipe would wait for its writer without O_NONBLOCK; files ignore the flag.
      descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  struct stat status {};
  if (!descriptor_.valid() || ::fstat(descriptor_.value(), &status) != 0) {
    throw read_error(path_, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw InputError(fmt::format("cannot read {}: it is {}, expected a file", path_.string(),
                                 S_ISDIR(status.st_mode) ? "a folder" : "a device or a pipe"));
  }
  size_bytes_ = static_cast<std::uint64_t>(status.st_size);
}

void FileReader::read(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::read(descriptor_.value(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw read_error(path_, errno);
    if (count == 0) {
      throw InputError(fmt::format("cannot read {}: it ended {} bytes too early, expected {} bytes",
                                   path_.string(), bytes.size(), size_bytes_));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

std::string read_file(const std::filesystem::path& path) {
  FileReader reader(path);
  std::string content(reader.size_bytes(), '\0');
  reader.read(std::as_writable_bytes(std::span(content)));
  return content;
}

}  // namespace batchwise
