// What is measured of a finished run besides loss and accuracy: measurements.json of its folder.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/analysis/gradient_noise.h"
#include "engine/analysis/statistics.h"
#include "engine/data/dataset.h"
#include "engine/train/run_folder.h"

namespace batchwise {

/// Gradients of batches of one size at fixed weights, against the full-data gradient G. Batches are
/// drawn without replacement; `variance` is corrected for that to what independent draws have.
struct GradientStatistics {
  std::int64_t batch_size = 0;
  Estimate variance;  ///< tr of the covariance of the batch's mean gradient
  Estimate norm;      ///< |g_B|
  Estimate cosine;    ///< of g_B and G
};

struct GradientStudy {
  std::int64_t samples = 0;  ///< whose mean gradient is G
  double full_norm = 0.0;    ///< |G|
  std::vector<GradientStatistics> batches;
  PowerLaw variance_law;  ///< of variance against batch size: -1 where samples are independent
  Estimate noise_scale;   ///< tr(Sigma) / |G|^2 at these weights
};

/// (max f(x + A y) - f(x)) / (1 + f(x)) * 100 over |y_i| <= epsilon (|(A^+ x)_i| + 1) (Keskar et
/// al. 2017, metric 2.1), f the mean training loss.
struct SharpnessResult {
  double epsilon = 0.0;
  std::int64_t dimensions = 0;  ///< of the random subspace; 0: the full space
  double sharpness = 0.0;
  double loss = 0.0;        ///< f(x)
  double worst_loss = 0.0;  ///< infinite where a loss was not finite, and then so is the sharpness
  int evaluations = 0;
};

struct HessianResult {
  double largest_eigenvalue = 0.0;  ///< NaN where it was not found
  double residual = 0.0;            ///< |H v - lambda v| / |lambda|; NaN where there is no lambda
  int products = 0;                 ///< Hessian-vector products it took
};

/// One BatchNorm layer at one batch size: statistics of batches against those of the population.
struct BatchNormNoise {
  std::int64_t batch_size = 0;
  std::string layer;
  Estimate mean_deviation;  ///< rms over channels of (batch mean - mean) / deviation, as of
                            ///< independent draws
  Estimate variance_ratio;  ///< rms over channels of batch variance / variance - 1
};
struct BatchNormAccuracy {
  std::int64_t batch_size = 0;
  Estimate batch_statistics;        ///< accuracy with each batch's own statistics
  double running_statistics = 0.0;  ///< accuracy as evaluated
};

struct Measurements {
  std::optional<Estimate> noise_scale;  ///< over the whole of training
  std::vector<NoiseWindow> noise_over_training;
  std::optional<GradientStudy> gradients;
  std::vector<SharpnessResult> sharpness;
  std::optional<HessianResult> hessian;
  std::vector<BatchNormNoise> batchnorm;
  std::vector<BatchNormAccuracy> batchnorm_accuracy;
  std::int64_t samples = 0;  ///< of the training part, that gradients, sharpness and Hessian used
  std::string failure;       ///< not empty: why what was asked for is not there
  std::string batchnorm_accuracy_split;  ///< test, validation or train: the first there is
};

/// Does what the run's [measure] asks for, on the weights the folder holds and the run's device,
/// and reads the noise scale from its metrics. `dataset`: the run's. `note` is told what is being
/// measured; `interrupted`: asked before each evaluation, a number other than 0 throws Interrupted.
/// Throws InputError where the folder has no weights, the data set is not the run's, or memory does
/// not hold it; RunError where the loss at the weights is not finite. docs/measurements.md has the
/// formulas.
[[nodiscard]] Measurements measure_run(const RunFolder& folder, const Dataset& dataset,
                                       const std::function<void(const std::string&)>& note = {},
                                       const std::function<int()>& interrupted = {});

/// Numbers come back exactly. NaN is null, and the infinite are "inf" and "-inf".
/// Of a run folder.
inline constexpr const char* kMeasurementsFile = "measurements.json";
/// Whether measure_run needs more than the run's metrics.
[[nodiscard]] bool measures_weights(const MeasureConfig& measure);
/// measure_run, written to measurements.json and into report.html anew. What cannot be measured, as
/// weights with an infinite loss, is no failure of the run: `failure` then says why.
Measurements measure_and_record(const RunFolder& folder, const Dataset& dataset,
                                const std::function<void(const std::string&)>& note = {},
                                const std::function<int()>& interrupted = {});

[[nodiscard]] std::string to_json(const Measurements& measurements);
/// Throws InputError when the text is not such JSON.
[[nodiscard]] Measurements measurements_from_json(std::string_view text);

}  // namespace batchwise
