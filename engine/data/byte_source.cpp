#include "engine/data/byte_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <system_error>

#include "engine/error.h"

namespace batchwise {

std::size_t ByteSource::read_up_to(std::span<std::byte> destination) {
  std::size_t total = 0;
  while (total < destination.size()) {
    const std::size_t bytes = read_some(destination.subspan(total));
    if (bytes == 0) break;
    total += bytes;
    offset_ += static_cast<std::int64_t>(bytes);
  }
  return total;
}

void ByteSource::read(std::span<std::byte> destination, std::string_view what) {
  const std::int64_t start = offset_;
  const std::size_t found = read_up_to(destination);
  if (found != destination.size()) {
    throw InputError(
        fmt::format("{}: truncated: {} at offset {} takes {} bytes, but only {} are there", name_,
                    what, start, destination.size(), found));
  }
}

void ByteSource::expect_remaining(std::int64_t bytes, std::string_view what) const {
  const auto [size_bytes, exact] = size();
  const std::int64_t remaining = size_bytes - offset_;
  if (bytes > remaining) {
    throw InputError(fmt::format(
        "{}: truncated or not what its header says: {} at offset {} takes {} bytes, but {} {} {}",
        name_, what, offset_, bytes, exact ? "only" : "at most", remaining,
        exact ? "are there" : "can come out of the compressed file"));
  }
  if (exact && bytes < remaining) {
    throw InputError(
        fmt::format("{}: {} bytes too many: {} at offset {} takes {} bytes, but {} are there",
                    name_, remaining - bytes, what, offset_, bytes, remaining));
  }
}

void ByteSource::expect_end() {
  const std::int64_t end = offset_;
  std::byte extra{};
  if (read_up_to({&extra, 1}) != 0) {
    throw InputError(
        fmt::format("{}: bytes follow at offset {}, where its header says it ends", name_, end));
  }
}

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view problem) {
  throw InputError(fmt::format("{}: {}", path.string(), problem));
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : ByteSource(path.string()) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) fail(path, "no such file");
  if (error) fail(path, fmt::format("cannot be opened: {}", error.message()));
  if (std::filesystem::is_directory(status)) fail(path, "is a folder; expected a file");
  if (!std::filesystem::is_regular_file(status)) {
    fail(path,
         "is not a regular file (a pipe or device cannot be checked before it is read); "
         "copy it into a file");
  }
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (!file_) {
    fail(path, fmt::format("cannot be opened: {}", std::generic_category().message(errno)));
  }
  size_bytes_ = static_cast<std::int64_t>(std::filesystem::file_size(path));
  if (size_bytes_ == 0) fail(path, "is empty (0 bytes)");
}

std::size_t InputFile::read_some(std::span<std::byte> destination) {
  const std::size_t bytes = std::fread(destination.data(), 1, destination.size(), file_.get());
  if (bytes == 0 && std::ferror(file_.get())) {
    throw InputError(fmt::format("{}: reading at offset {} failed: {}", name(), offset(),
                                 std::generic_category().message(errno)));
  }
  return bytes;
}

std::int64_t array_bytes(const std::string& name, std::span<const std::int64_t> extents,
                         std::int64_t element_bytes) {
  std::int64_t bytes = element_bytes;
  bool overflow = false;
  for (const std::int64_t extent : extents) {
    overflow = __builtin_mul_overflow(bytes, extent, &bytes) || overflow;
  }
  if (overflow) {
    throw InputError(fmt::format("{}: its header declares the shape [{}], more than 2^63 bytes",
                                 name, fmt::join(extents, ", ")));
  }
  return bytes;
}

}  // namespace batchwise
