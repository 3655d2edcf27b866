// How a fault found in a running thread becomes a KernelFault: the thread is left where it stands,
// and the message is made on the host's side.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/emulation/machine.h"

namespace batchwise::emulation {

/// One line of a report: a sentence, and the place in the source that it speaks of.
struct Remark {
  std::string text;
  Where where = {};
  std::uintptr_t code = 0;  ///< instead of where: the return address of the access
};

struct Fault {
  FaultKind kind;
  std::string what;
  std::vector<Remark> remarks;
};

/// The kernel's name out of the compiler's spelling of name_of_kernel<kernel>().
[[nodiscard]] std::string readable_kernel(const std::string& spelling);

/// "(x,y,z)"
[[nodiscard]] std::string text_of(const Index& index);

/// "block (0,0,0) thread (1,0,0)"
[[nodiscard]] std::string text_of(const Index& block, const Index& thread);

/// "file:line", and the callers it was inlined into, of a return address; asks addr2line.
[[nodiscard]] std::string source_of(std::uintptr_t code);

[[nodiscard]] KernelFault make_exception(const char* kernel, const Fault& fault);

// Of the machine:

/// Notes why the launch ends. A running thread then calls end_launch().
void report(Fault fault);
/// Leaves the running thread for ever: nothing on its stack is destroyed.
[[noreturn]] void end_launch();
/// "block (0,0,0) thread (1,0,0)" of the running thread.
[[nodiscard]] std::string running_thread();
/// Whether threadIdx or another built-in variable is there.
[[nodiscard]] bool is_builtin_variable(std::uintptr_t address);
/// The three-dimensional index of a thread of the launch.
[[nodiscard]] Index thread_index(unsigned linear);

}  // namespace batchwise::emulation
