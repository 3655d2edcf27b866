#include "engine/data/gzip.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "engine/error.h"

namespace batchwise {

GzipFile::GzipFile(const std::filesystem::path& path) : ByteSource(path.string()), file_(path) {
  constexpr int kGzipWithLargestWindow = 16 + MAX_WBITS;
  if (inflateInit2(&stream_, kGzipWithLargestWindow) != Z_OK) throw std::bad_alloc();
}

GzipFile::~GzipFile() { inflateEnd(&stream_); }

ByteSource::Size GzipFile::size() const {
  std::int64_t bound = 0;
  if (__builtin_mul_overflow(file_.size_bytes(), kMaximumExpansion, &bound)) bound = INT64_MAX;
  return {bound, false};
}

std::size_t GzipFile::read_some(std::span<std::byte> destination) {
  const auto wanted = static_cast<uInt>(std::min<std::size_t>(destination.size(), 1u << 30));
  stream_.next_out = reinterpret_cast<Bytef*>(destination.data());
  stream_.avail_out = wanted;
  while (stream_.avail_out == wanted && !finished_) inflate_once();
  return wanted - stream_.avail_out;
}

void GzipFile::inflate_once() {
  if (!refill()) fail("ends in the middle of the compressed data");
  const int result = inflate(&stream_, Z_NO_FLUSH);
  if (result == Z_STREAM_END) {
    // Another member may follow; anything else after the first is corrupt and inflate says so.
    finished_ = !refill();
    inflateReset(&stream_);
  } else if (result != Z_OK && result != Z_BUF_ERROR) {
    fail(stream_.msg != nullptr ? stream_.msg : "unreadable");
  }
}

bool GzipFile::refill() {
  if (stream_.avail_in > 0) return true;
  stream_.next_in = reinterpret_cast<Bytef*>(compressed_.data());
  stream_.avail_in = static_cast<uInt>(file_.read_up_to(compressed_));
  return stream_.avail_in > 0;
}

void GzipFile::fail(std::string_view problem) const {
  throw InputError(fmt::format("{}: corrupt gzip data at compressed offset {} of {}: {}", name(),
                               file_.offset() - stream_.avail_in, file_.size_bytes(), problem));
}

}  // namespace batchwise
