// Any bytes as a CSV file: labelled, with a header, and of a given width.
#include "engine/data/csv.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const batchwise::MemoryFile file(bytes, size);
  for (const bool header : {false, true}) {
    batchwise::read_or_refuse([&] { (void)batchwise::read_csv(file.path(), header); });
  }
  batchwise::read_or_refuse([&] { (void)batchwise::read_csv_samples(file.path(), false, 2); });
  return 0;
}
