// Small runs in code, for tests of measurements.
#pragma once

#include "engine/analysis/loss_surface.h"
#include "engine/train/inference.h"
#include "engine/train/trainer.h"
#include "tests/engine/small_runs.h"

namespace batchwise::testing_support {

/// The run as training left it; with training.epochs = 0 at its initial weights.
[[nodiscard]] inline MeasuredRun run_of(const Experiment& experiment, const Dataset& dataset) {
  Session session(experiment, dataset);
  (void)Trainer(session, nullptr).run();
  return {.experiment = session.experiment(),
          .stored = {.tensors = download_tensors(session.weights()),
                     .normalization = session.normalization(),
                     .input_shape = dataset.train.shape}};
}

/// In f64 on the reference backend.
[[nodiscard]] inline Experiment in_double(Experiment experiment) {
  experiment.precision = Precision::fp64;
  return experiment;
}

inline const std::string kSmoothLayers =
    R"({ type = "dense", units = 5, activation = "tanh" }, { type = "dense", units = 4 })";

inline const std::string kBatchNormLayers =
    R"({ type = "dense", units = 16 }, { type = "batchnorm" },
       { type = "activation", activation = "relu" }, { type = "dense", units = 4 })";

/// Overwrites one element of a stored f32 tensor.
inline void set_element(MeasuredRun& run, const std::string& name, std::int64_t element,
                        float value) {
  for (TensorData& tensor : run.stored.tensors) {
    if (tensor.name == name) {
      std::memcpy(tensor.bytes.data() + element * 4, &value, sizeof(value));
    }
  }
}

}  // namespace batchwise::testing_support
