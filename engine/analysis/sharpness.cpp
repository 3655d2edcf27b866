#include "engine/analysis/sharpness.h"

#include <LBFGSB.h>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <stdexcept>

#include "engine/error.h"
#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

/// Normal numbers by Box and Muller (1958), two from each pair of words.
void draw_normal(Eigen::Ref<Eigen::VectorXf> values, std::uint64_t seed, Eigen::Index column) {
  static constexpr std::uint32_t kStream = stream_of_name("measure.subspace");
  const auto uniform = [](std::uint32_t word) {
    return (static_cast<double>(word) + 0.5) * 0x1p-32;
  };
  for (Eigen::Index row = 0; row < values.size(); row += 4) {
    const PhiloxBlock words = philox(
        {static_cast<std::uint32_t>(row / 4), static_cast<std::uint32_t>(column), 0, kStream},
        seed);
    for (Eigen::Index pair = 0; pair < 4 && row + pair < values.size(); pair += 2) {
      const double radius =
          std::sqrt(-2.0 * std::log(uniform(words[static_cast<std::size_t>(pair)])));
      const double angle =
          2.0 * std::numbers::pi * uniform(words[static_cast<std::size_t>(pair) + 1]);
      values[row + pair] = static_cast<float>(radius * std::cos(angle));
      if (row + pair + 1 < values.size()) {
        values[row + pair + 1] = static_cast<float>(radius * std::sin(angle));
      }
    }
  }
}

/// Uniform in [-1, 1].
Eigen::VectorXd draw_uniform(Eigen::Index count, std::uint64_t seed) {
  static constexpr std::uint32_t kStream = stream_of_name("measure.start");
  Eigen::VectorXd values(count);
  for (Eigen::Index index = 0; index < count; ++index) {
    const PhiloxBlock words = philox({static_cast<std::uint32_t>(index / 4), 0, 0, kStream}, seed);
    values[index] = 2.0 * unit_interval(words[static_cast<std::size_t>(index % 4)]) - 1.0;
  }
  return values;
}

/// Rows of a block that products in f32 sum before the sum goes on in f64.
constexpr Eigen::Index kBlockRows = 4096;

/// Sums product(first row, rows) over blocks of rows.
template <class Result, class Product>
Result sum_over_blocks(Eigen::Index rows, Result sum, Product&& product) {
  for (Eigen::Index first = 0; first < rows; first += kBlockRows) {
    sum += product(first, std::min(kBlockRows, rows - first)).template cast<double>();
  }
  return sum;
}

/// f at x, which every maximisation begins with.
struct Origin {
  double loss;
  Eigen::VectorXd gradient;
};

/// Thrown out of the maximisation once a loss is not finite: nothing is larger.
struct Unbounded {};

/// -scale f(x + A y) as a function of z with y = z * side, as LBFGSpp wants it. L-BFGS-B takes the
/// Hessian for the identity at first and tries steps of length 1. Hence side_i = sqrt(n) times the
/// half width of y_i, so that a corner of the box lies at distance 1, and scale so large that the
/// first step along the gradient ends there in most coordinates.
class BoxedLoss {
 public:
  BoxedLoss(LossSurface& surface, const Origin& origin, const RandomSubspace* subspace,
            const Eigen::VectorXd& half_width)
      : surface_(surface),
        origin_(origin),
        subspace_(subspace),
        side_(half_width * std::sqrt(static_cast<double>(half_width.size()))),
        worst_(origin.loss) {
    choose_scale(onto_box(origin.gradient).norm());
  }

  [[nodiscard]] double worst() const { return worst_; }
  [[nodiscard]] int evaluations() const { return evaluations_; }
  [[nodiscard]] bool flat_at_origin() const { return onto_box(origin_.gradient).isZero(0.0); }

  double operator()(const Eigen::VectorXd& z, Eigen::VectorXd& gradient) {
    if (z.isZero(0.0)) {
      gradient = -scale_ * onto_box(origin_.gradient);
      return -scale_ * origin_.loss;
    }
    const Eigen::VectorXd y = z.cwiseProduct(side_);
    Eigen::VectorXd at = surface_.stored_weights();
    if (subspace_ == nullptr) {
      at += y;
    } else {
      at += subspace_->into(y);
    }
    const double loss = surface_.evaluate(at, gradient);
    ++evaluations_;
    if (!std::isfinite(loss) || !gradient.allFinite()) {
      worst_ = std::numeric_limits<double>::infinity();
      throw Unbounded{};
    }
    worst_ = std::max(worst_, loss);
    gradient = onto_box(gradient);
    choose_scale(gradient.norm());
    gradient *= -scale_;
    return -scale_ * loss;
  }

 private:
  /// By the first slope that is not 0.
  void choose_scale(double slope) {
    constexpr double kReach = 10.0;  // coordinates above a tenth of the gradient's rms reach it
    if (scale_ == 0.0 && slope > 0.0) scale_ = kReach / slope;
  }

  [[nodiscard]] Eigen::VectorXd onto_box(const Eigen::VectorXd& gradient) const {
    return (subspace_ == nullptr ? gradient : subspace_->onto(gradient)).cwiseProduct(side_);
  }

