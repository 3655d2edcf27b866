#include "apps/batchwise/command.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <map>

namespace batchwise::app {
namespace {

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

}  // namespace

CommonOptions& options_of(const std::string& command) {
  static std::map<std::string, CommonOptions> options;
  return options[command];
}

void add_shorthand(CLI::App& command, CommonOptions& options, const std::string& name,
                   const std::string& key, bool is_text, const std::string& help) {
  command
      .add_option_function<std::string>(
          name,
          [&options, key, is_text](const std::string& value) {
            const bool word = is_text || value == "auto";
            options.overrides.push_back(key + "=" + (word ? quoted(value) : value));
          },
          help)
      ->expected(1);
}

void add_common_options(CLI::App& command, CommonOptions& options) {
  add_shorthand(command, options, "--device", "device", true,
                "auto | cuda | cuda:N | cpu | emulated (default auto: a GPU, or else the CPU)");
  add_shorthand(command, options, "--precision", "precision", true,
                "fp32 | tf32 | bf16 (default fp32)");
  add_shorthand(command, options, "--numerics", "numerics", true,
                "invariant | fast (default invariant)");
  add_shorthand(command, options, "--seed", "seed", false, "of every random number (default 0)");
  command
      .add_option_function<std::vector<std::string>>(
          "--set",
          [&options](const std::vector<std::string>& settings) {
            options.overrides.insert(options.overrides.end(), settings.begin(), settings.end());
          },
          "section.key=value: sets any key of the experiment file; may be repeated")
      ->allow_extra_args(false);
  const std::map<std::string, ProgressMode> modes{{"auto", ProgressMode::automatic},
                                                  {"plain", ProgressMode::plain},
                                                  {"none", ProgressMode::none}};
  command.add_option("--progress", options.progress, "auto | plain | none (default auto)")
      ->transform(CLI::Transformer(modes))
      ->check(CLI::IsMember(std::vector<ProgressMode>{ProgressMode::automatic, ProgressMode::plain,
                                                      ProgressMode::none}))
      ->option_text("MODE");
  command
      .add_option("--threads", options.threads,
                  "CPU threads (default: OMP_NUM_THREADS, or all cores); changes no result")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options.json, "print one JSON object on standard output");
}

void say(const CommonOptions& options, const std::string& line) {
  if (options.progress == ProgressMode::none) return;
  std::fputs((line + "\n").c_str(), stderr);
}

void print(const CommonOptions& options, const std::string& line) {
  if (!options.json) std::fputs((line + "\n").c_str(), stdout);
}

std::string human_bytes(std::int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < std::size(units)) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace batchwise::app
