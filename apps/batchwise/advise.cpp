// batchwise advise: recommends batch size, micro-batch, learning rate and warm-up.
#include "engine/analysis/advise.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "apps/batchwise/command.h"
#include "apps/batchwise/process.h"
#include "engine/data/load.h"
#include "engine/model/experiment_file.h"
#include "engine/stopwatch.h"

namespace batchwise::app {
namespace {

struct AdviseOptions {
  std::string experiment;
  std::string batch_sizes;  ///< with commas between; empty: the default
  std::string within = "60s";
};

AdviseOptions& advise_options() {
  static AdviseOptions options;
  return options;
}

/// "60s", "2m", "90": above 0; nothing for another word.
std::optional<double> seconds_in(const std::string& text) {
  double number = 0.0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || !(number > 0.0 && number <= 1e9)) return std::nullopt;
  const std::string_view unit(stopped, static_cast<std::size_t>(end - stopped));
  if (unit.empty() || unit == "s") return number;
  if (unit == "m") return 60.0 * number;
  if (unit == "h") return 3600.0 * number;
  return std::nullopt;
}

Json run() {
  const Stopwatch stopwatch;
  const AdviseOptions& options = advise_options();
  const CommonOptions& common = options_of("advise");
  const Experiment experiment = load_experiment(options.experiment, common.overrides);
  const Dataset dataset = load_dataset(experiment.data, experiment.seed);
  for (const std::string& note : dataset.notes) say(common, note);
  const DeferredSignals deferred;
  const AdviceReport report =
      advise(experiment, dataset,
             {.within_seconds = *seconds_in(options.within),
              .seconds_spent = stopwatch.seconds(),
              .batch_sizes = options.batch_sizes.empty() ? std::vector<std::int64_t>{}
                                                         : batch_sizes_of(options.batch_sizes),
              .note = [&](const std::string& text) { say(common, "measuring " + text); },
              .interrupted = stop_signal});
  print(common, to_text(report));
  return Json::parse(to_json(report));
}

}  // namespace

Command add_advise(CLI::App& program) {
  AdviseOptions& options = advise_options();
  CommonOptions& common = options_of("advise");
  CLI::App& command = *program.add_subcommand(
      "advise",
      "measures a while, then recommends batch size, micro-batch, learning rate, warm-up");
  command.add_option("EXPERIMENT.toml", options.experiment, "experiment file")
      ->required()
      ->option_text(" ");
  command.add_option("--within", options.within, "how long it may take (default 60s)")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return seconds_in(text) ? std::string{}
                                    : fmt::format(
                                          "found \"{}\", expected a time above 0, for "
                                          "example 60s, 2m or 1h",
                                          text);
          },
          ""))
      ->option_text("TIME");
  command
      .add_option("--batch-sizes", options.batch_sizes,
                  "batch sizes to measure (default: powers of two up to what fits)")
      ->check(batch_size_list())
      ->option_text("N,N,...");
  const auto shorthand = [&](const std::string& name, const std::string& key,
                             const std::string& value_name, const std::string& help) {
    add_shorthand(command, common, name, key, value_name, help);
  };
  shorthand("--batch-size", "training.batch_size", "N|auto",
            "the batch size that the learning rate is of (default 32)");
  shorthand("--memory-budget", "training.memory_budget", "BYTES",
            "device memory the plan may take, for example 24GiB (default: what is free)");
  shorthand("--learning-rate", "optimizer.learning_rate", "RATE",
            "peak learning rate (default 0.01 for sgd, 0.001 for the others)");
  shorthand("--optimizer", "optimizer.name", "NAME", "sgd | adam | adamw | rmsprop (default adam)");
  add_common_options(command, common, "batchwise advise digits.toml --within 2m");
  return {"advise", run};
}

}  // namespace batchwise::app
