// The program batchwise: parses the command line, runs one subcommand, and turns what happened into
// an exit code and, with --json, one JSON object.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "apps/batchwise/command.h"
#include "apps/batchwise/process.h"
#include "engine/error.h"
#include "engine/execute/backend.h"
#include "engine/train/trainer.h"
#include "engine/version.h"

namespace batchwise::app {
namespace {

constexpr int kExitRun = 1;
constexpr int kExitInput = 2;

/// What a command came to. `error` is empty where it did its work and nothing failed.
struct Outcome {
  int exit_code = 0;
  std::string error;
  Json result;
};

void print_message(const std::string& command, const std::string& message) {
  put(stderr, fmt::format("batchwise{}{}: {}\n", command.empty() ? "" : " ", command, message));
}

/// The exit code, once everything is written. Who closed the pipe need not be told.
int finish_output(const std::string& command, int exit_code) {
  const int failure = flush_output();
  if (failure == 0) return exit_code;
  if (failure != EPIPE) {
    print_message(command,
                  fmt::format("standard output cannot be written: {}", std::strerror(failure)));
  }
  return exit_code == 0 ? kExitRun : exit_code;
}

/// Prints the JSON object, or the error; returns the exit code.
int finish(const std::string& command, bool json, const Outcome& outcome) {
  if (!outcome.error.empty()) print_message(command, outcome.error);
  if (json) {
    Json object{{"command", command}, {"version", version()}, {"exit_code", outcome.exit_code}};
    if (outcome.error.empty() || !outcome.result.is_null()) {
      object["result"] = outcome.result;
    } else {
      object["error"] = outcome.error;
    }
    put(stdout, object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  return finish_output(command, outcome.exit_code);
}

Outcome run_command(const Command& command) {
  try {
    return {.exit_code = 0, .error = {}, .result = command.run()};
  } catch (const Interrupted& interrupted) {
    return {128 + interrupted.signal, interrupted.what(), {}};
  } catch (const InputError& error) {
    return {kExitInput, error.what(), {}};
  } catch (const FailedResult& failed) {
    return {kExitRun, failed.what(), failed.result};
  } catch (const RunError& error) {
    return {kExitRun, error.what(), {}};
  } catch (const std::bad_alloc&) {
    return {kExitRun, "out of memory; use a smaller batch or micro-batch", {}};
  } catch (const std::exception& error) {
    return {kExitRun, fmt::format("unexpected error: {}", error.what()), {}};
  }
}

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

/// CLI11's words, except where they leave out what was found or what is expected.
std::string parse_message(const CLI::App& program, const CLI::App* command,
                          const CLI::ParseError& error, int argc, char** argv) {
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const CLI::App* each : program.get_subcommands({})) names.push_back(each->get_name());
    const char* const* const found = std::find_if(
        argv + 1, argv + argc, [](const char* argument) { return argument[0] != '-'; });
    const bool none = found == argv + argc;
    return fmt::format("{}; expected one of {}",
                       none ? "no command" : fmt::format("unknown command \"{}\"", *found),
                       join(names));
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    std::vector<std::string> unexpected = program.remaining(true);
    std::stable_partition(unexpected.begin(), unexpected.end(),
                          [](const std::string& word) { return word.starts_with("-"); });
    return fmt::format("unexpected {}", join(unexpected));
  }
  return error.what();
}

/// A command line that cannot be parsed, or one that asks for help or the version.
int finish_parse(const CLI::App& program, const CLI::ParseError& error, int argc, char** argv) {
  const std::vector<CLI::App*> chosen = program.get_subcommands();
  const CLI::App* const command = chosen.empty() ? nullptr : chosen.front();
  const std::string name = command == nullptr ? "" : command->get_name();
  if (error.get_exit_code() == 0) {
    std::ostringstream text;
    program.exit(error, text, text);
    put(stdout, text.str());
    return finish_output(name, 0);
  }
  const bool json = std::any_of(
      argv, argv + argc, [](const char* argument) { return std::strcmp(argument, "--json") == 0; });
  const std::string message = fmt::format("{}; see batchwise{}{} --help",
                                          parse_message(program, command, error, argc, argv),
                                          name.empty() ? "" : " ", name);
  return finish(name, json, {kExitInput, message, {}});
}

int main_program(int argc, char** argv) {
  prepare_process();
  keep_command_line(argc, argv);
  CLI::App program{
      "Trains networks, with batch size as its subject: which batch fits, which is fastest, which "
      "is\nmost accurate, and whether results change with the batch.",
      "batchwise"};
  program.set_help_flag("-h,--help", "print this help");
  program.set_version_flag("--version", fmt::format("batchwise {}", version()),
                           "print the version");
  program.require_subcommand(1);
  program.footer(
      "Each command has its own help: batchwise train --help\n\nExample:\n"
      "  batchwise new digits-mlp > digits.toml\n"
      "  batchwise train digits.toml --batch-size 128\n"
      "  batchwise evaluate runs/digits-001");
  program.get_formatter()->column_width(32);
  const std::vector<Command> commands{
      add_train(program),  add_evaluate(program), add_predict(program),
      add_memory(program), add_sweep(program),    add_advise(program),
      add_verify(program), add_new(program),      add_demo(program)};
  program.set_help_all_flag("--help-all", "print the help of every command");
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return finish_parse(program, error, argc, argv);
  }
  const auto chosen = std::find_if(commands.begin(), commands.end(), [&](const Command& command) {
    return program.got_subcommand(command.name);
  });
  const CommonOptions& options = options_of(chosen->name);
  if (options.threads > 0) set_cpu_threads(options.threads);
  return finish(chosen->name, options.json, run_command(*chosen));
}

}  // namespace
}  // namespace batchwise::app

int main(int argc, char** argv) { return batchwise::app::main_program(argc, argv); }
