#include "engine/memory/free_memory.h"

namespace batchwise {

std::int64_t backend_memory_budget(const Backend& backend) { return backend.free_bytes() / 10 * 9; }

std::int64_t largest_that(std::int64_t limit, const std::function<bool(std::int64_t)>& fits) {
  std::int64_t good = 0;
  std::int64_t bad = limit + 1;
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace batchwise
