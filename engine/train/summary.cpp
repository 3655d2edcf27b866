// A training summary as JSON, and the numerics levels that hold.
#include <nlohmann/json.hpp>

#include "engine/train/trainer.h"
#include "engine/version.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<SplitResult>& result, double SplitResult::*member) {
  return result ? Json((*result).*member) : Json();
}

/// The maker's name of a GPU; null where the device is the host.
Json hardware_of(const Backend& backend) {
  return backend.hardware().empty() ? Json() : Json(backend.hardware());
}

Json classes_of(const std::vector<ClassMetrics>& classes) {
  if (classes.empty()) return nullptr;
  Json list = Json::array();
  for (const ClassMetrics& each : classes) {
    list.push_back({{"precision", each.precision},
                    {"recall", each.recall},
                    {"f1", each.f1},
                    {"samples", each.samples}});
  }
  return list;
}

/// null where there is no target.
Json until_of(const Experiment& experiment, const Progress& progress) {
  if (experiment.training.until == "none") return nullptr;
  return {{"target", experiment.training.until}, {"reached", progress.reached_until}};
}

Json memory_of(const Footprint& footprint) {
  Json memory = Json::object();
  for (int index = 0; index < kMemoryCategories; ++index) {
    const auto category = static_cast<MemoryCategory>(index);
    memory[std::string(name_of(category))] = footprint[category];
  }
  return memory;
}

}  // namespace

std::vector<int> numerics_levels(const Experiment& experiment) {
  // On a GPU "fast" has kernels whose order depends on the shape; elsewhere it only stops
  // promising.
  if (experiment.numerics == Numerics::fast) return {1};
  std::vector<int> levels{1, 2, 3};
  // A sum over micro-batches is by definition another number for another split.
  if (splits_freely(experiment)) levels.push_back(4);
  // The reference in double has nothing to agree with.
  if (experiment.precision == Precision::fp32) levels.push_back(6);
  return levels;
}

std::string to_json(const TrainingSummary& summary, const Session& session) {
  const Experiment& experiment = session.experiment();
  const Progress& progress = summary.progress;
  const bool best_kept = experiment.training.early_stopping.patience > 0 &&
                         progress.early_stopping.best_epoch > 0 && !progress.reached_until;
  Json json;
  json["test_loss"] = or_null(summary.test, &SplitResult::loss);
  json["test_accuracy"] = or_null(summary.test, &SplitResult::accuracy);
  json["train_loss"] = progress.train_loss;
  json["train_accuracy"] = progress.train_accuracy;
  json["validation_loss"] = or_null(summary.validation, &SplitResult::loss);
  json["validation_accuracy"] = or_null(summary.validation, &SplitResult::accuracy);
  json["best_epoch"] = best_kept ? Json(progress.early_stopping.best_epoch) : Json();
  json["epochs"] = progress.epoch - 1;
  json["steps"] = progress.step;
  json["skipped_updates"] = progress.skipped_updates;
  json["stopped_by"] = summary.stopped_by;
  json["until"] = until_of(experiment, progress);
  json["seconds"] = progress.seconds;
  json["training_seconds"] = progress.training_seconds;
  json["samples_per_second"] =
      progress.training_seconds > 0.0
          ? Json(static_cast<double>(progress.trained_samples) / progress.training_seconds)
          : Json();
  json["trained_samples"] = progress.trained_samples;
  json["classes"] = classes_of(summary.test_classes);
  json["weights_sha256"] = summary.weights_sha256;
  json["planned_bytes"] = summary.planned_bytes;
  json["peak_bytes"] = summary.peak_bytes;
  json["memory"] = memory_of(session.memory_plan());
  json["parameters"] = session.training_plan().parameters.trainable_count();
  json["training_samples"] = session.training_samples();
  json["validation_samples"] = session.validation_samples();
  json["test_samples"] = session.test_samples();
  json["batch_size"] = summary.batch_size;
  json["micro_batch_size"] = summary.micro_batch_size;
  json["final_batch_size"] = experiment.training.batch_size;
  json["learning_rate"] = summary.learning_rate;
  json["experiment"] = experiment.name;
  json["seed"] = experiment.seed;
  json["device"] = session.backend().name();
  json["device_name"] = hardware_of(session.backend());
  json["precision"] = experiment.precision == Precision::fp64 ? "fp64" : "fp32";
  json["numerics"] = experiment.numerics == Numerics::fast ? "fast" : "invariant";
  json["numerics_levels"] = numerics_levels(experiment);
  json["version"] = version();
  return json.dump(2, ' ', false, Json::error_handler_t::replace);  // a file name may be any bytes
}

}  // namespace batchwise
