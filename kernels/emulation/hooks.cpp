// The functions that -fsanitize=thread makes a compiler call for every access to memory, here
// without its library. Kernels alone are compiled so.
#include <array>
#include <cstring>

#include "kernels/emulation/shadow.h"

namespace batchwise::emulation {
namespace {

/// Whether a cell allows an access, remembered at once, without a closer look.
template <Kind kind>
[[gnu::always_inline]] inline bool allows(Cell& cell, Segment begin, std::uint32_t code) {
  if (cell.special || !settled(cell.write.segment, begin)) return false;
  const bool first_over = settled(cell.recent[0].segment, begin);
  const bool second_over = settled(cell.recent[1].segment, begin);
  if (first_over && second_over) {
    if constexpr (kind == kWrite) {
      cell.write = {now.segment, code};
      cell.recent[0].segment = 0;
      cell.kinds[0] = 0;
    } else {
      cell.recent[0] = {now.segment, code};
      cell.kinds[0] = kRead;
    }
    cell.recent[1].segment = 0;
    cell.kinds[1] = 0;
    cell.distance = 0;
    return true;
  }
  // Many read what many have read: nothing to remember.
  if constexpr (kind == kRead) {
    return !first_over && !second_over &&
           (cell.distance == 2 ||
            (cell.distance == 1 && cell.recent[0].segment >= now.block_begin &&
             now.block_begin != 0));
  }
  return false;
}

template <Kind kind, std::size_t bytes>
[[gnu::always_inline]] inline void seen(const void* pointer, const void* return_address) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (address - own_stack.begin < own_stack.bytes) return;
  const auto code = reinterpret_cast<std::uintptr_t>(return_address);
  const std::uintptr_t offset = address - space.begin;
  constexpr std::size_t kAlignment = bytes < 8 ? bytes : 8;
  if (address % kAlignment != 0) raise_misaligned(address, bytes, kind, code);
  if (bytes < kGranule || offset >= kSpace - bytes) return judge(address, bytes, kind, code);
  constexpr std::size_t kGranules = bytes < kGranule ? 1 : bytes / kGranule;
  using States = std::array<std::uint8_t, kGranules>;
  constexpr States kAll = [] {
    States all{};
    for (std::uint8_t& state : all) state = kObject | kWritten;
    return all;
  }();
  const std::size_t granule = offset / kGranule;
  // Written for the first time, beside no object, not written: all rare.
  if (std::memcmp(shadow.states + granule, kAll.data(), kGranules) != 0) {
    return judge(address, bytes, kind, code);
  }
  const Segment begin = offset < kSharedSpace ? now.shared_begin : now.launch_begin;
  for (std::size_t i = 0; i < kGranules; ++i) {
    Cell& cell = shadow.cells[granule + i];
    if (allows<kind>(cell, begin, static_cast<std::uint32_t>(code))) continue;
    judge(address + i * kGranule, kGranule, kind, code);
  }
}

void seen_range(const void* pointer, std::size_t bytes, Kind kind, const void* return_address) {
  judge(reinterpret_cast<std::uintptr_t>(pointer), bytes, kind,
        reinterpret_cast<std::uintptr_t>(return_address));
}

}  // namespace

}  // namespace batchwise::emulation

using batchwise::emulation::kRead;
using batchwise::emulation::kWrite;
using batchwise::emulation::seen;
using batchwise::emulation::seen_range;

// The names and signatures are the compilers'.
// NOLINTBEGIN
extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define BATCHWISE_HOOKS(bytes)                                       \
  void __tsan_read##bytes(void* address) {                           \
    seen<kRead, bytes>(address, __builtin_return_address(0));        \
  }                                                                  \
  void __tsan_write##bytes(void* address) {                          \
    seen<kWrite, bytes>(address, __builtin_return_address(0));       \
  }                                                                  \
  void __tsan_unaligned_read##bytes(void* address) {                 \
    seen_range(address, bytes, kRead, __builtin_return_address(0));  \
  }                                                                  \
  void __tsan_unaligned_write##bytes(void* address) {                \
    seen_range(address, bytes, kWrite, __builtin_return_address(0)); \
  }
BATCHWISE_HOOKS(1)
BATCHWISE_HOOKS(2)
BATCHWISE_HOOKS(4)
BATCHWISE_HOOKS(8)
BATCHWISE_HOOKS(16)
#undef BATCHWISE_HOOKS

void __tsan_read_range(void* address, unsigned long bytes) {
  seen_range(address, bytes, kRead, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
  seen_range(address, bytes, kWrite, __builtin_return_address(0));
}

// std::atomic and guards of static objects, in the host's half of a kernel's file.
#define BATCHWISE_ATOMICS(bits, type)                                                       \
  type __tsan_atomic##bits##_load(const volatile type* address, int) {                      \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  void __tsan_atomic##bits##_store(volatile type* address, type value, int) {               \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                     \
  }                                                                                         \
  type __tsan_atomic##bits##_exchange(volatile type* address, type value, int) {            \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                           \
  }                                                                                         \
  type __tsan_atomic##bits##_fetch_add(volatile type* address, type value, int) {           \
    return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);                            \
  }                                                                                         \
  type __tsan_atomic##bits##_fetch_sub(volatile type* address, type value, int) {           \
    return __atomic_fetch_sub(address, value, __ATOMIC_SEQ_CST);                            \
  }                                                                                         \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* address, type* expected, \
                                                    type value, int, int) {                 \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST,   \
                                       __ATOMIC_SEQ_CST);                                   \
  }
BATCHWISE_ATOMICS(8, unsigned char)
BATCHWISE_ATOMICS(16, unsigned short)
BATCHWISE_ATOMICS(32, unsigned)
BATCHWISE_ATOMICS(64, unsigned long)
#undef BATCHWISE_ATOMICS

}  // extern "C"
// NOLINTEND
