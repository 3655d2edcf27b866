#include "kernels/emulation/trap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>

#include "kernels/emulation/fiber.h"
#include "kernels/emulation/space.h"

namespace batchwise::emulation {
namespace {

constexpr std::size_t kSignalStackBytes = 64 * 1024;

struct sigaction previous;

void say(const std::string& message) {
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message.data(), message.size());
}

void pass_on(int signal, siginfo_t* information, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, information, context);
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    sigaction(signal, &previous, nullptr);  // the access is made again, and ends the process
  } else {
    previous.sa_handler(signal);
  }
}

// The process ends with its second line; what it calls is not safe in a handler in general, but the
// access that brought it here is in nobody's allocator.
void on_fault(int signal, siginfo_t* information, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(information->si_addr);
  if (is_stack_guard(address) && kernel_is_running()) leave_full_stack();
  if (in_space(address) && !in_shared_space(address)) {
    const char* who = kernel_is_running() ? "a kernel reached beyond device memory"
                                          : "the host followed an address of device memory";
    char hexadecimal[32];
    std::snprintf(hexadecimal, sizeof(hexadecimal), "%p", information->si_addr);
    say(std::string("batchwise: ") + who + ": " + hexadecimal + ", " +
        describe_device_address(address) + "\n");
  }
  pass_on(signal, information, context);
}

/// The stack that this thread handles signals on, where it had none.
class SignalStack {
 public:
  SignalStack() {
    stack_t present{};
    if (sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
    memory_ = mmap(nullptr, kSignalStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    if (memory_ == MAP_FAILED) return;
    stack_t stack{};
    stack.ss_sp = memory_;
    stack.ss_size = kSignalStackBytes;
    installed_ = sigaltstack(&stack, nullptr) == 0;
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;
  ~SignalStack() {
    if (!installed_) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
    munmap(memory_, kSignalStackBytes);
  }

 private:
  void* memory_ = nullptr;
  bool installed_ = false;
};

}  // namespace

void install_trap() {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // a full stack is left by a jump
  sigaction(SIGSEGV, &action, &previous);
}

void prepare_thread_for_trap() { static thread_local const SignalStack stack; }

}  // namespace batchwise::emulation
