// The largest eigenvalue of the training loss's Hessian, from gradients alone.
#pragma once

#include "engine/analysis/loss_surface.h"
#include "engine/analysis/measurements.h"

namespace batchwise {

/// Products of the Hessian at a run's weights w with vectors, by central differences:
///
///   H v = (g(w + h v) - g(w - h v)) / (2 h) + O(h^2)
///
/// The loss varies along the steepest direction over lengths of 1 / sqrt(lambda), lambda the
/// largest eigenvalue: that is where logits change by about 1. With u = h |v| sqrt(lambda) the
/// relative error is k u^2 from what the difference leaves out, k about 10 where hidden units
/// saturate, and r / u from rounding, r the gradient's own relative error: about one rounding, as
/// those of many samples cancel. The sum is least at u^3 = r / (2 k), hence
///
///   h |v| = cbrt(rounding / 20) / sqrt(lambda),   at most cbrt(rounding / 20) (1 + |w|)
///
/// with 1.4e-3 for the root in f32 and 1.8e-6 in f64: relative errors below 1e-4 and 1e-10, and
/// below 1e-3 in f32 where r is ten roundings.
class HessianProduct {
 public:
  explicit HessianProduct(LossSurface& surface);

  /// Throws RunError where a gradient is not finite.
  [[nodiscard]] Eigen::VectorXd operator()(const Eigen::VectorXd& v);
  /// Sets the curvature that steps are chosen for.
  void assume(double largest_eigenvalue);
  [[nodiscard]] int products() const { return products_; }

 private:
  LossSurface& surface_;
  double unit_step_;  ///< cbrt(rounding / 20)
  double step_;       ///< h |v|
  int products_ = 0;
};

/// The largest (not the largest in size) eigenvalue, by Lanczos iterations with restarts from a
/// seeded start. A few power iterations before find the curvature that steps are chosen for.
/// The eigenvalue is NaN where the residual is above 0.1, as rounding in f32 can leave it, and both
/// are where Lanczos does not converge in ten restarts. Throws RunError where the loss is not
/// finite.
[[nodiscard]] HessianResult largest_eigenvalue(LossSurface& surface, std::uint64_t seed = 0);

}  // namespace batchwise
