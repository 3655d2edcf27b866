#include "tests/engine/execute/allocation_counter.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>

namespace batchwise::testing_support {
namespace {

std::atomic<std::int64_t> g_calls{0};
std::atomic<std::int64_t> g_aligned_calls{0};
std::atomic<std::int64_t> g_aligned_bytes{0};

/// Blocks aligned to 256 that are held. Few, and in an array: this stands below every container.
constexpr std::size_t kAlignment = 256;
struct Block {
  void* address = nullptr;
  std::int64_t bytes = 0;
};
std::array<Block, 1024> g_blocks;
std::mutex g_blocks_mutex;
std::atomic<std::int64_t> g_held{0};
std::int64_t g_held_at_most = 0;
std::int64_t g_limit = 0;  ///< 0: none

bool may_hold(std::int64_t bytes) {
  const std::lock_guard lock(g_blocks_mutex);
  return g_limit == 0 || g_held + bytes <= g_limit;
}

void hold(void* address, std::int64_t bytes) {
  if (address == nullptr) return;
  const std::lock_guard lock(g_blocks_mutex);
  for (Block& block : g_blocks) {
    if (block.address != nullptr) continue;
    block = {address, bytes};
    g_held += bytes;
    g_held_at_most = std::max<std::int64_t>(g_held_at_most, g_held);
    return;
  }
  std::abort();  // more blocks than any test has
}

void let_go(void* address) {
  // No block of another alignment is in the table, and most frees come while it is empty.
  if (address == nullptr || g_held == 0) return;
  if (reinterpret_cast<std::uintptr_t>(address) % kAlignment != 0) return;
  const std::lock_guard lock(g_blocks_mutex);
  for (Block& block : g_blocks) {
    if (block.address != address) continue;
    g_held -= block.bytes;
    block = {};
    return;
  }
}

}  // namespace

Allocations allocations() { return {g_calls, g_aligned_calls, g_aligned_bytes}; }

std::int64_t aligned_bytes_held() { return g_held; }

std::int64_t aligned_bytes_held_at_most() {
  const std::lock_guard lock(g_blocks_mutex);
  return g_held_at_most;
}

void limit_aligned_bytes(std::int64_t bytes) {
  const std::lock_guard lock(g_blocks_mutex);
  g_limit = bytes;
  g_held_at_most = g_held;
}

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
void __libc_free(void* block);

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
  namespace counter = batchwise::testing_support;
  const auto bytes = static_cast<std::int64_t>(size);
  if (alignment == counter::kAlignment && !counter::may_hold(bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  counter::g_aligned_bytes += bytes;
  void* const block = __libc_memalign(alignment, size);
  if (alignment == counter::kAlignment) counter::hold(block, bytes);
  return block;
}

void free(void* block) {
  batchwise::testing_support::let_go(block);
  __libc_free(block);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  ++batchwise::testing_support::g_calls;
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

}  // extern "C"

#endif
