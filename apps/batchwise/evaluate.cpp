// batchwise evaluate: loss, accuracy and per-class metrics of a run on a split or file.
#include <fmt/format.h>

#include "apps/batchwise/command.h"
#include "engine/train/inference.h"
#include "engine/train/resume.h"

namespace batchwise::app {
namespace {

struct EvaluateOptions {
  std::string run;
  std::string data = "test";
  std::int64_t batch_size = 0;
};

EvaluateOptions& evaluate_options() {
  static EvaluateOptions options;
  return options;
}

Json classes_json(const Classification& classification) {
  Json classes = Json::array();
  for (std::size_t index = 0; index < classification.classes.size(); ++index) {
    const ClassMetrics& metrics = classification.classes[index];
    classes.push_back({{"class", index},
                       {"precision", number_or_null(metrics.precision)},
                       {"recall", number_or_null(metrics.recall)},
                       {"f1", number_or_null(metrics.f1)},
                       {"samples", metrics.samples}});
  }
  return classes;
}

void print_classes(const CommonOptions& common, const Classification& classification) {
  print(common, fmt::format("{:>6} {:>10} {:>8} {:>8} {:>8}", "class", "precision", "recall", "F1",
                            "samples"));
  for (std::size_t index = 0; index < classification.classes.size(); ++index) {
    const ClassMetrics& metrics = classification.classes[index];
    print(common, fmt::format("{:>6} {:>10.4f} {:>8.4f} {:>8.4f} {:>8}", index, metrics.precision,
                              metrics.recall, metrics.f1, metrics.samples));
  }
  print(common, "confusion matrix (rows: label, columns: predicted)");
  for (const auto& row : classification.confusion) {
    std::string line;
    for (const std::int64_t count : row) line += fmt::format("{:>7}", count);
    print(common, line);
  }
}

Json run() {
  const EvaluateOptions& options = evaluate_options();
  const CommonOptions& common = options_of("evaluate");
  const RunFolder folder = RunFolder::open(options.run);
  const Experiment experiment =
      for_inference(folder.experiment(), folder.experiment(common.overrides));
  const RunFolder::StoredWeights weights = folder.read_weights();
  const Samples samples = select_samples(experiment, weights, options.data);
  const std::int64_t batch_size =
      options.batch_size > 0 ? options.batch_size : experiment.training.batch_size;
  Inference inference(experiment, weights, samples, batch_size, Phase::evaluation);
  const SplitResult result = inference.evaluate();
  const Classification classification =
      classify(samples.labels, inference.predicted_classes(), inference.classes());
  print(common, fmt::format("{} ({} samples, batch {}, device {})", samples.source, result.samples,
                            batch_size, device_text(experiment.device, inference.backend())));
  print_numerics(common, experiment);
  print(common, fmt::format("loss {:.6f}  accuracy {:.4f}", result.loss, result.accuracy));
  print_classes(common, classification);
  return {{"loss", number_or_null(result.loss)},
          {"accuracy", number_or_null(result.accuracy)},
          {"samples", result.samples},
          {"batch_size", batch_size},
          {"data", options.data},
          {"device", inference.backend().name()},
          {"precision", "fp32"},
          {"numerics", numerics_name(experiment)},
          {"numerics_levels", inference_levels(experiment)},
          {"classes", classes_json(classification)},
          {"confusion_matrix", classification.confusion}};
}

}  // namespace

Command add_evaluate(CLI::App& program) {
  EvaluateOptions& options = evaluate_options();
  CLI::App& command = *program.add_subcommand(
      "evaluate", "loss, accuracy, per-class metrics and confusion matrix of a run");
  command.add_option("RUN", options.run, "run folder")->required()->option_text(" ");
  command
      .add_option("--data", options.data,
                  "train | validation | test | PATH of a file or folder (default test)")
      ->option_text("DATA");
  add_inference_batch_size(command, options.batch_size);
  add_common_options(command, options_of("evaluate"),
                     "batchwise evaluate runs/digits-001 --data validation --batch-size 256");
  return {"evaluate", run};
}

}  // namespace batchwise::app
