#include "kernels/emulation/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <deque>
#include <new>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace batchwise::emulation {
namespace {

namespace context = boost::context::detail;

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kStackBytes = 256 * 1024;  // frames have red zones
#else
constexpr std::size_t kStackBytes = 64 * 1024;
#endif

struct Pool {
  std::byte* begin = nullptr;
  std::size_t stride = 0;    ///< a guard and a stack
  std::deque<Fiber> fibers;  ///< addresses stay
  std::vector<Fiber*> free;
  void (*main)() = nullptr;

  Fiber* current = nullptr;
  void* scheduler = nullptr;
  const void* scheduler_stack = nullptr;  ///< AddressSanitizer's view of it
  std::size_t scheduler_stack_bytes = 0;
};

Pool pool;

// AddressSanitizer follows the switches between stacks when told of them.

void announce_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* stack,
                     [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
#endif
}

void announce_arrival([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** stack,
                      [[maybe_unused]] std::size_t* bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack, stack, bytes);
#endif
}

void arrive_in_fiber(void* scheduler) {
  pool.scheduler = scheduler;
  announce_arrival(pool.current->fake_stack, &pool.scheduler_stack, &pool.scheduler_stack_bytes);
}

void enter(context::transfer_t from) {
  arrive_in_fiber(from.fctx);
  for (;;) {
    pool.main();
    leave();
  }
}

/// Stacks start at different places of a page, or all would compete for the same lines of a cache.
void prepare(Fiber& fiber) {
  const std::size_t offset = fiber.number % 32 * 128;
  fiber.context =
      context::make_fcontext(fiber.stack + kStackBytes - offset, kStackBytes - offset, enter);
  fiber.fake_stack = nullptr;
}

void reserve() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  pool.stride = page + kStackBytes;
  void* begin = mmap(nullptr, kFibers * pool.stride, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  pool.begin = static_cast<std::byte*>(begin);
}

Fiber& make_fiber() {
  if (pool.begin == nullptr) reserve();
  const auto number = static_cast<unsigned>(pool.fibers.size());
  std::byte* stack = pool.begin + (number + 1) * pool.stride - kStackBytes;
  if (number == kFibers || mprotect(stack, kStackBytes, PROT_READ | PROT_WRITE) != 0) {
    throw std::bad_alloc();
  }
  Fiber& fiber = pool.fibers.emplace_back();
  fiber.stack = stack;
  fiber.number = number;
  prepare(fiber);
  return fiber;
}

}  // namespace

std::size_t stack_bytes() { return kStackBytes; }

Fiber& take_fiber(void (*main)()) {
  pool.main = main;
  if (pool.free.empty()) return make_fiber();
  Fiber& fiber = *pool.free.back();
  pool.free.pop_back();
  return fiber;
}

void give_back_fiber(Fiber& fiber) { pool.free.push_back(&fiber); }

void abandon_fiber(Fiber& fiber) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(fiber.stack, kStackBytes);
#endif
  prepare(fiber);
  pool.free.push_back(&fiber);
}

void resume(Fiber& fiber) {
  pool.current = &fiber;
  void* fake_stack = nullptr;
  announce_switch(&fake_stack, fiber.stack, kStackBytes);
  fiber.context = context::jump_fcontext(fiber.context, nullptr).fctx;
  announce_arrival(fake_stack, nullptr, nullptr);
}

void leave() {
  announce_switch(&pool.current->fake_stack, pool.scheduler_stack, pool.scheduler_stack_bytes);
  arrive_in_fiber(context::jump_fcontext(pool.scheduler, nullptr).fctx);
}

bool is_stack(std::uintptr_t address) {
  return address - reinterpret_cast<std::uintptr_t>(pool.begin) < pool.fibers.size() * pool.stride;
}

bool is_stack_guard(std::uintptr_t address) {
  return is_stack(address) &&
         (address - reinterpret_cast<std::uintptr_t>(pool.begin)) % pool.stride <
             pool.stride - kStackBytes;
}

}  // namespace batchwise::emulation
