// The two kinds of failure a user meets; the command line turns them into exit codes.
#pragma once

#include <stdexcept>
#include <string>

namespace batchwise {

/// Found before the first step: an argument, a file, a label, a plan. The message names the file,
/// line or key, what was found, what was expected and the remedy. Exit code 2.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Happened after the first step: non-finite values, a full disk, input that changed. Exit code 1.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace batchwise
