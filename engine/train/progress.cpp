#include "engine/train/progress.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "engine/error.h"

namespace batchwise {
namespace {

/// Calls visit(key, member) for each member, so that writing and reading cannot disagree.
template <class P, class Visit>
void for_each_member(P& progress, Visit&& visit) {
  visit("step", progress.step);
  visit("epoch", progress.epoch);
  visit("samples_in_epoch", progress.samples_in_epoch);
  visit("epoch_loss_sum", progress.epoch_loss_sum);
  visit("epoch_correct", progress.epoch_correct);
  visit("epoch_training_seconds", progress.epoch_training_seconds);
  visit("skipped_updates", progress.skipped_updates);
  visit("trained_samples", progress.trained_samples);
  visit("training_seconds", progress.training_seconds);
  visit("seconds", progress.seconds);
  visit("train_loss", progress.train_loss);
  visit("train_accuracy", progress.train_accuracy);
  visit("validated_step", progress.validated_step);
  visit("stopped_early", progress.stopped_early);
  visit("reached_until", progress.reached_until);
  visit("best_epoch", progress.early_stopping.best_epoch);
  visit("best_step", progress.early_stopping.best_step);
  visit("validations_since_best", progress.early_stopping.validations_since_best);
  visit("batch_size", progress.batch_size);
  visit("batch_start_steps", progress.batch_start.steps);
  visit("batch_start_epochs", progress.batch_start.epochs);
  visit("plateau_epochs_since_best", progress.plateau.epochs_since_best);
  visit("metrics_bytes", progress.metrics_bytes);
}

/// JSON has neither NaN nor infinity: the library writes null for both.
template <class T>
void read(const nlohmann::json& json, T& value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (json.is_null()) {
      value = std::numeric_limits<T>::quiet_NaN();
      return;
    }
  }
  json.get_to(value);
}

}  // namespace

std::string Progress::to_json() const {
  nlohmann::ordered_json json;
  for_each_member(*this, [&](const char* key, const auto& value) { json[key] = value; });
  json["best_loss"] = early_stopping.best_loss;
  json["plateau_best_loss"] = plateau.best_loss;
  return json.dump();
}

Progress Progress::from_json(std::string_view text) {
  Progress progress;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for_each_member(progress, [&](const char* key, auto& value) { read(json.at(key), value); });
    // null: no validation yet, infinite
    const auto read_best = [&](const char* key, double& loss) {
      if (!json.at(key).is_null()) json.at(key).get_to(loss);
    };
    read_best("best_loss", progress.early_stopping.best_loss);
    read_best("plateau_best_loss", progress.plateau.best_loss);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(std::string("a checkpoint's state cannot be read: ") + error.what());
  }
  return progress;
}

}  // namespace batchwise
