// Any bytes as an IDX file.
#include "engine/data/idx.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const batchwise::MemoryFile file(bytes, size);
  batchwise::read_or_refuse([&] { (void)batchwise::read_idx_samples(file.path()); });
  return 0;
}
