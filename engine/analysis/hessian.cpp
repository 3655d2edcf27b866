#include "engine/analysis/hessian.h"

#include <Spectra/SymEigsSolver.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "kernels/ops/philox.h"

namespace batchwise {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// The operator as Spectra wants it.
class Operator {
 public:
  using Scalar = double;
  Operator(HessianProduct& product, Eigen::Index size) : product_(product), size_(size) {}

  [[nodiscard]] Eigen::Index rows() const { return size_; }
  [[nodiscard]] Eigen::Index cols() const { return size_; }
  void perform_op(const double* in, double* out) const {
    Eigen::Map<Eigen::VectorXd>(out, size_) =
        product_(Eigen::Map<const Eigen::VectorXd>(in, size_));
  }

 private:
  HessianProduct& product_;
  Eigen::Index size_;
};

/// Uniform in [-1, 1], of length 1.
Eigen::VectorXd start_vector(Eigen::Index size, std::uint64_t seed) {
  static constexpr std::uint32_t kStream = stream_of_name("measure.hessian");
  Eigen::VectorXd start(size);
  for (Eigen::Index index = 0; index < size; ++index) {
    const PhiloxBlock words = philox({static_cast<std::uint32_t>(index / 4), 0, 0, kStream}, seed);
    start[index] = 2.0 * unit_interval(words[static_cast<std::size_t>(index % 4)]) - 1.0;
  }
  return start.normalized();
}

/// Lets the product know the size of the largest eigenvalue to a factor of about 2. Returns a
/// vector that leans to its eigenvector; zero where the Hessian is zero.
Eigen::VectorXd find_curvature(HessianProduct& product, Eigen::VectorXd v) {
  constexpr int kPowerIterations = 6;
  for (int iteration = 0; iteration < kPowerIterations; ++iteration) {
    v = product(v.normalized());
    if (v.isZero(0.0)) break;
    product.assume(v.norm());
  }
  return v;
}

/// Lanczos iterations take products for exact; where rounding makes up much of them, they converge
/// to what is no eigenvalue, and only the residual tells.
HessianResult result_of(HessianProduct& product, double eigenvalue, const Eigen::VectorXd& v) {
  constexpr double kMostResidual = 0.1;
  const double error = (product(v) - eigenvalue * v).norm();
  const double residual = error == 0.0 ? 0.0 : error / std::abs(eigenvalue);
  return {.largest_eigenvalue = residual <= kMostResidual ? eigenvalue : kNone,
          .residual = residual,
          .products = product.products()};
}

}  // namespace

HessianProduct::HessianProduct(LossSurface& surface)
    : surface_(surface), unit_step_(std::cbrt(surface.rounding() / 20.0)), step_(unit_step_) {}

void HessianProduct::assume(double largest_eigenvalue) {
  step_ = unit_step_ * std::min(1.0 / std::sqrt(std::abs(largest_eigenvalue)),
                                1.0 + surface_.stored_weights().norm());
}

Eigen::VectorXd HessianProduct::operator()(const Eigen::VectorXd& v) {
  const double length = v.norm();
  if (length == 0.0) return v;
  const Eigen::VectorXd& w = surface_.stored_weights();
  Eigen::VectorXd ahead;
  Eigen::VectorXd behind;
  surface_.evaluate(w + v * (step_ / length), ahead);
  surface_.evaluate(w - v * (step_ / length), behind);
  ++products_;
  if (!ahead.allFinite() || !behind.allFinite()) {
    throw RunError("the training loss near the run's weights is not finite: it has no Hessian");
  }
  return (ahead - behind) * (length / (2.0 * step_));
}

HessianResult largest_eigenvalue(LossSurface& surface, std::uint64_t seed) {
  constexpr Eigen::Index kBasis = 16;  // vectors between restarts
  constexpr Eigen::Index kRestarts = 10;
  const Eigen::Index size = surface.dimensions();
  HessianProduct product(surface);
  const Eigen::VectorXd start = find_curvature(product, start_vector(size, seed)).normalized();
  if (start.isZero(0.0)) return {.products = product.products()};
  if (size == 1) return result_of(product, product(start)[0] * start[0], start);
  // No closer than the products are.
  const double tolerance = 10.0 * std::pow(surface.rounding(), 2.0 / 3.0);
  Operator hessian(product, size);
  Spectra::SymEigsSolver<Operator> solver(hessian, 1, std::min(kBasis, size));
  solver.init(start.data());
  solver.compute(Spectra::SortRule::LargestAlge, kRestarts, tolerance);
  if (solver.info() != Spectra::CompInfo::Successful) {
    return {.largest_eigenvalue = kNone, .residual = kNone, .products = product.products()};
  }
  return result_of(product, solver.eigenvalues()[0], solver.eigenvectors(1).col(0));
}

}  // namespace batchwise
