// batchwise sweep: trains over batch sizes, optimizers, learning rates and seeds, and says what
// differs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>

#include "apps/batchwise/command.h"
#include "apps/batchwise/process.h"
#include "apps/batchwise/sweep_progress.h"
#include "engine/error.h"
#include "engine/execute/backend.h"
#include "engine/files/durable_file.h"
#include "engine/model/experiment_file.h"
#include "engine/report/sweep_data.h"
#include "engine/report/sweep_report.h"
#include "engine/report/tensorboard.h"
#include "engine/sweep/sweep_runner.h"

namespace batchwise::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultBatchSizes = "32,128,512";

struct SweepCommandOptions {
  std::string experiment;
  std::string batch_sizes = kDefaultBatchSizes;
  std::string optimizers, learning_rates, rules, warmup_epochs, seeds = "3", devices, until;
  std::vector<std::string> vary, ranges;
  std::int64_t trials = 0;
  std::int64_t epochs = 0, updates = 0;
  double seconds = 0.0;
  std::int64_t validate_every_samples = 0;
  std::string out;
  bool resume = false;
  bool overwrite = false;
  bool tensorboard = false;
};

SweepCommandOptions& sweep_options() {
  static SweepCommandOptions options;
  return options;
}

/// Where a comma stands outside of brackets, braces and quotes.
std::vector<std::string> split_values(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  bool quoted = false;
  for (const char character : text) {
    if (character == '"') quoted = !quoted;
    if (!quoted && (character == '[' || character == '{')) ++depth;
    if (!quoted && (character == ']' || character == '}')) --depth;
    if (character == ',' && depth == 0 && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += character;
    }
  }
  return parts;
}

std::vector<std::string> words_of(const std::string& list) {
  return list.empty() ? std::vector<std::string>{} : split_values(list);
}

template <class Number>
Number number_of(const std::string& text, const std::string& option) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw InputError(fmt::format("{}: found \"{}\", expected a number", option, text));
  }
  return value;
}

std::vector<double> numbers_of(const std::string& list, const std::string& option) {
  std::vector<double> numbers;
  for (const std::string& word : words_of(list)) numbers.push_back(number_of<double>(word, option));
  return numbers;
}

/// "KEY=REST", both parts.
std::pair<std::string, std::string> key_and_rest(const std::string& text, const char* option) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw InputError(fmt::format(
        "{} {}: expected {}", option, text,
        std::string_view(option) == "--vary" ? "SECTION.KEY=VALUE,VALUE" : "SECTION.KEY=LOW:HIGH"));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

SearchedKey searched_key(const std::string& text) {
  const auto [key, range] = key_and_rest(text, "--range");
  const std::size_t colon = range.find(':');
  if (colon == std::string::npos) {
    throw InputError(fmt::format("--range {}: expected SECTION.KEY=LOW:HIGH", text));
  }
  return {.key = key,
          .low = number_of<double>(range.substr(0, colon), "--range " + key),
          .high = number_of<double>(range.substr(colon + 1), "--range " + key)};
}

/// An experiment file holds no larger integer.
std::vector<std::uint64_t> checked(std::vector<std::uint64_t> seeds) {
  constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
  for (const std::uint64_t seed : seeds) {
    if (seed > kLargest) {
      throw InputError(
          fmt::format("--seeds: {} is too large; expected at most {}", seed, kLargest));
    }
  }
  return seeds;
}

/// A number of seeds, from the experiment's on, or a list of at least two.
std::vector<std::uint64_t> seeds_of(const std::string& text, std::uint64_t first) {
  std::vector<std::uint64_t> seeds;
  if (text.find(',') != std::string::npos) {
    for (const std::string& word : words_of(text)) {
      seeds.push_back(number_of<std::uint64_t>(word, "--seeds"));
    }
    return checked(std::move(seeds));
  }
  const auto count = number_of<std::uint64_t>(text, "--seeds");
  if (count < 1 || count > 100'000) {
    throw InputError(fmt::format("--seeds {}: expected 1 to 100000 seeds, or a list", text));
  }
  for (std::uint64_t seed = 0; seed < count; ++seed) seeds.push_back(first + seed);
  return checked(std::move(seeds));
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw InputError(fmt::format("{} cannot be read", file.string()));
  return {std::istreambuf_iterator<char>(stream), {}};
}

