// A scalar that carries a bound of how far the same computation in float may be away: the value is
// computed in double, the bound grows by each operation's rounding error and passes on those of its
// operands (running error analysis: Wilkinson 1986; Higham 2002, section 3.3). The oracle on this
// type judges float kernels that keep the contract's order of operations.
#pragma once

#include <cmath>
#include <limits>

namespace batchwise::reference {

class RunningError {
 public:
  RunningError() = default;
  /// An input: exact.
  explicit RunningError(float value) : value_(value) {}
  /// A constant, which float computation rounds once unless it is a float.
  explicit RunningError(double value)
      : value_(value),
        error_(static_cast<double>(static_cast<float>(value)) == value ? 0.0
                                                                       : rounding_error(value)) {}

  [[nodiscard]] double value() const { return value_; }
  [[nodiscard]] double error() const { return error_; }
  explicit operator double() const { return value_; }

  friend RunningError operator-(RunningError x) { return {-x.value_, x.error_}; }

  friend RunningError operator+(RunningError x, RunningError y) {
    return rounded(x.value_ + y.value_, x.error_ + y.error_);
  }

  friend RunningError operator-(RunningError x, RunningError y) { return x + -y; }

  friend RunningError operator*(RunningError x, RunningError y) {
    return rounded(x.value_ * y.value_, product_error(x, y));
  }

  /// Where float overflows in y, x / y becomes 0: sigmoid far below zero.
  friend RunningError operator/(RunningError x, RunningError y) {
    const double quotient = x.value_ / y.value_;
    if (std::isinf(y.value_) && std::isfinite(x.value_)) return {quotient, 0.0};
    const double smallest = std::abs(y.value_) - y.error_;
    double error = (x.error_ + std::abs(quotient) * y.error_) / smallest;
    if (!(smallest > 0.0)) error = std::numeric_limits<double>::infinity();
    const double largest = std::abs(y.value_) + y.error_;
    if (!(largest <= std::numeric_limits<float>::max())) error += std::abs(quotient);
    return rounded(quotient, error);
  }

  friend RunningError fma(RunningError x, RunningError y, RunningError z) {
    return rounded(std::fma(x.value_, y.value_, z.value_), product_error(x, y) + z.error_);
  }

  friend RunningError sqrt(RunningError x) {
    const double root = std::sqrt(x.value_);
    const double smallest_root = std::sqrt(std::fmax(x.value_ - x.error_, 0.0));
    return rounded(root, x.error_ == 0.0 ? 0.0 : x.error_ / (root + smallest_root));
  }

  friend RunningError abs(RunningError x) { return {std::abs(x.value_), x.error_}; }

  friend RunningError exp(RunningError x) {
    const double value = std::exp(x.value_);
    return rounded(value, value * std::expm1(x.error_), kExpUlps);
  }

  friend RunningError log(RunningError x) {
    const double share = x.error_ == 0.0 ? 0.0 : x.error_ / x.value_;
    const double error =
        share < 1.0 ? -std::log1p(-share) : std::numeric_limits<double>::infinity();
    return rounded(std::log(x.value_), error, kLogUlps);
  }

  friend RunningError tanh(RunningError x) {
    const double flattest = std::tanh(std::fmax(std::abs(x.value_) - x.error_, 0.0));
    return rounded(std::tanh(x.value_), (1.0 - flattest * flattest) * x.error_, kTanhUlps);
  }

  friend RunningError erf(RunningError x) {
    const double nearest = std::fmax(std::abs(x.value_) - x.error_, 0.0);
    const double slope = kErfSlopeAtZero * std::exp(-nearest * nearest);
    return rounded(std::erf(x.value_), slope * x.error_, kErfUlps);
  }

  friend bool operator<(RunningError x, RunningError y) { return x.value_ < y.value_; }
  friend bool operator>(RunningError x, RunningError y) { return x.value_ > y.value_; }
  friend bool operator==(RunningError x, RunningError y) { return x.value_ == y.value_; }

 private:
  static constexpr double kUnitRoundoff = 0x1p-24;
  static constexpr double kUnderflow = 0x1p-149;
  static constexpr double kErfSlopeAtZero = 1.1283791670955126;  // 2 / sqrt(pi)
  // What ops/portable_math.h promises.
  static constexpr double kExpUlps = 1.0;
  static constexpr double kLogUlps = 1.0;
  static constexpr double kTanhUlps = 2.0;
  static constexpr double kErfUlps = 2.0;

  RunningError(double value, double error) : value_(value), error_(error) {}

  /// Of an operation whose exact result has this magnitude: an ulp is at most two unit roundoffs.
  static double rounding_error(double magnitude, double ulps = 0.5) {
    return ulps * 2.0 * (kUnitRoundoff * std::abs(magnitude) + kUnderflow);
  }

  /// The result of an operation, with the error its operands pass on.
  static RunningError rounded(double value, double passed_on, double ulps = 0.5) {
    return {value, passed_on + rounding_error(std::abs(value) + passed_on, ulps)};
  }

  static double product_error(RunningError x, RunningError y) {
    return std::abs(x.value_) * y.error_ + std::abs(y.value_) * x.error_ + x.error_ * y.error_;
  }

  double value_ = 0.0;
  double error_ = 0.0;
};

}  // namespace batchwise::reference
