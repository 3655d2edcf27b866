#include "apps/batchwise/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string_view>

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

std::string& line() {
  static std::string text;
  return text;
}

/// As a shell takes it for one word.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+%@";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char character : word) {
    text += character == '\'' ? std::string("'\\''") : std::string(1, character);
  }
  return text + "'";
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

void keep_command_line(int argc, char** argv) {
  std::string& kept = line();
  kept = "batchwise";
  for (int index = 1; index < argc; ++index) kept += " " + quoted(argv[index]);
}

const std::string& command_line() { return line(); }

DeferredSignals::DeferredSignals() { g_deferred = true; }
DeferredSignals::~DeferredSignals() { g_deferred = false; }

int stop_signal() { return g_signal; }

}  // namespace batchwise::app