void set_limit(const SweepCommandOptions& options, SweepRequest& request) {
  int given = 0;
  const auto set = [&](bool asked, ComparedAt compared_at, double amount) {
    if (!asked) return;
    ++given;
    request.compared_at = compared_at;
    request.amount = amount;
  };
  set(options.epochs > 0, ComparedAt::epochs, static_cast<double>(options.epochs));
  set(options.updates > 0, ComparedAt::updates, static_cast<double>(options.updates));
  set(options.seconds > 0, ComparedAt::seconds, options.seconds);
  if (given > 1) {
    throw InputError("runs are compared at equal --epochs, --updates or --seconds, one of them");
  }
}

SweepRequest request_of(const SweepCommandOptions& options, const CommonOptions& common,
                        const std::vector<std::string>& devices) {
  const fs::path file = options.experiment;
  SweepRequest request;
  request.experiment_text = text_of(file);
  request.name = file.stem().string();
  request.base_folder = fs::absolute(file).parent_path();
  request.overrides = common.overrides;
  if (!devices.empty()) request.overrides.push_back("device=" + devices.front());
  request.batch_sizes = batch_sizes_of(options.batch_sizes);
  request.optimizers = words_of(options.optimizers);
  request.learning_rates = numbers_of(options.learning_rates, "--learning-rates");
  request.rules = words_of(options.rules);
  request.warmup_epochs = numbers_of(options.warmup_epochs, "--warmup-epochs");
  for (const std::string& text : options.vary) {
    const auto [key, values] = key_and_rest(text, "--vary");
    request.keys.push_back({key, split_values(values)});
  }
  request.trials = options.trials;
  for (const std::string& text : options.ranges) request.searched.push_back(searched_key(text));
  // The file's own seed, unless --seed gives another.
  std::vector<std::string> overrides = common.overrides;
  if (!request.optimizers.empty()) {
    overrides.push_back("optimizer.name=" + request.optimizers.front());
  }
  const Experiment experiment = load_experiment(file, overrides);
  request.seeds = seeds_of(options.seeds, experiment.seed);
  set_limit(options, request);
  if (!options.until.empty()) request.until = options.until;
  request.validate_every_samples = options.validate_every_samples;
  request.command = command_line();
  return request;
}

std::vector<std::string> devices_of(const SweepCommandOptions& options) {
  std::vector<std::string> devices = words_of(options.devices);
  std::set<const Backend*> backends;
  for (const std::string& device : devices) {
    if (!backends.insert(&find_backend(device)).second) {
      throw InputError(
          fmt::format("--devices {}: {} is a device that is named already; one run at "
                      "a time uses it",
                      options.devices, device));
    }
  }
  return devices;
}

void check_resume(const SweepCommandOptions& options, const CommonOptions& common) {
  if (options.out.empty()) throw InputError("sweep --resume needs --out, the sweep to continue");
  if (options.overwrite) throw InputError("--resume and --overwrite exclude each other");
  const bool asks_else = !options.experiment.empty() || !common.overrides.empty() ||
                         options.batch_sizes != kDefaultBatchSizes || options.seeds != "3" ||
                         !options.optimizers.empty() || !options.learning_rates.empty() ||
                         !options.rules.empty() || !options.warmup_epochs.empty() ||
                         !options.vary.empty() || !options.ranges.empty() || options.trials > 0 ||
                         options.epochs > 0 || options.updates > 0 || options.seconds > 0 ||
                         !options.until.empty() || options.validate_every_samples > 0;
  if (!asks_else) return;
  throw InputError(
      "sweep --resume continues the sweep as it was asked for: give --out, and at most --devices, "
      "--tensorboard, --threads, --progress and --json");
}

/// runs/<experiment>-sweep-<NNN>, the first number that is free.
fs::path default_folder(const std::string& name) {
  return RunFolder::default_path(name + "-sweep");
}

void write_results(const fs::path& folder, const SweepResults& results) {
  write_durably(folder / "results.csv", results_csv(results));
  write_durably(folder / "timings.csv", timings_csv(results));
  write_durably(folder / "results.json", to_json(results) + "\n");
  write_durably(folder / "report.html", sweep_report(results));
}

