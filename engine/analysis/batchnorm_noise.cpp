#include "engine/analysis/batchnorm_noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/analysis/sample_draws.h"
#include "engine/error.h"

namespace batchwise {
namespace {

constexpr std::int64_t kLargestBatch = 512;

bool takes_statistics(const LayerConfig& layer) {
  return layer.type == LayerType::batchnorm && layer.trainable;
}

/// The run with layers that normalise whole batches.
MeasuredRun without_groups(const MeasuredRun& run) {
  MeasuredRun whole = run;
  for (LayerConfig& layer : whole.experiment.model.layers) layer.group = 0;
  return whole;
}

std::unique_ptr<Session> session_of(const MeasuredRun& run, const Samples& samples,
                                    std::int64_t batch_size) {
  try {
    return measuring_session(run, samples, BatchNormForm::batch_statistics, batch_size);
  } catch (const InputError& error) {
    throw InputError(
        fmt::format("BatchNorm's statistics of {} samples as one batch cannot be taken: {}; lower "
                    "measure.samples",
                    batch_size, error.what()));
  }
}

/// Statistics of a batch at one layer, a number a channel.
struct Statistics {
  Eigen::VectorXd mean;
  Eigen::VectorXd variance;  ///< mean square deviation
};

/// What the last update of `batch` samples left: with momentum 1 the running statistics are the
/// batch's, the variance divided by one less than the number of values.
std::vector<Statistics> statistics_after(const Session& session, std::int64_t batch) {
  const std::vector<TensorData> tensors = download_tensors(session.weights());
  const auto vector_of = [&](const std::string& name) {
    const auto tensor = std::find_if(tensors.begin(), tensors.end(),
                                     [&](const TensorData& each) { return each.name == name; });
    return flat_vector(std::span(&*tensor, 1));
  };
  std::vector<Statistics> statistics;
  for (const GraphNode& node : session.graph().nodes) {
    if (node.operation != "batchnorm" || !node.config.trainable) continue;
    const Dimensions& input = session.graph().values[static_cast<std::size_t>(node.input)];
    const auto values = static_cast<double>(batch * input.elements() / input[0]);
    statistics.push_back(
        {.mean = vector_of(node.name + ".running_mean"),
         .variance = vector_of(node.name + ".running_var") * ((values - 1.0) / values)});
  }
  return statistics;
}

double rms(const Eigen::ArrayXd& values) { return std::sqrt(values.square().mean()); }

std::vector<std::int64_t> sizes_up_to(std::int64_t most) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 2; size <= std::min(most, kLargestBatch); size *= 2) {
    sizes.push_back(size);
  }
  return sizes;
}

/// Deviations of each draw, by layer.
struct Deviations {
  std::vector<double> mean;
  std::vector<double> variance;
};

/// What makes the deviation of a mean of samples that are drawn without replacement that of
/// independent draws (Cochran 1977, eq. 2.8).
double independent_draws_factor(std::int64_t samples, std::int64_t batch) {
  return std::sqrt(static_cast<double>(samples - 1) / static_cast<double>(samples - batch));
}

/// The deviations of means times `factor`.
void add_deviations(const std::vector<LayerConfig>& layers, const std::vector<Statistics>& all,
                    const std::vector<Statistics>& batch, double factor,
                    std::vector<Deviations>& deviations) {
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const Eigen::ArrayXd spread = all[layer].variance.array() + layers[layer].epsilon;
    const Eigen::ArrayXd mean = (batch[layer].mean - all[layer].mean).array() / spread.sqrt();
    const Eigen::ArrayXd variance =
        (batch[layer].variance.array() + layers[layer].epsilon) / spread - 1.0;
    deviations[layer].mean.push_back(factor * rms(mean));
    deviations[layer].variance.push_back(rms(variance));
  }
}

