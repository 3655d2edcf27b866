#include "apps/batchwise/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace batchwise::app {
namespace {

std::atomic<bool> g_deferred{false};
std::atomic<int> g_signal{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void note_signal(int signal) {
  // The second signal does not wait.
  if (!g_deferred || g_signal != 0) std::_Exit(128 + signal);
  g_signal = signal;
}

/// Opened the wrong way round, so that reading or writing fails as it does on a closed stream.
void hold_if_closed(int descriptor, int flags) {
  if (fcntl(descriptor, F_GETFD) != -1) return;
  // The lowest free number is taken, and all below are open.
  [[maybe_unused]] const int opened = open("/dev/null", flags);
}

}  // namespace

void prepare_process() {
  hold_if_closed(STDIN_FILENO, O_WRONLY);
  hold_if_closed(STDOUT_FILENO, O_RDONLY);
  hold_if_closed(STDERR_FILENO, O_RDONLY);
  std::signal(SIGINT, note_signal);
  std::signal(SIGTERM, note_signal);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

DeferredSignals::DeferredSignals() { g_deferred = true; }
DeferredSignals::~DeferredSignals() { g_deferred = false; }

int stop_signal() { return g_signal; }

}  // namespace batchwise::app
