#include "engine/analysis/gradient_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/analysis/sample_draws.h"
#include "engine/error.h"

namespace batchwise {
namespace {

std::unique_ptr<Session> session_of_all(const MeasuredRun& run, const Samples& samples) {
  try {
    return measuring_session(run, samples, BatchNormForm::batch_statistics, samples.count);
  } catch (const InputError& error) {
    throw InputError(
        fmt::format("the gradient of all {} samples cannot be taken: {}; lower measure.samples",
                    samples.count, error.what()));
  }
}

class Study {
 public:
  Study(const MeasuredRun& run, const Samples& samples, std::uint64_t seed,
        const std::function<void()>& before_each)
      : session_(session_of_all(run, samples)),
        draws_(samples.count, seed),
        before_each_(before_each) {
    full_ = gradient(draws_.all());
    result_.samples = samples.count;
    result_.full_norm = full_.norm();
    if (!std::isfinite(result_.full_norm)) {
      throw RunError("the gradient at the run's weights is not finite: it has no statistics");
    }
  }

  GradientStudy result() {
    for (std::int64_t size = 1; size <= result_.samples / 2; size *= 2) {
      if (takes(size)) add(size);
    }
    std::vector<double> sizes;
    std::vector<double> variances;
    for (const GradientStatistics& batch : result_.batches) {
      sizes.push_back(static_cast<double>(batch.batch_size));
      variances.push_back(batch.variance.value);
    }
    result_.variance_law = fit_power_law(sizes, variances);
    result_.noise_scale = mean_estimate(noise_);
    return std::move(result_);
  }

 private:
  bool takes(std::int64_t size) {
    try {
      session_->change_batch_size(size);
      return true;
    } catch (const InputError&) {
      return false;
    }
  }

  /// Of the batch's mean loss.
  Eigen::VectorXd gradient(std::span<const std::int32_t> ids) {
    if (before_each_) before_each_();
    (void)session_->update(ids, 1, 0.0);
    return flat_vector(session_->gradients()) / static_cast<double>(ids.size());
  }

  void add(std::int64_t size) {
    const auto all = static_cast<double>(result_.samples);
    const auto batch = static_cast<double>(size);
    const double without_replacement = (all - 1.0) / (all - batch);
    std::vector<double> variances, norms, cosines;
    const std::int64_t count = std::clamp<std::int64_t>(result_.samples / size, 16, 128);
    for (std::int64_t draw = 0; draw < count; ++draw) {
      const Eigen::VectorXd of_batch = gradient(draws_.next(size));
      const double variance = (of_batch - full_).squaredNorm() * without_replacement;
      variances.push_back(variance);
      noise_.push_back(variance * batch / (result_.full_norm * result_.full_norm));
      norms.push_back(of_batch.norm());
      const double lengths = norms.back() * result_.full_norm;
      if (lengths > 0.0) cosines.push_back(of_batch.dot(full_) / lengths);
    }
    result_.batches.push_back({.batch_size = size,
                               .variance = mean_estimate(variances),
                               .norm = mean_estimate(norms),
                               .cosine = mean_estimate(cosines)});
  }

  std::unique_ptr<Session> session_;
  SampleDraws draws_;
  const std::function<void()>& before_each_;
  Eigen::VectorXd full_;
  GradientStudy result_;
  std::vector<double> noise_;  ///< of each draw: B |g_B - G|^2 / |G|^2, corrected
};

}  // namespace

GradientStudy study_gradients(const MeasuredRun& run, const Samples& samples, std::uint64_t seed,
                              const std::function<void()>& before_each) {
  return Study(run, samples, seed, before_each).result();
}

}  // namespace batchwise
