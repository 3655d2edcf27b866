#include "engine/files/line_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cassert>
#include <cerrno>
#include <span>

#include "engine/error.h"
#include "engine/files/durable_file.h"

namespace batchwise {

LineLog::LineLog(std::filesystem::path path, std::optional<std::uint64_t> keep_bytes)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  struct stat status {};
  if (!descriptor_.valid() || ::fstat(descriptor_.value(), &status) != 0) {
    throw write_error(path_, 0, errno);
  }
  const auto length = static_cast<std::uint64_t>(status.st_size);
  bytes_ = keep_bytes ? *keep_bytes : length_of_whole_lines(length);
  if (bytes_ > length || !line_ends_at(bytes_)) {
    throw InputError(fmt::format(
        "{}: found {} bytes, expected a file whose first {} bytes are whole lines; it was changed "
        "after they were written: restore it, or start anew",
        path_.string(), length, bytes_));
  }
  if (::ftruncate(descriptor_.value(), static_cast<off_t>(bytes_)) != 0) {
    throw write_error(path_, bytes_, errno);
  }
  sync_folder(folder_of(path_));
}

std::uint64_t LineLog::length_of_whole_lines(std::uint64_t length) const {
  while (!line_ends_at(length)) --length;
  return length;
}

bool LineLog::line_ends_at(std::uint64_t length) const {
  if (length == 0) return true;
  char last = '\0';
  const ssize_t count = ::pread(descriptor_.value(), &last, 1, static_cast<off_t>(length - 1));
  if (count < 0) throw write_error(path_, length, errno);
  return count == 1 && last == '\n';
}

void LineLog::append(std::string_view line) {
  assert(line.find('\n') == std::string_view::npos);
  buffer_.assign(line);
  buffer_ += '\n';
  if (!write_fully(descriptor_.value(), std::as_bytes(std::span(buffer_)))) {
    const int error = errno;
    // Best effort: what cannot be cut now is cut when the file is opened again.
    [[maybe_unused]] const int cut = ::ftruncate(descriptor_.value(), static_cast<off_t>(bytes_));
    throw write_error(path_, buffer_.size(), error);
  }
  bytes_ += buffer_.size();
}

void LineLog::flush_to_disk() {
  if (::fdatasync(descriptor_.value()) != 0) throw write_error(path_, bytes_, errno);
}

}  // namespace batchwise
