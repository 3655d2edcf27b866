// batchwise new: prints a commented starter experiment.
#include <fmt/format.h>

#include "apps/batchwise/command.h"
#include "apps/batchwise/starters.h"
#include "engine/error.h"

namespace batchwise::app {
namespace {

std::string& chosen_name() {
  static std::string name;
  return name;
}

std::string names() {
  std::string list;
  for (const Starter& starter : starters()) {
    list += (list.empty() ? "" : ", ") + std::string(starter.name);
  }
  return list;
}

Json run() {
  const CommonOptions& common = options_of("new");
  for (const Starter& starter : starters()) {
    if (starter.name != chosen_name()) continue;
    if (!common.json) put(stdout, std::string(starter.text));
    return {{"name", starter.name}, {"text", starter.text}};
  }
  throw InputError(
      fmt::format("no starter is named \"{}\"; expected one of {}", chosen_name(), names()));
}

}  // namespace

Command add_new(CLI::App& program) {
  CLI::App& command =
      *program.add_subcommand("new", "print a commented starter experiment to make one's own");
  command.add_option("NAME", chosen_name(), "one of " + names())->required()->option_text(" ");
  command.add_flag("--json", options_of("new").json, "print one JSON object on standard output");
  command.footer("Example:\n  batchwise new mnist-mlp > experiment.toml");
  return {"new", run};
}

}  // namespace batchwise::app