void write_events(const SweepFolder& folder, const SweepPlan& plan) {
  for (const PlannedCell& cell : plan.cells) {
    for (const std::uint64_t seed : plan.seeds) {
      const fs::path metrics = folder.run_folder(cell, seed) / "metrics.jsonl";
      if (!fs::exists(metrics)) continue;
      write_tensorboard_events(
          metrics, folder.path() / "tensorboard" / cell.folder / fmt::format("seed-{}", seed));
    }
  }
}

/// Writes the report again now and then while the sweep runs.
class Reporter {
 public:
  Reporter(const SweepFolder& folder, const SweepPlan& plan) : folder_(folder), plan_(plan) {}

  void now_and_then() {
    const auto now = std::chrono::steady_clock::now();
    if (now - written_ < std::chrono::seconds(30)) return;
    (void)write();
    written_ = std::chrono::steady_clock::now();
  }
  SweepResults write() {
    SweepResults results = collect_results(folder_, plan_);
    write_results(folder_.path(), results);
    return results;
  }

 private:
  const SweepFolder& folder_;
  const SweepPlan& plan_;
  std::chrono::steady_clock::time_point written_ = std::chrono::steady_clock::now();
};

void say_plan(const CommonOptions& common, const SweepPlan& plan, const fs::path& path) {
  say(common, fmt::format("{} cell{} x {} seed{}, compared at {}{}", plan.cells.size(),
                          plan.cells.size() == 1 ? "" : "s", plan.seeds.size(),
                          plan.seeds.size() == 1 ? "" : "s", plan.compared_at,
                          plan.until.empty() ? "" : ", until " + plan.until));
  say(common, fmt::format("device {}, writing {}", plan.device, path.string()));
}

SweepFolder find_folder(const SweepCommandOptions& options, const CommonOptions& common,
                        const std::vector<std::string>& devices, DatasetCache& data) {
  if (options.resume) {
    check_resume(options, common);
    return SweepFolder::open(options.out);
  }
  if (options.experiment.empty()) {
    throw InputError("sweep needs EXPERIMENT.toml, or --resume --out with a sweep to continue");
  }
  if (!options.out.empty()) SweepFolder::check_creatable(options.out, options.overwrite);
  const SweepRequest request = request_of(options, common, devices);
  const SweepPlan plan =
      plan_sweep(request, [&](const Experiment& experiment) { return data(experiment); });
  const fs::path path = options.out.empty() ? default_folder(request.name) : fs::path(options.out);
  return SweepFolder::create(path, plan, options.overwrite);
}

Json run() {
  const SweepCommandOptions& options = sweep_options();
  const CommonOptions& common = options_of("sweep");
  const std::vector<std::string> devices = devices_of(options);
  DatasetCache data;
  const SweepFolder folder = find_folder(options, common, devices, data);
  const SweepPlan plan = folder.plan();
  say_plan(common, plan, folder.path());
  const DeferredSignals deferred;
  Reporter reporter(folder, plan);
  try {
    SweepProgress progress(common, plan, static_cast<std::int64_t>(devices.size()),
                           [&] { reporter.now_and_then(); });
    run_sweep(folder, plan, data,
              {.devices = devices, .observer = &progress, .interrupted = stop_signal});
  } catch (const Interrupted& interrupted) {
    (void)reporter.write();
    throw Interrupted(interrupted.signal,
                      fmt::format("stopped by signal {}; {} shows what is done, sweep --resume "
                                  "--out {} continues",
                                  interrupted.signal, (folder.path() / "report.html").string(),
                                  folder.path().string()));
  } catch (...) {
    (void)reporter.write();  // what is done, before the run that failed is told of
    throw;
  }
  const SweepResults results = reporter.write();
  if (options.tensorboard) write_events(folder, plan);
  std::string text = to_text(results);
  if (text.ends_with('\n')) text.pop_back();
  print(common, text);
  print(common, fmt::format("report {}", (folder.path() / "report.html").string()));
  return Json::parse(to_json(results));
}

