#include "engine/report/measurements_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace batchwise {
namespace {

std::string interval(const Estimate& estimate) {
  return fmt::format("{:.4g} ({:.4g} to {:.4g})", estimate.value, estimate.low, estimate.high);
}

void add_gradients(const GradientStudy& study, std::vector<std::string>& lines) {
  lines.push_back(
      fmt::format("gradients at the final weights, {} samples: full gradient {:.4g}, "
                  "noise scale {}",
                  study.samples, study.full_norm, interval(study.noise_scale)));
  lines.push_back(
      fmt::format("{:>8} {:>30} {:>30} {:>30}", "batch", "variance", "norm", "cosine to the full"));
  for (const GradientStatistics& row : study.batches) {
    lines.push_back(fmt::format("{:>8} {:>30} {:>30} {:>30}", row.batch_size,
                                interval(row.variance), interval(row.norm), interval(row.cosine)));
  }
  lines.push_back(fmt::format("variance ~ batch^{}", interval(study.variance_law.exponent)));
}

void add_batchnorm(const Measurements& measured, std::vector<std::string>& lines) {
  for (const BatchNormAccuracy& row : measured.batchnorm_accuracy) {
    lines.push_back(fmt::format(
        "batch {}: accuracy {} with its own BatchNorm statistics, {:.4g} with running ones",
        row.batch_size, interval(row.batch_statistics), row.running_statistics));
  }
  for (const BatchNormNoise& row : measured.batchnorm) {
    lines.push_back(fmt::format(
        "batch {}, {}: batch means lie {} deviations from the "
        "population's, variances {} from its, relatively",
        row.batch_size, row.layer, interval(row.mean_deviation), interval(row.variance_ratio)));
  }
}

}  // namespace

std::string to_text(const Measurements& measured) {
  std::vector<std::string> lines;
  if (measured.gradients) add_gradients(*measured.gradients, lines);
  for (const SharpnessResult& row : measured.sharpness) {
    lines.push_back(
        fmt::format("sharpness at epsilon {:g} in {}: {:.4g} (loss {:.4g} to {:.4g})", row.epsilon,
                    row.dimensions == 0 ? "the full space"
                                        : fmt::format("{} random dimensions", row.dimensions),
                    row.sharpness, row.loss, row.worst_loss));
  }
  if (measured.hessian) {
    lines.push_back(fmt::format("largest eigenvalue of the Hessian {:.4g} (residual {:.1e})",
                                measured.hessian->largest_eigenvalue, measured.hessian->residual));
  }
  add_batchnorm(measured, lines);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace batchwise
