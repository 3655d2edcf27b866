// batchwise demo: the main job on the built-in digits at three batch sizes, a table and a report.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "apps/batchwise/command.h"
#include "apps/batchwise/process.h"
#include "apps/batchwise/progress_bar.h"
#include "apps/batchwise/starters.h"
#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/model/experiment_file.h"
#include "engine/report/comparison_report.h"
#include "engine/stopwatch.h"
#include "engine/train/trainer.h"

namespace batchwise::app {
namespace {

constexpr std::int64_t kBatchSizes[] = {32, 128, 512};
constexpr std::string_view kStarter = "digits-mlp";

std::string& out_option() {
  static std::string out;
  return out;
}

void check_overrides(const CommonOptions& common) {
  for (const std::string& text : common.overrides) {
    if (!text.starts_with("training.batch_size=")) continue;
    throw InputError(
        fmt::format("--set {}: the demo trains at batch sizes {}; use train for others", text,
                    fmt::join(kBatchSizes, ", ")));
  }
}

Experiment demo_experiment(const CommonOptions& common, std::int64_t batch_size) {
  std::vector<std::string> overrides = common.overrides;
  overrides.push_back(fmt::format("training.batch_size={}", batch_size));
  for (const Starter& starter : starters()) {
    if (starter.name != kStarter) continue;
    return parse_experiment(starter.text, fmt::format("batch-{}", batch_size),
                            std::filesystem::current_path(), overrides);
  }
  throw std::logic_error("the demo's starter is missing");
}

double ratio_or_nan(double part, double whole) {
  return whole > 0.0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
}

ComparedRun train_at(const CommonOptions& common, const std::filesystem::path& out,
                     std::int64_t batch_size) {
  const Experiment experiment = demo_experiment(common, batch_size);
  const Stopwatch stopwatch;
  Session session(experiment, load_dataset(experiment.data, experiment.seed));
  say(common, fmt::format("training at batch {}, device {}", batch_size,
                          device_text(experiment.device, session.backend())));
  const RunFolder folder =
      RunFolder::create(out / experiment.name, session.experiment(), {}, false);
  TrainingProgress progress(common, session);
  Trainer trainer(
      session, &folder,
      {.observer = &progress, .interrupted = stop_signal, .seconds_spent = stopwatch.seconds()});
  const TrainingSummary summary = trainer.run();
  const SplitResult none{.loss = std::numeric_limits<double>::quiet_NaN(),
                         .accuracy = std::numeric_limits<double>::quiet_NaN()};
  const SplitResult test = summary.test.value_or(none);
  return {.name = experiment.name,
          .batch_size = batch_size,
          .test_accuracy = test.accuracy,
          .test_loss = test.loss,
          .training_seconds = summary.progress.training_seconds,
          .samples_per_second = ratio_or_nan(static_cast<double>(summary.progress.trained_samples),
                                             summary.progress.training_seconds),
          .planned_bytes = summary.planned_bytes,
          .metrics_file = folder.metrics_file()};
}

/// Prints the table; returns it for --json.
Json table_of(const CommonOptions& common, const std::vector<ComparedRun>& runs) {
  print(common, fmt::format("{:>10} {:>14} {:>9} {:>12} {:>14}", "batch size", "test accuracy",
                            "seconds", "samples/s", "planned bytes"));
  Json rows = Json::array();
  for (const ComparedRun& row : runs) {
    print(common, fmt::format("{:>10} {:>14.4f} {:>9.2f} {:>12.0f} {:>14}", row.batch_size,
                              row.test_accuracy, row.training_seconds, row.samples_per_second,
                              row.planned_bytes));
    rows.push_back({{"batch_size", row.batch_size},
                    {"test_accuracy", number_or_null(row.test_accuracy)},
                    {"test_loss", number_or_null(row.test_loss)},
                    {"training_seconds", row.training_seconds},
                    {"samples_per_second", number_or_null(row.samples_per_second)},
                    {"planned_bytes", row.planned_bytes}});
  }
  return rows;
}

/// The folder for the runs and the report, which the first run makes; none may be there.
std::filesystem::path find_folder() {
  const std::filesystem::path out =
      out_option().empty() ? RunFolder::default_path("demo") : std::filesystem::path(out_option());
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(out, ignored))) {
    throw InputError(fmt::format("--out {} exists already; choose another", out.string()));
  }
  return std::filesystem::absolute(out).lexically_normal();
}

Json run() {
  const CommonOptions& common = options_of("demo");
  check_overrides(common);
  const DeferredSignals deferred;
  const std::filesystem::path out = find_folder();
  std::vector<ComparedRun> runs;
  for (const std::int64_t batch_size : kBatchSizes)
    runs.push_back(train_at(common, out, batch_size));
  const Json rows = table_of(common, runs);
  const std::filesystem::path report = out / "report.html";
  write_durably(report, comparison_report("Built-in digits at three batch sizes", runs));
  print(common, fmt::format("report {}", report.string()));
  return {{"runs", rows}, {"report", report.string()}};
}

}  // namespace

Command add_demo(CLI::App& program) {
  CLI::App& command = *program.add_subcommand(
      "demo", "train on built-in digits at three batch sizes; a table and a report");
  command.add_option("--out", out_option(), "folder to write (default runs/demo-<NNN>)")
      ->option_text("DIR");
  add_common_options(command, options_of("demo"), "batchwise demo --out runs/first");
  return {"demo", run};
}

}  // namespace batchwise::app
