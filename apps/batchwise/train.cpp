// batchwise train: from an experiment file to a run folder.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/batchwise/command.h"
#include "apps/batchwise/process.h"
#include "apps/batchwise/progress_bar.h"
#include "engine/analysis/batch_advice.h"
#include "engine/analysis/measurements.h"
#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/model/experiment_file.h"
#include "engine/plan/plan.h"
#include "engine/report/measurements_text.h"
#include "engine/report/tensorboard.h"
#include "engine/stopwatch.h"
#include "engine/train/resume.h"
#include "engine/train/trainer.h"

namespace batchwise::app {
namespace {

struct TrainOptions {
  std::string experiment;
  std::string out;
  std::string init;
  bool init_partial = false;
  bool resume = false;
  bool overwrite = false;
  bool explain = false;
  bool tensorboard = false;
};

TrainOptions& train_options() {
  static TrainOptions options;
  return options;
}

void check_options(const TrainOptions& options) {
  if (options.resume) {
    if (!options.experiment.empty()) {
      throw InputError("train --resume --out RUN reads RUN alone; leave the experiment file out");
    }
    if (options.out.empty())
      throw InputError("train --resume needs --out RUN, the run to continue");
    if (options.overwrite) throw InputError("--resume and --overwrite exclude each other");
    if (!options.init.empty()) throw InputError("--resume and --init exclude each other");
    return;
  }
  if (options.experiment.empty()) {
    throw InputError("train needs an experiment file; batchwise new NAME prints one to start from");
  }
  if (options.init_partial && options.init.empty()) {
    throw InputError("--init-partial needs --init WEIGHTS.safetensors");
  }
}

void take_initial_weights(const TrainOptions& options, const CommonOptions& common,
                          const Session& session) {
  if (options.init.empty()) return;
  const SafetensorsFile file = read_safetensors(options.init);
  upload_tensors(session.weights(), file.tensors, options.init, "", options.init_partial);
  if (!options.init_partial) return;
  const InitReport report = match_tensors(session.training_plan().parameters, true, file.tensors);
  say(common, fmt::format("taken from {}: {}", options.init, fmt::join(report.taken, ", ")));
  if (!report.left.empty()) {
    say(common, fmt::format("left as initialised: {}", fmt::join(report.left, "; ")));
  }
  if (!report.extra.empty()) {
    say(common, fmt::format("in the file, not in the model: {}", fmt::join(report.extra, ", ")));
  }
}

void say_header(const CommonOptions& common, const Session& session) {
  const Experiment& experiment = session.experiment();
  const std::vector<int> levels = numerics_levels(experiment);
  say(common, fmt::format("{}: {} parameters, {} training, {} validation and {} test samples",
                          experiment.name, session.training_plan().parameters.trainable_count(),
                          session.training_samples(), session.validation_samples(),
                          session.test_samples()));
  say(common, fmt::format("device {}, fp32, numerics {} (level{} {})",
                          device_text(experiment.device, session.backend()),
                          experiment.numerics == Numerics::fast ? "fast" : "invariant",
                          levels.size() > 1 ? "s" : "", fmt::join(levels, " ")));
  say(common,
      fmt::format("batch {} in passes of {}, {} planned", experiment.training.batch_size,
                  session.micro_batch_size(), human_bytes(session.memory_plan().total_bytes())));
}

/// Prints the stages of the plan, or returns them for --json.
Json explain_plan(const CommonOptions& common, const Session& session) {
  const Plan& plan = session.training_plan();
  const Program differentiated = differentiate(session.graph(), plan.parameters, plan.request);
  const Program fused = fuse(prune(differentiated), plan.request);
  const Program saved = choose_saved_forms(fused, plan.request);
  const Program again = offload(recompute(saved, plan.request), plan.request);
  const Json stages{{"model graph", to_text(session.graph())},
                    {"differentiated graph", to_text(differentiated)},
                    {"fused operations", to_text(fused)},
                    {"saved forms", to_text(saved)},
                    {"recomputation and offloading", to_text(again)},
                    {"lowered operations", to_text(plan.program)},
                    {"schedule", schedule_text(plan)},
                    {"memory", memory_text(plan)}};
  for (const auto& [title, text] : stages.items()) {
    print(common, fmt::format("== {} ==\n{}", title, text.get<std::string>()));
  }
  return stages;
}

void print_summary(const CommonOptions& common, const TrainingSummary& summary,
                   const std::filesystem::path& folder) {
  if (summary.test) {
    print(common, fmt::format("test loss {:.4f}  accuracy {:.4f}", summary.test->loss,
                              summary.test->accuracy));
  }
  if (summary.validation) {
    print(common, fmt::format("validation loss {:.4f}  accuracy {:.4f}", summary.validation->loss,
                              summary.validation->accuracy));
  }
  print(common,
        fmt::format("{} step{} in {:.2f} s ({:.2f} s of weight updates), planned {}, held {}",
                    summary.progress.step, summary.progress.step == 1 ? "" : "s",
                    summary.progress.seconds, summary.progress.training_seconds,
                    human_bytes(summary.planned_bytes), human_bytes(summary.peak_bytes)));
  if (summary.stopped_by != "epochs") print(common, "stopped by " + summary.stopped_by);
  print(common, fmt::format("weights_sha256 {}", summary.weights_sha256));
  print(common, folder.string());
}

/// The experiment to run: of the file, or of the run that is resumed.
Experiment find_experiment(const TrainOptions& options, const CommonOptions& common) {
  if (!options.resume) return load_experiment(options.experiment, common.overrides);
  const RunFolder folder = RunFolder::open(options.out);
  folder.check_marker();
  Experiment asked = folder.experiment(common.overrides);
  check_resume_changes(folder.experiment(), asked);
  folder.check_data_files();
  return asked;
}

/// The folder appears with its first checkpoint, so that a run killed right away resumes from the
/// same weights, also those of --init.
RunFolder create_folder(const TrainOptions& options, const Session& session,
                        const std::vector<std::string>& files) {
  const Checkpoint first = make_checkpoint(session, {});
  const std::vector<DataFile> hashes = hash_files(files);
  if (options.out.empty()) {
    return RunFolder::create_numbered(session.experiment(), hashes, &first);
  }
  return RunFolder::create(options.out, session.experiment(), hashes, options.overwrite, &first);
}

/// What [measure] asks for after training, and the report with it.
void measure(const CommonOptions& common, const RunFolder& folder, const Dataset& dataset) {
  const Measurements measured = measure_and_record(
      folder, dataset, [&](const std::string& note) { say(common, note); }, stop_signal);
  const std::string text = to_text(measured);
  if (!text.empty()) print(common, text);
}

Json run() {
  const TrainOptions& options = train_options();
  const CommonOptions& common = options_of("train");
  check_options(options);
  const Experiment experiment = find_experiment(options, common);
  const bool creates = !options.resume && !options.explain;
  if (creates && !options.out.empty()) {
    RunFolder::check_creatable(options.out, options.overwrite);
  }

  const Stopwatch stopwatch;
  Dataset dataset = load_dataset(experiment.data, experiment.seed);
  for (const std::string& note : dataset.notes) say(common, note);
  const std::vector<std::string> files = dataset.files();
  const Dataset kept = measures_weights(experiment.measure) ? dataset : Dataset{};
  Session session(experiment, std::move(dataset),
                  options.explain ? SessionUse::plan_only : SessionUse::train);
  if (options.explain) return explain_plan(common, session);
  say_header(common, session);
  for (const std::string& note : session.take_notes()) say(common, note);
  take_initial_weights(options, common, session);
  const DeferredSignals deferred;
  const RunFolder folder =
      options.resume ? RunFolder::open(options.out) : create_folder(options, session, files);
  if (options.resume) folder.record_limits(experiment.training);
  say(common, fmt::format("writing {}", folder.path().string()));
  TrainingProgress progress(common, session);
  Trainer trainer(
      session, &folder,
      {.observer = &progress, .interrupted = stop_signal, .seconds_spent = stopwatch.seconds()});
  if (options.resume) trainer.restore();
  const TrainingSummary summary = trainer.run();
  print_summary(common, summary, folder.path());
  const std::string advice = advice_line(read_gradient_norms(folder.metrics_file()),
                                         session.experiment().training.batch_size);
  if (!advice.empty()) say(common, advice);
  measure(common, folder, kept);
  if (options.tensorboard) {
    write_tensorboard_events(folder.metrics_file(), folder.path() / "tensorboard");
  }
  return Json::parse(to_json(summary, session));
}

}  // namespace

Command add_train(CLI::App& program) {
  TrainOptions& options = train_options();
  CommonOptions& common = options_of("train");
  CLI::App& command = *program.add_subcommand("train", "train an experiment; writes a run folder");
  command.add_option("EXPERIMENT.toml", options.experiment, "experiment file")->option_text(" ");
  const auto shorthand = [&](const std::string& name, const std::string& key,
                             const std::string& value_name, const std::string& help) {
    add_shorthand(command, common, name, key, value_name, help);
  };
  shorthand("--batch-size", "training.batch_size", "N|auto",
            "samples a weight update averages over; auto: the largest that fits (default 32)");
  shorthand("--micro-batch-size", "training.micro_batch_size", "N|auto",
            "samples a pass holds in memory; auto: the most that fit (default: the batch size)");
  shorthand("--memory-budget", "training.memory_budget", "BYTES",
            "device memory the plan may take, for example 24GiB (default: what is free)");
  shorthand("--epochs", "training.epochs", "N",
            "passes over the training set; 0 writes the initial weights (default 1)");
  shorthand("--learning-rate", "optimizer.learning_rate", "RATE",
            "peak learning rate (default 0.01 for sgd, 0.001 for the others)");
  shorthand("--optimizer", "optimizer.name", "NAME", "sgd | adam | adamw | rmsprop (default adam)");
  shorthand("--on-nonfinite", "training.on_nonfinite", "stop|skip",
            "what to do at a loss or gradient that is not finite (default stop)");
  shorthand("--until", "training.until", "TARGET",
            "end at this target, such as \"validation_accuracy>=0.88\"");
  add_measure(command, common);
  command.add_flag("--tensorboard", options.tensorboard,
                   "write TensorBoard event files too, into the run folder's tensorboard/");
  command.add_option("--init", options.init, "take the initial weights from this file")
      ->option_text("WEIGHTS.safetensors");
  command.add_flag("--init-partial", options.init_partial,
                   "with --init: take the tensors that fit, and list what was taken and left");
  command.add_option("--out", options.out, "run folder (default runs/<experiment>-<NNN>)")
      ->option_text("DIR");
  command.add_flag("--resume", options.resume,
                   "continue the run in --out; epochs, max_steps and max_seconds may be raised, "
                   "and the device and the use of its memory changed");
  command.add_flag("--overwrite", options.overwrite, "replace the run in --out");
  command.add_flag("--explain", options.explain, "print the stages of the plan; train nothing");
  add_common_options(command, common,
                     "batchwise train digits.toml --batch-size 128 --set training.max_steps=500");
  return {"train", run};
}

}  // namespace batchwise::app
