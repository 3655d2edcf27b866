// What BatchNorm adds to a batch: how far the statistics of batches lie from those of all samples,
// and what that does to the accuracy.
#pragma once

#include <functional>
#include <vector>

#include "engine/analysis/loss_surface.h"
#include "engine/analysis/measurements.h"

namespace batchwise {

/// Whether the run has a BatchNorm layer that is trained, and so takes statistics of batches.
[[nodiscard]] bool has_batch_statistics(const Experiment& experiment);

/// For each BatchNorm layer that is trained and each batch size 2, 4, ... 512 up to half the
/// samples: N / B batches, at least 8 and at most 64. With m, v the mean and variance of a channel
/// over all samples as one batch, m_B, v_B those of a batch of B (the mean square deviation, which
/// is what it is normalised with), e the layer's epsilon:
///
///   mean_deviation = rms over channels of (m_B - m) / sqrt(v + e) * sqrt((N - 1) / (N - B))
///   variance_ratio = rms over channels of (v_B + e) / (v + e) - 1
///
/// The last factor turns the deviation of batches drawn without replacement into that of
/// independent draws; variance_ratio has none.
/// A layer's inputs are normalised with the same batch's statistics, as in training; ghost groups
/// are left out of account. Empty without such layers. Throws InputError where memory does not hold
/// all samples as one batch.
[[nodiscard]] std::vector<BatchNormNoise> batchnorm_noise(
    const MeasuredRun& run, const Samples& samples, std::uint64_t seed = 0,
    const std::function<void()>& before_each = {});

/// For batch sizes 2, 4, ... 512 up to the number of samples: the accuracy of the samples in
/// batches that are normalised with their own statistics (disjoint batches of a random order, at
/// most 256), and with the running statistics. Empty without such layers.
[[nodiscard]] std::vector<BatchNormAccuracy> batchnorm_accuracy(
    const MeasuredRun& run, const Samples& samples, std::uint64_t seed = 0,
    const std::function<void()>& before_each = {});

}  // namespace batchwise
