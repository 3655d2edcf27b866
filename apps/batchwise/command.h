// What the subcommands share: common options, checks of their values, and messages.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "engine/execute/backend.h"
#include "engine/model/experiment.h"

namespace batchwise::app {

using Json = nlohmann::ordered_json;

enum class ProgressMode { automatic, plain, none };

/// No option or key takes a larger count.
constexpr std::int64_t kLargestCount = 2147483647;

/// Options every command takes; those that set a key of the experiment become overrides.
struct CommonOptions {
  std::vector<std::string> overrides;  ///< "section.key=value", as for load_experiment
  ProgressMode progress = ProgressMode::automatic;
  bool json = false;
  int threads = 0;  ///< 0: OMP_NUM_THREADS, or all
};

/// A subcommand: adds itself to the program; run() does the work and returns the "result" of
/// --json.
struct Command {
  std::string name;
  std::function<Json()> run;
};

/// Thrown by a command that did its work and whose result is that something failed: the result is
/// printed as ever, the exit code is 1.
class FailedResult : public RunError {
 public:
  FailedResult(const std::string& message, Json failed)
      : RunError(message), result(std::move(failed)) {}
  Json result;
};

/// The group of options that several commands take, in their help.
inline constexpr const char* kCommonGroup = "Common options";

/// Adds the options to a subcommand, in a group of their own, and ends its help with an example.
void add_common_options(CLI::App& command, CommonOptions& options, const std::string& example);
/// Adds those of the common options that concern what is printed and how many threads work.
void add_output_options(CLI::App& command, CommonOptions& options);
/// An option that is shorthand for `--set key=...`. value_name: as the help shows it.
CLI::Option* add_shorthand(CLI::App& command, CommonOptions& options, const std::string& name,
                           const std::string& key, const std::string& value_name,
                           const std::string& help);
/// --measure of a command that trains: what [measure] can do after training.
void add_measure(CLI::App& command, CommonOptions& options);
/// --batch-size of a command that does not train; 0 where it is not given.
void add_inference_batch_size(CLI::App& command, std::int64_t& batch_size);
/// Accepts integers from 1 to `highest`.
[[nodiscard]] CLI::Validator integer_up_to(std::int64_t highest);

/// Accepts batch sizes with commas between.
[[nodiscard]] CLI::Validator batch_size_list();
/// Of such a list.
[[nodiscard]] std::vector<std::int64_t> batch_sizes_of(const std::string& list);

/// Writes text; flush_output() tells of a failure on standard output.
void put(std::FILE* stream, const std::string& text);
/// Writes out what is left of standard output. Returns 0, or the errno of the first write that
/// failed.
[[nodiscard]] int flush_output();
/// Prints a line to standard error unless --progress none.
void say(const CommonOptions& options, const std::string& line);
/// Prints a line to standard output unless --json.
void print(const CommonOptions& options, const std::string& line);

/// "61.2 MiB".
[[nodiscard]] std::string human_bytes(std::int64_t bytes);
/// A number for JSON: NaN and infinities are null.
[[nodiscard]] Json number_or_null(double value);

/// What to say of a device: "cuda:0, NVIDIA H200", and that "auto" chose it.
[[nodiscard]] std::string device_text(const std::string& asked, const Backend& found);

/// "invariant" or "fast".
[[nodiscard]] std::string_view numerics_name(const Experiment& experiment);
/// The levels of docs/numerics.md that concern evaluation and prediction and hold.
[[nodiscard]] std::vector<int> inference_levels(const Experiment& experiment);
/// Prints precision, numerics and levels of an evaluation or prediction.
void print_numerics(const CommonOptions& options, const Experiment& experiment);

// One function a subcommand, in the file of its name.
Command add_train(CLI::App& program);
Command add_evaluate(CLI::App& program);
Command add_predict(CLI::App& program);
Command add_new(CLI::App& program);
Command add_demo(CLI::App& program);
Command add_memory(CLI::App& program);
Command add_sweep(CLI::App& program);
Command add_verify(CLI::App& program);
Command add_advise(CLI::App& program);

/// The common options of the subcommand that was chosen: set by the command's parse.
CommonOptions& options_of(const std::string& command);

}  // namespace batchwise::app