void add_grid(CLI::App& command, SweepCommandOptions& options) {
  const char* const group = "What is swept";
  const auto add = [&](const char* name, std::string& target, const char* value_name,
                       const char* help) {
    return command.add_option(name, target, help)->option_text(value_name)->group(group);
  };
  add("--batch-sizes", options.batch_sizes, "N,N,...", "batch sizes (default 32,128,512)")
      ->check(batch_size_list());
  add("--optimizers", options.optimizers, "NAME,...",
      "sgd | adam | adamw | rmsprop (default: the file's)");
  add("--learning-rates", options.learning_rates, "RATE,...",
      "learning rates (default: the file's)");
  add("--rules", options.rules, "RULE,...",
      "how the rate follows the batch: none | linear | sqrt, against "
      "optimizer.reference_batch_size (default: the file's)");
  add("--warmup-epochs", options.warmup_epochs, "EPOCHS,...",
      "epochs of warm-up (default: the file's)");
  command.add_option("--vary", options.vary, "any other key with several values; may be repeated")
      ->allow_extra_args(false)
      ->option_text("SECTION.KEY=VALUE,...")
      ->group(group);
  command
      .add_option("--search", options.trials,
                  "quasi-random trials for each combination of the above, drawn from --range")
      ->check(integer_up_to(10'000))
      ->option_text("N")
      ->group(group);
  command
      .add_option(
          "--range", options.ranges,
          "with --search: a key drawn log-uniformly, as optimizer.learning_rate=1e-3:1; may "
          "be repeated")
      ->allow_extra_args(false)
      ->option_text("SECTION.KEY=LOW:HIGH")
      ->group(group);
  add("--seeds", options.seeds, "N|N,N,...",
      "runs of each setting, with the same seeds in all: how many from --seed on, or which "
      "(default 3)");
}

void add_limits(CLI::App& command, SweepCommandOptions& options) {
  const char* const group = "What runs have in common";
  command
      .add_option("--epochs", options.epochs,
                  "train each run for so many epochs (default: as the file says)")
      ->check(integer_up_to(kLargestCount))
      ->option_text("N")
      ->group(group);
  command.add_option("--updates", options.updates, "train each run for so many weight updates")
      ->check(integer_up_to(kLargestCount))
      ->option_text("N")
      ->group(group);
  command.add_option("--seconds", options.seconds, "train each run for so many seconds")
      ->check(CLI::PositiveNumber)
      ->option_text("S")
      ->group(group);
  command
      .add_option(
          "--until", options.until,
          "end a run at this target, such as \"validation_accuracy>=0.88\"; compares steps, "
          "epochs and seconds to it")
      ->option_text("TARGET")
      ->group(group);
  command
      .add_option("--validate-every-samples", options.validate_every_samples,
                  "look for the target every so many samples, at least every update (default: as "
                  "the file says)")
      ->check(integer_up_to(kLargestCount))
      ->option_text("N")
      ->group(group);
}

}  // namespace

Command add_sweep(CLI::App& program) {
  SweepCommandOptions& options = sweep_options();
  CommonOptions& common = options_of("sweep");
  CLI::App& command = *program.add_subcommand(
      "sweep", "train over batch sizes, optimizers, rates and seeds; says what differs");
  command.add_option("EXPERIMENT.toml", options.experiment, "experiment file")->option_text(" ");
  add_grid(command, options);
  add_limits(command, options);
  add_measure(command, common);
  command
      .add_option("--devices", options.devices,
                  "run on several devices at once, as cuda:0,cuda:1 (default: --device)")
      ->option_text("DEVICE,...");
  command.add_option("--out", options.out, "folder (default runs/<experiment>-sweep-<NNN>)")
      ->option_text("DIR");
  command.add_flag("--resume", options.resume, "continue the sweep in --out");
  command.add_flag("--overwrite", options.overwrite, "replace the sweep in --out");
  command.add_flag("--tensorboard", options.tensorboard,
                   "write TensorBoard event files too, into the folder's tensorboard/");
  add_common_options(command, common,
                     "batchwise sweep digits.toml --batch-sizes 16,64,256 --optimizers sgd,adam "
                     "--seeds 5 --epochs 5");
  return {"sweep", run};
}

}  // namespace batchwise::app
