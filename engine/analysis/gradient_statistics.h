// How gradients of batches scatter about the full-data gradient at fixed weights, by batch size.
#pragma once

#include <functional>

#include "engine/analysis/loss_surface.h"
#include "engine/analysis/measurements.h"

namespace batchwise {

/// For batch sizes 1, 2, 4, ... up to half the samples. A batch is drawn without replacement, each
/// one anew: N / B batches of size B, but at least 16 and at most 128. As Var(g_B) is then
///
///   tr(Sigma) / B * (N - B) / (N - 1),  Sigma the covariance of single samples' gradients over N
///
/// (Cochran 1977, "Sampling Techniques", eq. 2.8), the mean of |g_B - G|^2 times (N - 1) / (N - B)
/// is the variance that independent draws have. The noise scale takes every batch of every size.
/// BatchNorm normalises each batch by its own statistics, as in training; sizes that it refuses
/// (one sample), or that memory does not hold, are left out. `before_each` is called before every
/// update. Throws InputError where not even the full gradient fits, RunError where it is not
/// finite.
[[nodiscard]] GradientStudy study_gradients(const MeasuredRun& run, const Samples& samples,
                                            std::uint64_t seed = 0,
                                            const std::function<void()>& before_each = {});

}  // namespace batchwise
