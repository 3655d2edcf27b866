// The program batchwise: parses the command line, runs one subcommand, and turns what happened into
// an exit code and, with --json, one JSON object.
#include <fmt/format.h>
#include <omp.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "apps/batchwise/command.h"
#include "engine/error.h"
#include "engine/train/trainer.h"
#include "engine/version.h"

namespace batchwise::app {
namespace {

std::atomic<int> g_signal{0};

void note_signal(int signal) {
  g_signal = signal;
  // A second one ends the program at once.
  std::signal(signal, SIG_DFL);
}

void install_signal_handlers() {
  std::signal(SIGINT, note_signal);
  std::signal(SIGTERM, note_signal);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error we can report
}

constexpr int kExitRun = 1;
constexpr int kExitInput = 2;

/// Prints the JSON object, or the error; returns the exit code.
int finish(const std::string& command, bool json, int exit_code, const Json& result,
           const std::string& error) {
  if (!error.empty()) fmt::print(stderr, "batchwise {}: {}\n", command, error);
  if (json) {
    Json object{{"command", command}, {"version", version()}, {"exit_code", exit_code}};
    if (error.empty()) {
      object["result"] = result;
    } else {
      object["error"] = error;
    }
    fmt::print("{}\n", object.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  if (std::fflush(stdout) != 0) {
    fmt::print(stderr, "batchwise {}: standard output cannot be written: {}\n", command,
               std::strerror(errno));
    return kExitRun;
  }
  return exit_code;
}

int run_command(const Command& command) {
  const CommonOptions& options = options_of(command.name);
  if (options.threads > 0) omp_set_num_threads(options.threads);
  install_signal_handlers();
  int exit_code = 0;
  std::string error;
  Json result;
  try {
    result = command.run();
  } catch (const Interrupted& interrupted) {
    exit_code = 128 + interrupted.signal;
    error = interrupted.what();
  } catch (const InputError& input_error) {
    exit_code = kExitInput;
    error = input_error.what();
  } catch (const RunError& run_error) {
    exit_code = kExitRun;
    error = run_error.what();
  } catch (const std::bad_alloc&) {
    exit_code = kExitRun;
    error = "out of memory; use a smaller batch or micro-batch";
  } catch (const std::exception& unexpected) {
    exit_code = kExitRun;
    error = fmt::format("unexpected error: {}", unexpected.what());
  }
  return finish(command.name, options.json, exit_code, result, error);
}

/// CLI11's own errors, in our form: exit code 2, and JSON where it was asked for.
int report_parse_error(const CLI::App& program, const CLI::ParseError& error, int argc,
                       char** argv) {
  if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
  const bool json = std::any_of(
      argv, argv + argc, [](const char* argument) { return std::strcmp(argument, "--json") == 0; });
  std::string command;
  for (const CLI::App* chosen : program.get_subcommands()) command = chosen->get_name();
  const std::string help = fmt::format("batchwise{}{} --help", command.empty() ? "" : " ", command);
  return finish(command, json, kExitInput, {}, fmt::format("{}; see {}", error.what(), help));
}

int main_program(int argc, char** argv) {
  CLI::App program{
      "Trains networks, with batch size as its subject: which batch fits, which is fastest, which "
      "is most accurate, and whether results change with the batch.",
      "batchwise"};
  program.set_version_flag("--version", fmt::format("batchwise {}", version()));
  program.require_subcommand(1);
  program.set_help_all_flag("--help-all", "show the help of every command");
  const std::vector<Command> commands{add_train(program), add_evaluate(program),
                                      add_predict(program), add_new(program), add_demo(program)};
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_parse_error(program, error, argc, argv);
  }
  for (const Command& command : commands) {
    if (program.got_subcommand(command.name)) return run_command(command);
  }
  return kExitInput;
}

}  // namespace

int stop_signal() { return g_signal; }

}  // namespace batchwise::app

int main(int argc, char** argv) { return batchwise::app::main_program(argc, argv); }
