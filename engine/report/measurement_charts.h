// Charts and tables of what is measured of a run besides loss and accuracy.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/analysis/measurements.h"
#include "engine/report/svg.h"

namespace batchwise {

/// Noise scale with its interval over training; x is the middle of each window times `per_step`.
[[nodiscard]] Line noise_line(std::string name, std::span<const NoiseWindow> windows,
                              double per_step = 1.0);
[[nodiscard]] Chart noise_chart(std::vector<Line> lines, std::string x_label);

/// Variance of gradients at fixed weights against their batch size, with the line of independent
/// samples (1/B) through the first study's smallest batch.
using NamedStudy = std::pair<std::string, const GradientStudy*>;
[[nodiscard]] Chart gradient_variance_chart(std::span<const NamedStudy> studies);

/// How statistics of batches stray from those of the population, a line a layer; and the accuracy
/// with each batch's own statistics.
[[nodiscard]] std::vector<Chart> batchnorm_charts(const Measurements& measurements);

/// The section of a run's report: the charts above, sharpness and the Hessian; `noise` is the noise
/// scale over training. Empty where there is nothing.
[[nodiscard]] std::string measurements_html(std::span<const NoiseWindow> noise,
                                            const Measurements* measurements);

}  // namespace batchwise
