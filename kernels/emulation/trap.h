// What a SIGSEGV means where the emulated device is involved: the host followed an address of
// device memory, or a kernel's stack is full. All others go to whoever handled the signal before.
#pragma once

namespace batchwise::emulation {

/// Once a process.
void install_trap();

/// Once a thread that launches: a full stack leaves no room to handle the signal on.
void prepare_thread_for_trap();

// Of the machine:

[[nodiscard]] bool kernel_is_running();
/// Ends the launch. Called in the handler of a signal: nothing is allocated.
[[noreturn]] void leave_full_stack();

}  // namespace batchwise::emulation
