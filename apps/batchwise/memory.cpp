// batchwise memory: bytes against batch size, planned and, on request, measured.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/batchwise/command.h"
#include "engine/analysis/memory_profile.h"
#include "engine/analysis/over_memory.h"
#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/memory/byte_size.h"
#include "engine/memory/cards.h"
#include "engine/model/experiment_file.h"
#include "engine/train/session.h"

namespace batchwise::app {
namespace {

struct MemoryOptions {
  std::string experiment;
  std::string batch_sizes;  ///< with commas between; empty: the default
  std::string budget;
  std::string card;
  std::string by = "category";
  std::string plot;
  bool measure = false;
  bool over_memory = false;
  bool csv = false;
};

MemoryOptions& memory_options() {
  static MemoryOptions options;
  return options;
}

void check_options(const MemoryOptions& options, const CommonOptions& common) {
  if (!options.budget.empty() && !options.card.empty()) {
    throw InputError("--budget and --card exclude each other; a card is a budget");
  }
  if (options.over_memory && options.budget.empty() && options.card.empty()) {
    throw InputError("--over-memory needs --budget BYTES, the limit that training is to exceed");
  }
  if (options.csv && common.json) throw InputError("--csv and --json exclude each other");
  if (options.csv && options.over_memory) {
    throw InputError("--csv and --over-memory exclude each other; --json has both");
  }
  const std::filesystem::path plot = options.plot;
  const std::string extension = plot.extension();
  std::error_code ignored;
  if (plot.has_parent_path() && !std::filesystem::is_directory(plot.parent_path(), ignored)) {
    throw InputError(
        fmt::format("--plot {}: there is no folder {}", options.plot, plot.parent_path().string()));
  }
  if (!options.plot.empty() && extension != ".svg" && extension != ".html") {
    throw InputError(
        fmt::format("--plot {}: expected a file that ends in .svg or .html", options.plot));
  }
}

std::optional<MemoryBudget> budget_of(const MemoryOptions& options, const Experiment& experiment) {
  if (!options.card.empty()) {
    const Card& card = find_card(options.card);
    return MemoryBudget{
        card.total_bytes - kAssumedReservedBytes,
        fmt::format("{}, {} less {} that the driver keeps (assumed)", card.full_name,
                    human_bytes(card.total_bytes), human_bytes(kAssumedReservedBytes))};
  }
  if (!options.budget.empty()) {
    const auto bytes = parse_byte_size(options.budget);
    if (!bytes || *bytes == 0) {
      throw InputError(fmt::format(
          "--budget {}: expected bytes, for example 24GiB, 512MiB or 1048576", options.budget));
    }
    return MemoryBudget{*bytes, "--budget"};
  }
  const std::int64_t bytes = experiment.training.memory_budget.count;
  if (bytes > 0) return MemoryBudget{bytes, "training.memory_budget"};
  return std::nullopt;
}

/// Throws where there is nothing to exceed.
void check_exceeded(const Experiment& experiment, const Dataset& dataset, std::int64_t budget) {
  Experiment unlimited = experiment;
  unlimited.training.memory_budget = {};
  const std::int64_t needed =
      Session(unlimited, dataset, SessionUse::plan_only).memory_plan().total_bytes();
  if (needed <= budget) {
    throw InputError(
        fmt::format("--over-memory: the plan needs {} bytes and the budget is {}; choose a smaller "
                    "--budget or a larger --batch-size",
                    needed, budget));
  }
}

Json over_memory(const CommonOptions& common, const Experiment& experiment, const Dataset& dataset,
                 std::int64_t budget) {
  Json ways = Json::array();
  print(common, fmt::format("\nwithin {}:\n{:<44} {:>12} {:>12} {:>16} {:>8}", human_bytes(budget),
                            "way", "device", "host", "us per sample", "slower"));
  const std::vector<OverMemoryWay> found = measure_over_memory(experiment, dataset, budget);
  for (const OverMemoryWay& way : found) {
    if (!way.refused.empty()) {
      print(common, fmt::format("{:<44} refused: {}", way.name, way.refused));
      ways.push_back({{"way", way.name}, {"refused", way.refused}});
      continue;
    }
    const double slower = way.seconds_per_sample / found.front().seconds_per_sample;
    const bool same = way.weights_sha256 == found.front().weights_sha256;
    print(common, fmt::format("{:<44} {:>12} {:>12} {:>16.3f} {:>7.2f}x{}", way.name,
                              human_bytes(way.planned_bytes), human_bytes(way.host_bytes),
                              way.seconds_per_sample * 1e6, slower, same ? "" : "  other weights"));
    ways.push_back({{"way", way.name},
                    {"device_bytes", way.planned_bytes},
                    {"host_bytes", way.host_bytes},
                    {"seconds_per_sample", number_or_null(way.seconds_per_sample)},
                    {"weights_sha256", way.weights_sha256}});
  }
  return ways;
}

Json run() {
  const MemoryOptions& options = memory_options();
  const CommonOptions& common = options_of("memory");
  check_options(options, common);
  const Experiment experiment = load_experiment(options.experiment, common.overrides);
  const PlannedDevice device = planned_device(experiment, !options.card.empty());
  const std::optional<MemoryBudget> budget = budget_of(options, experiment);
  const Dataset dataset = load_dataset(experiment.data, experiment.seed);
  for (const std::string& note : dataset.notes) say(common, note);
  const RunFacts facts = examine(experiment, dataset);
  const MemoryQuestion question{.batch_sizes = options.batch_sizes.empty()
                                                   ? std::vector<std::int64_t>{}
                                                   : batch_sizes_of(options.batch_sizes),
                                .budget = budget,
                                .device = device};
  MemoryReport report = profile_memory(experiment, facts, question);
  // All that can be refused is, before the report is printed.
  if (options.measure || options.over_memory) (void)find_backend(device.name);
  if (options.over_memory) check_exceeded(experiment, dataset, budget->bytes);
  for (MemoryRow& row : report.rows) {
    if (!options.measure || !row.refused.empty()) continue;
    say(common, fmt::format("measuring batch {}", row.batch_size));
    measure_memory(experiment, facts, dataset, question, row);
  }
  const bool by_layer = options.by == "layer";
  std::string text = options.csv ? to_csv(report, by_layer) : to_text(report, by_layer);
  if (text.ends_with('\n')) text.pop_back();
  print(common, text);
  Json result = Json::parse(to_json(report));
  if (options.over_memory) {
    result["over_memory"] = over_memory(common, experiment, dataset, budget->bytes);
  }
  if (!options.plot.empty()) {
    const bool page = std::filesystem::path(options.plot).extension() == ".html";
    write_durably(options.plot, page ? to_page(report) : to_svg(report));
    say(common, "written " + options.plot);
  }
  return result;
}

}  // namespace

Command add_memory(CLI::App& program) {
  MemoryOptions& options = memory_options();
  CommonOptions& common = options_of("memory");
  CLI::App& command = *program.add_subcommand(
      "memory", "bytes against batch size, before anything is allocated; the largest that fits");
  command.add_option("EXPERIMENT.toml", options.experiment, "experiment file")
      ->required()
      ->option_text(" ");
  command
      .add_option("--batch-sizes", options.batch_sizes,
                  "batch sizes to plan (default: powers of two up to the training set)")
      ->check(batch_size_list())
      ->option_text("N,N,...");
  command
      .add_option("--budget", options.budget,
                  "device memory to keep within: names the largest batch that fits")
      ->option_text("BYTES");
  command
      .add_option("--card", options.card,
                  "the same for an NVIDIA card by name, for example h100-80gb or 4090")
      ->option_text("NAME");
  command.add_option("--by", options.by, "category | layer (default category)")
      ->check(CLI::IsMember({"category", "layer"}))
      ->option_text("WHAT");
  command.add_flag("--measure", options.measure,
                   "allocate and run two updates at each size; prints planned beside measured");
  command.add_flag("--over-memory", options.over_memory,
                   "with --budget: train past it by each way there is, in seconds per sample");
  command.add_flag("--csv", options.csv, "print the table as CSV, in bytes");
  command.add_option("--plot", options.plot, "write the plots to this .svg or .html file")
      ->option_text("FILE");
  const auto shorthand = [&](const std::string& name, const std::string& key,
                             const std::string& value_name, const std::string& help) {
    add_shorthand(command, common, name, key, value_name, help);
  };
  shorthand("--batch-size", "training.batch_size", "N|auto",
            "the batch size of layers, levers and timeline (default 32)");
  shorthand("--micro-batch-size", "training.micro_batch_size", "N|auto",
            "samples a pass holds in memory (default: the batch size)");
  shorthand("--optimizer", "optimizer.name", "NAME", "sgd | adam | adamw | rmsprop (default adam)");
  add_common_options(command, common, "batchwise memory digits.toml --budget 24MiB --plot m.html");
  return {"memory", run};
}

}  // namespace batchwise::app
