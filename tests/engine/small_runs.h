// Small experiments, data and sessions in code, for tests of execution and training.
#pragma once

#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/model/experiment_file.h"
#include "engine/train/session.h"

namespace batchwise::testing_support {

inline const std::string kSmallLayers =
    R"({ type = "dense", units = 16, activation = "relu" }, { type = "dense", units = 4 })";

/// Blobs of twelve features in four classes, 300 for training and 60 for the test, in batches of 32
/// for two epochs; `settings` are "section.key=value".
[[nodiscard]] inline Experiment small_experiment(const std::vector<std::string>& settings = {},
                                                 const std::string& layers = kSmallLayers) {
  std::vector<std::string> overrides = settings;
  const auto set_unless_given = [&](const std::string& setting) {
    const std::string key = setting.substr(0, setting.find('=') + 1);
    for (const std::string& given : settings) {
      if (given.starts_with(key)) return;
    }
    overrides.push_back(setting);
  };
  for (const char* setting :
       {"device=cpu", "data.samples=300", "data.test_samples=60", "data.features=12",
        "data.classes=4", "training.batch_size=32", "training.epochs=2"}) {
    set_unless_given(setting);
  }
  return parse_experiment(
      "[data]\nkind = \"builtin\"\nname = \"blobs\"\n[model]\nlayers = [" + layers + "]\n", "small",
      "/", overrides);
}

[[nodiscard]] inline Dataset data_of(const Experiment& experiment) {
  return load_dataset(experiment.data, experiment.seed);
}

/// Samples of zeros with labels 0, 1, ..., classes - 1 in turn.
[[nodiscard]] inline Samples blank_samples(std::int64_t count, std::vector<std::int64_t> shape,
                                           ElementType type, std::int32_t classes) {
  Samples samples;
  samples.source = "blank";
  samples.count = count;
  samples.type = type;
  samples.shape = std::move(shape);
  samples.features.resize(static_cast<std::size_t>(count * samples.elements_per_sample()) *
                          size_in_bytes(type));
  samples.labels.resize(static_cast<std::size_t>(count));
  for (std::size_t sample = 0; sample < samples.labels.size(); ++sample) {
    samples.labels[sample] = static_cast<std::int32_t>(sample) % classes;
  }
  return samples;
}

/// Overwrites one feature of a sample of floats.
inline void set_feature(Samples& samples, std::int64_t sample, std::int64_t feature, float value) {
  const std::int64_t element = sample * samples.elements_per_sample() + feature;
  std::memcpy(samples.features.data() + element * 4, &value, sizeof(value));
}

/// The ids 0 .. count - 1.
[[nodiscard]] inline std::vector<std::int32_t> first_ids(std::int64_t count) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

/// The message of the error that `action` throws; "accepted" when it throws none of that type.
template <class Error = InputError, class Action>
[[nodiscard]] std::string message_of(Action&& action) {
  try {
    action();
    return "accepted";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace batchwise::testing_support
