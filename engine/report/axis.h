// Axes of the charts: ticks, their texts, and where a value lies in the picture.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace batchwise {

enum class Scale {
  linear,
  logarithmic,
  automatic,  ///< logarithmic where every value is positive and they span a factor above 20
};

enum class Unit {
  number,
  bytes,  ///< ticks at binary multiples, written as KiB, MiB, ...
};

struct Axis {
  std::string label = {};
  Scale scale = Scale::linear;
  bool from_zero = false;          ///< linear only
  bool whole_numbers = false;      ///< no ticks between integers
  std::vector<double> ticks = {};  ///< empty: chosen
  Unit unit = Unit::number;
};

/// The values an axis has to show.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;

  void include(double value);
  [[nodiscard]] bool empty() const { return low > high; }
};

/// Whether an axis of that scale over these values is logarithmic.
[[nodiscard]] bool is_logarithmic(Range values, Scale scale);

/// From values to places in the view box.
class Mapping {
 public:
  /// `values` is not empty and finite; it lies between `from` and `to`, with some room beside it.
  Mapping(Range values, const Axis& axis, double from, double to);

  [[nodiscard]] bool logarithmic() const { return logarithmic_; }
  /// A value outside the range is moved to its end.
  [[nodiscard]] double operator()(double value) const;
  /// Whether the value lies in the range as it is drawn.
  [[nodiscard]] bool shows(double value) const {
    return values_.low <= value && value <= values_.high;
  }
  [[nodiscard]] std::vector<double> ticks(const Axis& axis) const;

 private:
  [[nodiscard]] double transformed(double value) const;
  [[nodiscard]] Range widened(Range values, bool from_zero) const;

  bool logarithmic_;
  double from_;
  double to_;
  Range values_;
};

/// Multiples of 1, 2 or 5 times a power of ten in [low, high], about `count` of them and at least
/// `smallest_step` apart. Needs low < high, both finite.
[[nodiscard]] std::vector<double> nice_ticks(double low, double high, int count = 5,
                                             double smallest_step = 0.0);
/// Powers of ten in [low, high], or 1, 2 and 5 times them where there are few; nice_ticks over less
/// than about a decade. Needs 0 < low < high.
[[nodiscard]] std::vector<double> logarithmic_ticks(double low, double high);
/// Powers of two in [low, high], at most about five. Needs 0 < low < high.
[[nodiscard]] std::vector<double> binary_ticks(double low, double high);
/// "0.25", "20k", "1.5M", "1e-5"
[[nodiscard]] std::string tick_text(double value);
/// From 0 to `high`, four at most beside 0; their distance is a power of two or three times one.
[[nodiscard]] std::vector<std::int64_t> byte_ticks(std::int64_t high);
/// As bytes_text, without ".0".
[[nodiscard]] std::string byte_tick_text(std::int64_t bytes);
/// tick_text, or byte_tick_text on an axis of bytes.
[[nodiscard]] std::string tick_text(double value, Unit unit);

}  // namespace batchwise
