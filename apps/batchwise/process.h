// What the program asks of the operating system: signals, and standard streams that are safe to
// write to.
#pragma once

#include <string>

namespace batchwise::app {

/// Called once, before anything is opened. Installs the signal handlers, turns a closed pipe and a
/// file-size limit into errors that writing reports, and keeps a standard stream that the caller
/// closed from being taken by the next file that is opened.
void prepare_process();

/// Keeps what the program was called with, for command_line().
void keep_command_line(int argc, char** argv);
/// As it can be typed again: "batchwise sweep digits.toml --seeds 5".
[[nodiscard]] const std::string& command_line();

/// While one exists, the first SIGINT or SIGTERM is kept for stop_signal(), so that a trainer can
/// stop with a checkpoint. Otherwise a signal ends the program with exit code 128 + its number.
class DeferredSignals {
 public:
  DeferredSignals();
  ~DeferredSignals();
  DeferredSignals(const DeferredSignals&) = delete;
  DeferredSignals& operator=(const DeferredSignals&) = delete;
};

/// The number of the deferred signal that asked the program to stop, or 0.
[[nodiscard]] int stop_signal();

}  // namespace batchwise::app
