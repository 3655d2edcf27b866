// The owner of a POSIX file descriptor. Internal to engine/files.
#pragma once

#include <unistd.h>

#include <utility>

namespace batchwise {

class FileDescriptor {
 public:
  explicit FileDescriptor(int value) : value_(value) {}
  FileDescriptor(FileDescriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~FileDescriptor() {
    if (value_ >= 0) ::close(value_);
  }

  [[nodiscard]] bool valid() const { return value_ >= 0; }
  [[nodiscard]] int value() const { return value_; }
  /// Closes now, for callers that must see errors which some file systems report only here.
  [[nodiscard]] bool close() { return ::close(std::exchange(value_, -1)) == 0; }

 private:
  int value_;
};

}  // namespace batchwise
