// Ties each key of the experiment file to the member that holds it, once for reading and writing.
// Internal to engine/model.
#pragma once

#include <concepts>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/model/experiment.h"
#include "engine/model/experiment_schema.h"

namespace batchwise {

template <class Config, class Struct>
concept ConfigOf = std::same_as<std::remove_const_t<Config>, Struct>;

/// Calls visit(key name, member) for every key of the section that is not itself a section.
template <ConfigOf<Experiment> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("seed", config.seed);
  visit("device", config.device);
  visit("precision", config.precision);
  visit("numerics", config.numerics);
}

template <ConfigOf<DataConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("kind", config.kind);
  visit("path", config.path);
  visit("train", config.train);
  visit("test", config.test);
  visit("header", config.header);
  visit("name", config.name);
  visit("samples", config.samples);
  visit("test_samples", config.test_samples);
  visit("features", config.features);
  visit("classes", config.classes);
  visit("distribution", config.distribution);
  visit("normalize", config.normalize);
  visit("validation_split", config.validation_split);
  visit("shuffle", config.shuffle);
  visit("drop_last", config.drop_last);
}

template <ConfigOf<ModelConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("init", config.init);
}

template <ConfigOf<LayerConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("type", config.type);
  visit("name", config.name);
  visit("units", config.units);
  visit("activation", config.activation);
  visit("bias", config.bias);
  visit("init", config.init);
  visit("rate", config.rate);
  visit("momentum", config.momentum);
  visit("epsilon", config.epsilon);
  visit("group", config.group);
  visit("trainable", config.trainable);
}

template <ConfigOf<OptimizerConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("name", config.name);
  visit("learning_rate", config.learning_rate);
  visit("weight_decay", config.weight_decay);
  visit("momentum", config.momentum);
  visit("nesterov", config.nesterov);
  visit("beta1", config.beta1);
  visit("beta2", config.beta2);
  visit("alpha", config.alpha);
  visit("epsilon", config.epsilon);
  visit("learning_rate_scaling", config.learning_rate_scaling);
  visit("reference_batch_size", config.reference_batch_size);
  visit("clip_global_norm", config.clip_global_norm);
}

template <ConfigOf<ScheduleConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("kind", config.kind);
  visit("warmup_epochs", config.warmup_epochs);
  visit("at", config.at);
  visit("factor", config.factor);
  visit("to", config.to);
}

template <ConfigOf<BatchScheduleConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("kind", config.kind);
  visit("at", config.at);
  visit("factor", config.factor);
  visit("max_batch_size", config.max_batch_size);
  visit("patience", config.patience);
  visit("min_delta", config.min_delta);
}

template <ConfigOf<TrainingConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("epochs", config.epochs);
  visit("batch_size", config.batch_size);
  visit("micro_batch_size", config.micro_batch_size);
  visit("memory_budget", config.memory_budget);
  visit("checkpoint", config.checkpoint);
  visit("offload_activations", config.offload_activations);
  visit("max_steps", config.max_steps);
  visit("max_seconds", config.max_seconds);
  visit("until", config.until);
  visit("validate_every_steps", config.validate_every_steps);
  visit("checkpoint_seconds", config.checkpoint_seconds);
  visit("accumulation", config.accumulation);
  visit("on_nonfinite", config.on_nonfinite);
}

template <ConfigOf<EarlyStoppingConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("patience", config.patience);
  visit("min_delta", config.min_delta);
}

template <ConfigOf<MeasureConfig> Config, class Visit>
void for_each_field(Config& config, Visit&& visit) {
  visit("noise_scale_every_steps", config.noise_scale_every_steps);
  visit("gradients", config.gradients);
  visit("sharpness", config.sharpness);
  visit("hessian", config.hessian);
  visit("batchnorm", config.batchnorm);
  visit("samples", config.samples);
}

/// The word of the file for an enumerator, or "?" for one that only code can set.
template <class Enum>
requires std::is_enum_v<Enum>
[[nodiscard]] std::string_view word_of(const Key& key, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < key.words.size() ? key.words[index] : "?";
}

using Kinds = std::vector<std::string_view>;

/// The kinds that are active in a section and decide which of its keys apply.
template <class Config>
[[nodiscard]] Kinds kinds_of(const Config&) {
  return {};
}
[[nodiscard]] inline Kinds kinds_of(const DataConfig& data) {
  Kinds kinds{word_of(key_of("data", "kind"), data.kind)};
  if (data.kind == DataKind::builtin && data.name == "digits") kinds.push_back("builtin digits");
  if (data.kind == DataKind::builtin && data.name == "blobs") kinds.push_back("builtin blobs");
  if (data.kind == DataKind::builtin && data.name == "random") kinds.push_back("builtin random");
  return kinds;
}
[[nodiscard]] inline Kinds kinds_of(const LayerConfig& layer) {
  return {word_of(key_of("model.layers", "type"), layer.type)};
}
[[nodiscard]] inline Kinds kinds_of(const OptimizerConfig& optimizer) {
  return {word_of(key_of("optimizer", "name"), optimizer.name)};
}
[[nodiscard]] inline Kinds kinds_of(const ScheduleConfig& schedule) {
  return {word_of(key_of("schedule", "kind"), schedule.kind)};
}
[[nodiscard]] inline Kinds kinds_of(const BatchScheduleConfig& schedule) {
  return {word_of(key_of("batch_schedule", "kind"), schedule.kind)};
}

}  // namespace batchwise
