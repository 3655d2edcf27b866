// How far the training loss rises near a run's weights (Keskar, Mudigere, Nocedal, Smelyanskiy and
// Tang 2017, "On Large-Batch Training for Deep Learning", metric 2.1), maximised by L-BFGS-B.
#pragma once

#include <span>
#include <vector>

#include "engine/analysis/loss_surface.h"
#include "engine/analysis/measurements.h"

namespace batchwise {

struct SharpnessOptions {
  std::vector<double> epsilons{1e-3, 5e-4};
  std::vector<std::int64_t> dimensions{0, 100};  ///< of subspaces; 0: the full space
  int iterations = 10;                           ///< of L-BFGS-B
  std::uint64_t seed = 0;                        ///< of the subspaces
};

/// A result for each of the dimensions with each epsilon, in that order. A subspace has at most as
/// many dimensions as there are weights. Maximisation starts at y = 0, or at a random y of the box
/// where no direction rises from there; the largest loss of all evaluations counts, one that is not
/// finite as infinite. Throws RunError where f(x) itself is not finite.
[[nodiscard]] std::vector<SharpnessResult> measure_sharpness(LossSurface& surface,
                                                             const SharpnessOptions& options = {});

/// A of one random subspace: [weights, dimensions] numbers of a standard normal distribution.
class RandomSubspace {
 public:
  RandomSubspace(Eigen::Index weights, Eigen::Index dimensions, std::uint64_t seed);

  [[nodiscard]] Eigen::Index dimensions() const { return basis_.cols(); }
  [[nodiscard]] const Eigen::MatrixXf& basis() const { return basis_; }
  /// A y.
  [[nodiscard]] Eigen::VectorXd into(const Eigen::VectorXd& y) const;
  /// A^T g.
  [[nodiscard]] Eigen::VectorXd onto(const Eigen::VectorXd& g) const;
  /// A^+ x, of the pseudo-inverse: (A^T A)^+ A^T x.
  [[nodiscard]] Eigen::VectorXd coordinates(const Eigen::VectorXd& x) const;

 private:
  Eigen::MatrixXf basis_;  ///< f32: its columns are random, and a million weights take 400 MB
};

}  // namespace batchwise
