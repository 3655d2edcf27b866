// Fibers of the emulated GPU's threads: stacks with guard pages, used over and over, and the switch
// between a thread and the scheduler. A fiber that is abandoned is not unwound.
#pragma once

#include <cstddef>
#include <cstdint>

namespace batchwise::emulation {

/// Stacks there can be.
inline constexpr unsigned kFibers = 16 * 1024;

struct Fiber {
  void* context = nullptr;
  std::byte* stack = nullptr;  ///< lowest address
  void* fake_stack = nullptr;  ///< AddressSanitizer's
  unsigned number = 0;
};

[[nodiscard]] std::size_t stack_bytes();

/// A fiber that calls `main` again and again, each time it is resumed after leave() from outside
/// main's frame. Throws std::bad_alloc.
[[nodiscard]] Fiber& take_fiber(void (*main)());
/// Back to those that can be taken; it has returned from main.
void give_back_fiber(Fiber& fiber);
/// Back to those that can be taken, whatever it was doing.
void abandon_fiber(Fiber& fiber);

/// Runs the fiber until it leaves. Called by the scheduler.
void resume(Fiber& fiber);
/// Goes back to the scheduler, until resumed. Called in a fiber.
void leave();

/// Whether an address lies in the guard page below a stack.
[[nodiscard]] bool is_stack_guard(std::uintptr_t address);
/// Whether an address lies in any fiber's stack.
[[nodiscard]] bool is_stack(std::uintptr_t address);

}  // namespace batchwise::emulation
