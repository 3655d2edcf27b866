#include "tests/engine/execute/allocation_counter.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace batchwise::testing_support {
namespace {

std::atomic<std::int64_t> g_calls{0};
std::atomic<std::int64_t> g_aligned_calls{0};
std::atomic<std::int64_t> g_aligned_bytes{0};

}  // namespace

Allocations allocations() { return {g_calls, g_aligned_calls, g_aligned_bytes}; }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)

bool allocations_are_counted() { return false; }

}  // namespace batchwise::testing_support

#else

bool allocations_are_counted() { return true; }

}  // namespace batchwise::testing_support

// glibc lets a program define these (its manual, "Replacing malloc"); the originals keep other
// names.
extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  ++batchwise::testing_support::g_calls;
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  ++batchwise::testing_support::g_calls;
  return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) {
  ++batchwise::testing_support::g_calls;
  return __libc_realloc(block, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
  ++batchwise::testing_support::g_calls;
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++batchwise::testing_support::g_calls;
  ++batchwise::testing_support::g_aligned_calls;
  batchwise::testing_support::g_aligned_bytes += static_cast<std::int64_t>(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  ++batchwise::testing_support::g_calls;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

}  // extern "C"

#endif
