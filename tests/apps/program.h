// Runs the program as its users do: in a folder, with arguments, looking at its exit code and at
// what it printed.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/safetensors.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {

struct ProgramResult {
  int exit_code = 0;     ///< minus the number of the signal that ended it, if one did
  std::string output;    ///< what it wrote to standard output
  std::string messages;  ///< what it wrote to standard error
};

/// Where a standard stream goes: kept for the result, or opened at this path; "-" closes it.
struct Streams {
  std::string output;
  std::string messages;
};

/// The program, started in a folder with one CPU thread unless the arguments say otherwise, and
/// without a GPU on any machine.
class RunningProgram {
 public:
  RunningProgram(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
                 const Streams& streams = {});
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void send(int signal) const;
  [[nodiscard]] ProgramResult wait();

 private:
  TemporaryFolder captured_;
  pid_t process_ = -1;
};

/// Everything the program writes to a terminal of that many columns.
[[nodiscard]] std::string run_on_terminal(const std::filesystem::path& folder,
                                          const std::vector<std::string>& arguments,
                                          unsigned short columns);

/// A test with a folder of its own, in which the program runs.
class ProgramTest : public testing::Test {
 protected:
  [[nodiscard]] ProgramResult run(const std::vector<std::string>& arguments,
                                  const Streams& streams = {}) const;
  /// The result of a command run with --json; a failure of the test where it does not exit with 0.
  [[nodiscard]] nlohmann::json result_of(std::vector<std::string> arguments) const;
  /// Runs and expects exit code 0.
  void succeed(const std::vector<std::string>& arguments) const;

  void write(std::string_view name, std::string_view text) const;
  [[nodiscard]] std::string read(std::string_view name) const;
  [[nodiscard]] std::filesystem::path path(std::string_view name) const { return folder_ / name; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

/// Three clouds of points and a small network: 180 training, 20 validation and 60 test samples.
[[nodiscard]] std::string small_experiment();

[[nodiscard]] TensorData f32_tensor(const std::string& name, std::vector<std::int64_t> shape,
                                    const std::vector<float>& values);

/// One object a line.
[[nodiscard]] std::vector<nlohmann::json> json_lines(std::string_view text);

/// The folder of that name under the environment variable BATCHWISE_DATA; empty where there is
/// none.
[[nodiscard]] std::filesystem::path test_data(std::string_view name);

}  // namespace batchwise