  LossSurface& surface_;
  const Origin& origin_;
  const RandomSubspace* subspace_;  ///< null: the full space
  Eigen::VectorXd side_;
  double scale_ = 0.0;  ///< 0: not chosen yet
  double worst_;
  int evaluations_ = 0;
};

void maximize(BoxedLoss& loss, Eigen::Index dimensions, const SharpnessOptions& options) {
  LBFGSpp::LBFGSBParam<double> parameters;
  parameters.m = 10;
  // It ends early only where the whole gradient points out of the box.
  const double corner = 1.0 / std::sqrt(static_cast<double>(dimensions));
  parameters.epsilon = 1e-6 * corner;
  parameters.epsilon_rel = 0.0;
  parameters.past = 0;
  parameters.max_iterations = options.iterations;
  // Where the loss changes by no more than it rounds, no step suits the line search.
  parameters.max_linesearch = 8;
  LBFGSpp::LBFGSBSolver<double> solver(parameters);
  const Eigen::VectorXd high = Eigen::VectorXd::Constant(dimensions, corner);
  const Eigen::VectorXd low = -high;
  Eigen::VectorXd z = Eigen::VectorXd::Zero(dimensions);
  if (loss.flat_at_origin()) z = draw_uniform(dimensions, options.seed) * corner;
  double value = 0.0;
  try {
    solver.minimize(loss, z, value, low, high);
  } catch (const Unbounded&) {
  } catch (const RunError&) {
    throw;
  } catch (const std::runtime_error&) {
    // Its line search found no better point; the best one seen stands.
  } catch (const std::logic_error&) {
    // The same: no direction that rises, or no room in it.
  }
}

SharpnessResult sharpness_of(LossSurface& surface, const Origin& origin,
                             const RandomSubspace* subspace, double epsilon,
                             const SharpnessOptions& options) {
  const Eigen::VectorXd coordinates = subspace == nullptr
                                          ? surface.stored_weights()
                                          : subspace->coordinates(surface.stored_weights());
  const Eigen::VectorXd half_width = epsilon * (coordinates.array().abs() + 1.0);
  BoxedLoss loss(surface, origin, subspace, half_width);
  maximize(loss, half_width.size(), options);
  return {.epsilon = epsilon,
          .dimensions = subspace == nullptr ? 0 : subspace->dimensions(),
          .sharpness = (loss.worst() - origin.loss) / (1.0 + origin.loss) * 100.0,
          .loss = origin.loss,
          .worst_loss = loss.worst(),
          .evaluations = loss.evaluations()};
}

}  // namespace

RandomSubspace::RandomSubspace(Eigen::Index weights, Eigen::Index dimensions, std::uint64_t seed)
    : basis_(weights, dimensions) {
  for (Eigen::Index column = 0; column < dimensions; ++column) {
    draw_normal(basis_.col(column), seed, column);
  }
}

Eigen::VectorXd RandomSubspace::into(const Eigen::VectorXd& y) const {
  return (basis_ * y.cast<float>()).cast<double>();
}

Eigen::VectorXd RandomSubspace::onto(const Eigen::VectorXd& g) const {
  const Eigen::VectorXf rounded = g.cast<float>();
  return sum_over_blocks(basis_.rows(), Eigen::VectorXd(Eigen::VectorXd::Zero(dimensions())),
                         [&](Eigen::Index first, Eigen::Index rows) -> Eigen::VectorXf {
                           return basis_.middleRows(first, rows).transpose() *
                                  rounded.segment(first, rows);
                         });
}

Eigen::VectorXd RandomSubspace::coordinates(const Eigen::VectorXd& x) const {
  const Eigen::MatrixXd gram = sum_over_blocks(
      basis_.rows(), Eigen::MatrixXd(Eigen::MatrixXd::Zero(dimensions(), dimensions())),
      [&](Eigen::Index first, Eigen::Index rows) -> Eigen::MatrixXf {
        const auto block = basis_.middleRows(first, rows);
        return block.transpose() * block;
      });
  // Its rank is that of f32 products.
  constexpr double kRankThreshold = 1e-5;
  Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> decomposition;
  decomposition.setThreshold(kRankThreshold);
  return decomposition.compute(gram).solve(onto(x));
}

std::vector<SharpnessResult> measure_sharpness(LossSurface& surface,
                                               const SharpnessOptions& options) {
  Origin origin;
  origin.loss = surface.evaluate(surface.stored_weights(), origin.gradient);
  if (!std::isfinite(origin.loss) || !origin.gradient.allFinite()) {
    throw RunError("the training loss at the run's weights is not finite: it has no sharpness");
  }
  std::vector<SharpnessResult> results;
  for (const std::int64_t dimensions : options.dimensions) {
    std::optional<RandomSubspace> subspace;
    if (dimensions > 0) {
      subspace.emplace(surface.dimensions(),
                       std::min<Eigen::Index>(dimensions, surface.dimensions()), options.seed);
    }
    for (const double epsilon : options.epsilons) {
      results.push_back(
          sharpness_of(surface, origin, subspace ? &*subspace : nullptr, epsilon, options));
    }
  }
  return results;
}

}  // namespace batchwise
