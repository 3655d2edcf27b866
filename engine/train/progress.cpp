#include "engine/train/progress.h"

#include <cmath>
#include <nlohmann/json.hpp>

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
  visit("stopped_early", progress.stopped_early);
  visit("best_epoch", progress.early_stopping.best_epoch);
  visit("best_step", progress.early_stopping.best_step);
  visit("validations_since_best", progress.early_stopping.validations_since_best);
  visit("metrics_bytes", progress.metrics_bytes);
}

}  // namespace

std::string Progress::to_json() const {
  nlohmann::ordered_json json;
  for_each_member(*this, [&](const char* key, const auto& value) { json[key] = value; });
  // JSON has no infinity: null stands for "no validation yet".
  if (std::isfinite(early_stopping.best_loss)) {
    json["best_loss"] = early_stopping.best_loss;
  } else {
    json["best_loss"] = nullptr;
  }
  return json.dump();
}

Progress Progress::from_json(std::string_view text) {
  Progress progress;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for_each_member(progress, [&](const char* key, auto& value) { json.at(key).get_to(value); });
    const nlohmann::json& best = json.at("best_loss");
    if (!best.is_null()) best.get_to(progress.early_stopping.best_loss);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(std::string("a checkpoint's state cannot be read: ") + error.what());
  }
  return progress;
}

}  // namespace batchwise
