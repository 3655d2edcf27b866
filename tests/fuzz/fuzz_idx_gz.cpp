// Any bytes as a compressed IDX file. The checksum stops nearly everything that is mutated, so the
// first byte chooses: even, the rest is the file; odd, the rest is compressed and cut a little.
#include <zlib.h>

#include <vector>

#include "engine/data/idx.h"
#include "tests/fuzz/memory_file.h"

namespace {

std::vector<std::uint8_t> gzip(const std::uint8_t* bytes, std::size_t size) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  std::vector<std::uint8_t> compressed(deflateBound(&stream, size));
  stream.next_in = const_cast<Bytef*>(bytes);
  stream.avail_in = static_cast<uInt>(size);
  stream.next_out = compressed.data();
  stream.avail_out = static_cast<uInt>(compressed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) abort();
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::uint8_t> contents(bytes + 1, bytes + size);
  if (bytes[0] % 2 == 1) {
    contents = gzip(contents.data(), contents.size());
    contents.resize(contents.size() - bytes[0] / 32);
  }
  const batchwise::MemoryFile file(contents.data(), contents.size());
  batchwise::read_or_refuse([&] { (void)batchwise::read_idx(file.path()); });
  return 0;
}
