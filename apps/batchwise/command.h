// What the subcommands share: common options, messages, and the one JSON object of --json.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace batchwise::app {

using Json = nlohmann::ordered_json;

enum class ProgressMode { automatic, plain, none };

/// Options every command takes; those that set a key of the experiment become overrides.
struct CommonOptions {
  std::vector<std::string> overrides;  ///< "section.key=value", as for load_experiment
  ProgressMode progress = ProgressMode::automatic;
  bool json = false;
  int threads = 0;  ///< 0: as OpenMP decides
};

/// A subcommand: adds itself to the program; run() does the work and returns the "result" of
/// --json.
struct Command {
  std::string name;
  std::function<Json()> run;
};

/// Adds the options to a subcommand. `with_experiment_keys`: --set and its shorthands too.
void add_common_options(CLI::App& command, CommonOptions& options);
/// An option that is shorthand for `--set key=...`; text values are quoted.
void add_shorthand(CLI::App& command, CommonOptions& options, const std::string& name,
                   const std::string& key, bool is_text, const std::string& help);

/// Prints a line to standard error unless --progress none.
void say(const CommonOptions& options, const std::string& line);
/// Prints a line to standard output unless --json.
void print(const CommonOptions& options, const std::string& line);

/// "61.2 MiB".
[[nodiscard]] std::string human_bytes(std::int64_t bytes);
/// A number for JSON: NaN and infinities are null.
[[nodiscard]] Json number_or_null(double value);

/// The number of the signal that asked the program to stop, or 0.
[[nodiscard]] int stop_signal();

// One function a subcommand, in the file of its name.
Command add_train(CLI::App& program);
Command add_evaluate(CLI::App& program);
Command add_predict(CLI::App& program);
Command add_new(CLI::App& program);
Command add_demo(CLI::App& program);

/// The common options of the subcommand that was chosen: set by the command's parse.
CommonOptions& options_of(const std::string& command);

}  // namespace batchwise::app