/// Runs one update that changes nothing. The statistics of one that is not finite would be the last
/// one's.
UpdateStatus finite_update(Session& session, std::span<const std::int32_t> ids) {
  const UpdateStatus status = session.update(ids, 1, 0.0);
  if (status.finite == 0.0) {
    throw RunError(
        "the training loss at the run's weights is not finite: BatchNorm's statistics "
        "say nothing");
  }
  return status;
}

double evaluated_accuracy(const MeasuredRun& run, const Samples& samples) {
  const std::unique_ptr<Session> session =
      measuring_session(run, samples, BatchNormForm::running_statistics, samples.count);
  const UpdateStatus status = session->update(SampleDraws(samples.count, 0).all(), 1, 0.0);
  return status.correct / static_cast<double>(samples.count);
}

}  // namespace

bool has_batch_statistics(const Experiment& experiment) {
  const std::vector<LayerConfig>& layers = experiment.model.layers;
  return std::any_of(layers.begin(), layers.end(), takes_statistics);
}

std::vector<BatchNormNoise> batchnorm_noise(const MeasuredRun& run, const Samples& samples,
                                            std::uint64_t seed,
                                            const std::function<void()>& before_each) {
  if (!has_batch_statistics(run.experiment) || samples.count < 4) return {};
  const std::unique_ptr<Session> session = session_of(without_groups(run), samples, samples.count);
  SampleDraws draws(samples.count, seed);
  const auto statistics = [&](std::span<const std::int32_t> ids) {
    if (before_each) before_each();
    (void)finite_update(*session, ids);
    return statistics_after(*session, static_cast<std::int64_t>(ids.size()));
  };
  const std::vector<Statistics> all = statistics(draws.all());
  std::vector<LayerConfig> layers;
  std::copy_if(run.experiment.model.layers.begin(), run.experiment.model.layers.end(),
               std::back_inserter(layers), takes_statistics);
  std::vector<BatchNormNoise> result;
  for (const std::int64_t size : sizes_up_to(samples.count / 2)) {
    session->change_batch_size(size);
    std::vector<Deviations> deviations(layers.size());
    const std::int64_t count = std::clamp<std::int64_t>(samples.count / size, 8, 64);
    const double factor = independent_draws_factor(samples.count, size);
    for (std::int64_t draw = 0; draw < count; ++draw) {
      add_deviations(layers, all, statistics(draws.next(size)), factor, deviations);
    }
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      result.push_back({.batch_size = size,
                        .layer = layers[layer].name,
                        .mean_deviation = mean_estimate(deviations[layer].mean),
                        .variance_ratio = mean_estimate(deviations[layer].variance)});
    }
  }
  return result;
}

std::vector<BatchNormAccuracy> batchnorm_accuracy(const MeasuredRun& run, const Samples& samples,
                                                  std::uint64_t seed,
                                                  const std::function<void()>& before_each) {
  constexpr std::int64_t kMostBatches = 256;
  const std::vector<std::int64_t> sizes = sizes_up_to(samples.count);
  if (!has_batch_statistics(run.experiment) || sizes.empty()) return {};
  const double evaluated = evaluated_accuracy(run, samples);
  const std::unique_ptr<Session> session = session_of(without_groups(run), samples, sizes.front());
  SampleDraws draws(samples.count, seed);
  std::vector<BatchNormAccuracy> result;
  for (const std::int64_t size : sizes) {
    session->change_batch_size(size);
    const std::span<const std::int32_t> order = draws.next(samples.count);
    std::vector<double> accuracies;
    for (std::int64_t batch = 0; batch < std::min(samples.count / size, kMostBatches); ++batch) {
      if (before_each) before_each();
      const UpdateStatus status = finite_update(
          *session,
          order.subspan(static_cast<std::size_t>(batch * size), static_cast<std::size_t>(size)));
      accuracies.push_back(status.correct / static_cast<double>(size));
    }
    result.push_back({.batch_size = size,
                      .batch_statistics = mean_estimate(accuracies),
                      .running_statistics = evaluated});
  }
  return result;
}

}  // namespace batchwise
