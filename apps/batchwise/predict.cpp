// batchwise predict: class probabilities of a run, one row a sample in file order.
#include <fmt/format.h>

#include "apps/batchwise/command.h"
#include "engine/data/npy.h"
#include "engine/train/inference.h"

namespace batchwise::app {
namespace {

struct PredictOptions {
  std::string run;
  std::string data = "test";
  std::string out;
  std::int64_t batch_size = 0;
  bool logits = false;
  std::vector<std::int64_t> compare;
};

PredictOptions& predict_options() {
  static PredictOptions options;
  return options;
}

Json compare(const CommonOptions& common, const Experiment& experiment,
             const RunFolder::StoredWeights& weights, const Samples& samples) {
  const PredictOptions& options = predict_options();
  Json rows = Json::array();
  print(common, fmt::format("{:>10} {:>14} {:>18} {:>18}", "batch", "samples/s",
                            "samples differing", "largest difference"));
  for (const BatchSizeComparison& row :
       compare_batch_sizes(experiment, weights, samples, options.compare, !options.logits)) {
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
  const RunFolder folder = RunFolder::open(options.run);
  const Experiment experiment = folder.experiment(common.overrides);
  const RunFolder::StoredWeights weights = folder.read_weights();
  const Samples samples = select_samples(experiment, weights, options.data);
  const std::int64_t batch_size =
      options.batch_size > 0 ? options.batch_size : experiment.training.batch_size;
  Inference inference(experiment, weights, samples, batch_size, Phase::prediction, !options.logits);
  write_npy(options.out, samples.count, inference.classes(), inference.predict());
  print(common,
        fmt::format("{}: {} rows of {} {} ({}, batch {}, device {})", options.out, samples.count,
                    inference.classes(), options.logits ? "logits" : "probabilities",
                    samples.source, batch_size, inference.device()));
  Json result{{"out", options.out},
              {"samples", samples.count},
              {"classes", inference.classes()},
              {"values", options.logits ? "logits" : "probabilities"},
              {"batch_size", batch_size},
              {"device", inference.device()}};
  if (!options.compare.empty()) {
    result["compare_batch_sizes"] = compare(common, experiment, weights, samples);
  }
  return result;
}

}  // namespace

Command add_predict(CLI::App& program) {
  PredictOptions& options = predict_options();
  CLI::App& command = *program.add_subcommand("predict", "Class probabilities of a run's model");
  command.add_option("run", options.run, "run folder")->required()->option_text("RUN");
  command.add_option("--out", options.out, "file to write: float32 [samples, classes]")
      ->required()
      ->option_text("FILE.npy");
  command.add_option("--data", options.data,
                     "train | validation | test | PATH of a file or folder (default test)");
  command.add_flag("--logits", options.logits, "logits in place of probabilities");
  command
      .add_option("--batch-size", options.batch_size,
                  "samples a pass holds (default: training's); changes no result")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  command
      .add_option("--compare-batch-sizes", options.compare,
                  "report throughput at these batch sizes, and each sample's difference from its "
                  "batch-of-one prediction")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->option_text("N,N,...");
  add_common_options(command, options_of("predict"));
  return {"predict", run};
}

}  // namespace batchwise::app
