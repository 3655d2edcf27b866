// Any bytes as an .npz file. The checksums stop nearly everything that is mutated, so the first
// byte chooses: 0, the rest is the archive; 1, it is one .npy file; otherwise it is the contents of
// x_train.npy and y_train.npy, cut at a 16-bit position, in an archive that is whole.
#include <zip.h>

#include <algorithm>
#include <span>
#include <vector>

#include "engine/data/npz.h"
#include "tests/fuzz/memory_file.h"

namespace {

using Bytes = std::span<const std::uint8_t>;

void add(zip_t* archive, const char* name, Bytes contents) {
  zip_source_t* source = zip_source_buffer(archive, contents.data(), contents.size(), 0);
  const zip_int64_t index = zip_file_add(archive, name, source, 0);
  zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
}

std::vector<std::uint8_t> archive_of(Bytes features, Bytes labels) {
  zip_source_t* buffer = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  zip_source_keep(buffer);
  zip_t* archive = zip_open_from_source(buffer, ZIP_TRUNCATE, nullptr);
  add(archive, "x_train.npy", features);
  add(archive, "y_train.npy", labels);
  if (zip_close(archive) != 0 || zip_source_open(buffer) != 0) abort();
  zip_source_seek(buffer, 0, SEEK_END);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(zip_source_tell(buffer)));
  zip_source_seek(buffer, 0, SEEK_SET);
  zip_source_read(buffer, bytes.data(), bytes.size());
  zip_source_close(buffer);
  zip_source_free(buffer);
  return bytes;
}

void read_archive(Bytes bytes) {
  const batchwise::MemoryFile file(bytes.data(), bytes.size());
  batchwise::read_or_refuse([&] { (void)batchwise::read_npz(file.path()); });
  batchwise::read_or_refuse([&] { (void)batchwise::read_npz_dataset(file.path()); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 3) return 0;
  const Bytes rest(bytes + 1, size - 1);
  if (bytes[0] == 0) {
    read_archive(rest);
  } else if (bytes[0] == 1) {
    const batchwise::MemoryFile file(rest.data(), rest.size());
    batchwise::read_or_refuse([&] { (void)batchwise::read_npy(file.path()); });
  } else {
    const Bytes contents = rest.subspan(2);
    const auto cut = std::min<std::size_t>(rest[0] + 256u * rest[1], contents.size());
    read_archive(archive_of(contents.first(cut), contents.subspan(cut)));
  }
  return 0;
}
