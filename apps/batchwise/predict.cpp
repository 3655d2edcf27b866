// batchwise predict: class probabilities of a run, one row a sample in file order.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "apps/batchwise/command.h"
#include "engine/data/npy.h"
#include "engine/error.h"
#include "engine/train/inference.h"
#include "engine/train/resume.h"

namespace batchwise::app {
namespace {

struct PredictOptions {
  std::string run;
  std::string data = "test";
  std::string out;
  std::int64_t batch_size = 0;
  bool logits = false;
  std::string compare;  ///< batch sizes with commas between
};

PredictOptions& predict_options() {
  static PredictOptions options;
  return options;
}

void expect_access(const std::filesystem::path& out, const std::filesystem::path& written) {
  if (access(written.c_str(), W_OK) == 0) return;
  throw InputError(fmt::format("--out {}: {} cannot be written to: {}", out.string(),
                               written.string(), std::strerror(errno)));
}

/// Found out before the work rather than after it.
void check_writable(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw InputError(fmt::format("--out {} is a folder; expected a file", file.string()));
  }
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw InputError(fmt::format("--out {}: there is no folder {}; make it first", file.string(),
                                 folder.string()));
  }
  const bool exists = std::filesystem::exists(file, ignored);
  if (exists) expect_access(file, file);
  // A file is replaced, which takes a new one beside it; a device is written to.
  if (!exists || std::filesystem::is_regular_file(file, ignored)) {
    const std::filesystem::path target = std::filesystem::canonical(file, ignored);
    expect_access(file, ignored ? folder : target.parent_path());
  }
}

Json compare(const CommonOptions& common, const Experiment& experiment,
             const RunFolder::StoredWeights& weights, const Samples& samples) {
  const PredictOptions& options = predict_options();
  Json rows = Json::array();
  print(common, fmt::format("{:>10} {:>14} {:>18} {:>18}", "batch", "samples/s",
                            "samples differing", "largest difference"));
  for (const BatchSizeComparison& row : compare_batch_sizes(
           experiment, weights, samples, batch_sizes_of(options.compare), !options.logits)) {
    print(common,
          fmt::format("{:>10} {:>14.0f} {:>18} {:>18}", row.batch_size, row.samples_per_second,
                      row.differing_samples, row.largest_difference));
    Json differences = Json::array();
    for (const double difference : row.differences)
      differences.push_back(number_or_null(difference));
    rows.push_back({{"batch_size", row.batch_size},
                    {"samples_per_second", number_or_null(row.samples_per_second)},
                    {"differing_samples", row.differing_samples},
                    {"largest_difference", number_or_null(row.largest_difference)},
                    {"differences", std::move(differences)}});
  }
  return rows;
}

Json run() {
  const PredictOptions& options = predict_options();
  const CommonOptions& common = options_of("predict");
  check_writable(options.out);
  const RunFolder folder = RunFolder::open(options.run);
  const Experiment experiment =
      for_inference(folder.experiment(), folder.experiment(common.overrides));
  const RunFolder::StoredWeights weights = folder.read_weights();
  const Samples samples = select_samples(experiment, weights, options.data);
  const std::int64_t batch_size =
      options.batch_size > 0 ? options.batch_size : experiment.training.batch_size;
  Inference inference(experiment, weights, samples, batch_size, Phase::prediction, !options.logits);
  write_npy(options.out, samples.count, inference.classes(), inference.predict());
  print(common, fmt::format("{}: {} rows of {} {} ({}, batch {}, device {})", options.out,
                            samples.count, inference.classes(),
                            options.logits ? "logits" : "probabilities", samples.source, batch_size,
                            device_text(experiment.device, inference.backend())));
  print_numerics(common, experiment);
  Json result{{"out", options.out},
              {"samples", samples.count},
              {"classes", inference.classes()},
              {"values", options.logits ? "logits" : "probabilities"},
              {"batch_size", batch_size},
              {"device", inference.backend().name()},
              {"precision", "fp32"},
              {"numerics", numerics_name(experiment)},
              {"numerics_levels", inference_levels(experiment)}};
  if (!options.compare.empty()) {
    result["compare_batch_sizes"] = compare(common, experiment, weights, samples);
  }
  return result;
}

}  // namespace

Command add_predict(CLI::App& program) {
  PredictOptions& options = predict_options();
  CLI::App& command = *program.add_subcommand(
      "predict", "class probabilities of a run's model, one row a sample in file order");
  command.add_option("RUN", options.run, "run folder")->required()->option_text(" ");
  command.add_option("--out", options.out, "file to write: float32 [samples, classes]")
      ->required()
      ->option_text("FILE.npy");
  command
      .add_option("--data", options.data,
                  "train | validation | test | PATH of a file or folder (default test)")
      ->option_text("DATA");
  command.add_flag("--logits", options.logits, "logits in place of probabilities");
  add_inference_batch_size(command, options.batch_size);
  command
      .add_option("--compare-batch-sizes", options.compare,
                  "report throughput, and differences from the predictions one by one")
      ->check(batch_size_list())
      ->option_text("N,N,...");
  add_common_options(
      command, options_of("predict"),
      "batchwise predict runs/digits-001 --out p.npy --compare-batch-sizes 1,32,1000");
  return {"predict", run};
}

}  // namespace batchwise::app
