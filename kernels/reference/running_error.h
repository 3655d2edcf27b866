// A scalar that carries a bound of how far the same computation in float may be away: the value is
// computed in double, the bound grows by each operation's rounding error and passes on those of its
// operands (running error analysis: Wilkinson 1986; Higham 2002, section 3.3). The oracle on this
// type judges float kernels that keep the contract's order of operations. What a contract computes
// in double is judged alike, by values in long double.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/ops/tensor_view.h"

namespace batchwise::reference {

/// Judged: the type whose roundings are bounded.
template <class Judged>
class RunningErrorOf {
 public:
  /// The type of the values, wide enough for their own roundings to matter little.
  using Value = std::conditional_t<std::is_same_v<Judged, float>, double, long double>;
  static_assert(std::numeric_limits<Value>::digits >= std::numeric_limits<Judged>::digits + 11);

  RunningErrorOf() = default;
  /// An input: exact.
  explicit RunningErrorOf(float value) : value_(value) {}
  /// A constant, which the judged computation rounds once unless it is of its type.
  explicit RunningErrorOf(double value)
      : value_(value),
        error_(static_cast<double>(static_cast<Judged>(value)) == value ? 0.0
                                                                        : rounding_error(value)) {}
  /// The result of another type's computation: rounded once where that type is the wider one.
  template <class Other>
  requires(!std::is_same_v<Other, Judged>) explicit RunningErrorOf(
      const RunningErrorOf<Other>& other)
      : value_(static_cast<Value>(other.value())), error_(other.error()) {
    if (sizeof(Judged) < sizeof(Other)) *this = rounded(value_, error_);
  }

  /// A value and how far from it the judged one may be.
  [[nodiscard]] static RunningErrorOf known(Value value, double error) { return {value, error}; }

  [[nodiscard]] Value value() const { return value_; }
  [[nodiscard]] double error() const { return error_; }
  explicit operator double() const { return static_cast<double>(value_); }

  friend RunningErrorOf operator-(RunningErrorOf x) { return {-x.value_, x.error_}; }

  friend RunningErrorOf operator+(RunningErrorOf x, RunningErrorOf y) {
    return rounded(x.value_ + y.value_, x.error_ + y.error_);
  }

  friend RunningErrorOf operator-(RunningErrorOf x, RunningErrorOf y) { return x + -y; }

  friend RunningErrorOf operator*(RunningErrorOf x, RunningErrorOf y) {
    return rounded(x.value_ * y.value_, product_error(x, y));
  }

  /// Where the judged type overflows in y, x / y becomes 0: sigmoid far below zero.
  friend RunningErrorOf operator/(RunningErrorOf x, RunningErrorOf y) {
    const Value quotient = x.value_ / y.value_;
    if (std::isinf(y.value_) && std::isfinite(x.value_)) return {quotient, 0.0};
    const double smallest = magnitude(y) - y.error_;
    double error = (x.error_ + magnitude(quotient) * y.error_) / smallest;
    if (!(smallest > 0.0)) error = std::numeric_limits<double>::infinity();
    const double largest = magnitude(y) + y.error_;
    if (!(largest <= double{std::numeric_limits<Judged>::max()})) error += magnitude(quotient);
    return rounded(quotient, error);
  }

  friend RunningErrorOf fma(RunningErrorOf x, RunningErrorOf y, RunningErrorOf z) {
    return rounded(std::fma(x.value_, y.value_, z.value_), product_error(x, y) + z.error_);
  }

  friend RunningErrorOf sqrt(RunningErrorOf x) {
    const Value root = std::sqrt(x.value_);
    const double smallest_root = std::sqrt(std::fmax(static_cast<double>(x) - x.error_, 0.0));
    return rounded(root, x.error_ == 0.0 ? 0.0 : x.error_ / (magnitude(root) + smallest_root));
  }

  friend RunningErrorOf abs(RunningErrorOf x) { return {std::abs(x.value_), x.error_}; }

  friend RunningErrorOf exp(RunningErrorOf x) {
    const Value value = std::exp(x.value_);
    return rounded(value, magnitude(value) * std::expm1(x.error_), kExpUlps);
  }

  friend RunningErrorOf log(RunningErrorOf x) {
    const double share = x.error_ == 0.0 ? 0.0 : x.error_ / static_cast<double>(x);
    const double error =
        share < 1.0 ? -std::log1p(-share) : std::numeric_limits<double>::infinity();
    return rounded(std::log(x.value_), error, kLogUlps);
  }

  friend RunningErrorOf tanh(RunningErrorOf x) {
    const double flattest = std::tanh(std::fmax(magnitude(x) - x.error_, 0.0));
    return rounded(std::tanh(x.value_), (1.0 - flattest * flattest) * x.error_, kTanhUlps);
  }

  friend RunningErrorOf erf(RunningErrorOf x) {
    const double nearest = std::fmax(magnitude(x) - x.error_, 0.0);
    const double slope = kErfSlopeAtZero * std::exp(-nearest * nearest);
    return rounded(std::erf(x.value_), slope * x.error_, kErfUlps);
  }

  friend bool operator<(RunningErrorOf x, RunningErrorOf y) { return x.value_ < y.value_; }
  friend bool operator>(RunningErrorOf x, RunningErrorOf y) { return x.value_ > y.value_; }
  friend bool operator==(RunningErrorOf x, RunningErrorOf y) { return x.value_ == y.value_; }

 private:
  template <class>
  friend class RunningErrorOf;

  // An operation's rounding in the judged type and that of its value here.
  static constexpr double kUnitRoundoff =
      static_cast<double>(std::numeric_limits<Judged>::epsilon() +
                          std::numeric_limits<Value>::epsilon()) /
      2;
  static constexpr double kUnderflow = double{std::numeric_limits<Judged>::denorm_min()};
  static constexpr double kErfSlopeAtZero = 1.1283791670955126;  // 2 / sqrt(pi)
  // What ops/portable_math.h promises.
  static constexpr double kExpUlps = 1.0;
  static constexpr double kLogUlps = 1.0;
  static constexpr double kTanhUlps = 2.0;
  static constexpr double kErfUlps = 2.0;

  RunningErrorOf(Value value, double error) : value_(value), error_(error) {}

  static double magnitude(Value x) { return static_cast<double>(std::abs(x)); }
  static double magnitude(RunningErrorOf x) { return magnitude(x.value_); }

  /// Of an operation whose exact result has this magnitude: an ulp is at most two unit roundoffs.
  /// Infinity is not rounded.
  static double rounding_error(double result, double ulps = 0.5) {
    if (std::isinf(result)) return 0.0;
    return ulps * 2.0 * (kUnitRoundoff * std::abs(result) + kUnderflow);
  }

  /// The result of an operation, with the error its operands pass on.
  static RunningErrorOf rounded(Value value, double passed_on, double ulps = 0.5) {
    return {value, passed_on + rounding_error(magnitude(value) + passed_on, ulps)};
  }

  static double product_error(RunningErrorOf x, RunningErrorOf y) {
    return magnitude(x) * y.error_ + magnitude(y) * x.error_ + x.error_ * y.error_;
  }

  Value value_ = 0.0;
  double error_ = 0.0;
};

/// Judges float.
using RunningError = RunningErrorOf<float>;

}  // namespace batchwise::reference

namespace batchwise {
template <>
constexpr ElementType element_type_of<reference::RunningError>() {
  return ElementType::bounded;
}
}  // namespace batchwise
