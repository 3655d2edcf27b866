#include "engine/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "engine/report/html.h"

namespace batchwise {
bool is_logarithmic(Range values, Scale scale) {
  if (scale == Scale::linear || values.low <= 0.0) return false;
  return scale == Scale::logarithmic || values.high / values.low > 20.0;
}

void Range::include(double value) {
  low = std::min(low, value);
  high = std::max(high, value);
}

Mapping::Mapping(Range values, const Axis& axis, double from, double to)
    : logarithmic_(is_logarithmic(values, axis.scale)), from_(from), to_(to) {
  if (axis.from_zero && !logarithmic_) values.include(0.0);
  values_ = widened(values, axis.from_zero);
}

double Mapping::operator()(double value) const {
  const double share = (transformed(value) - transformed(values_.low)) /
                       (transformed(values_.high) - transformed(values_.low));
  return from_ + (to_ - from_) * std::clamp(share, 0.0, 1.0);
}

std::vector<double> Mapping::ticks(const Axis& axis) const {
  if (!axis.ticks.empty()) return axis.ticks;
  if (axis.unit == Unit::bytes) {
    if (logarithmic_) return binary_ticks(values_.low, values_.high);
    std::vector<double> ticks;
    for (const std::int64_t tick : byte_ticks(std::llround(values_.high))) {
      if (static_cast<double>(tick) >= values_.low) ticks.push_back(static_cast<double>(tick));
    }
    return ticks;
  }
  if (logarithmic_) return logarithmic_ticks(values_.low, values_.high);
  return nice_ticks(values_.low, values_.high, 5, axis.whole_numbers ? 1.0 : 0.0);
}

double Mapping::transformed(double value) const {
  return logarithmic_ ? std::log(std::max(value, std::numeric_limits<double>::min())) : value;
}

/// Leaves room beside the outermost values, and some where they are all the same.
Range Mapping::widened(Range values, bool from_zero) const {
  if (logarithmic_) {
    const double factor =
        values.low == values.high ? 2.0 : std::pow(values.high / values.low, 0.04);
    return {values.low / factor, values.high * factor};
  }
  double margin = 0.04 * (values.high - values.low);
  if (!(margin > 1e-12 * std::abs(values.high))) {
    margin = values.high == 0.0 ? 1.0 : 0.1 * std::abs(values.high);
  }
  const bool at_zero = from_zero && values.low == 0.0;
  return {at_zero ? 0.0 : values.low - margin, values.high + margin};
}

std::vector<double> nice_ticks(double low, double high, int count, double smallest_step) {
  const double wanted = std::max((high - low) / count, smallest_step);
  const double power = std::pow(10.0, std::floor(std::log10(wanted)));
  const double fraction = wanted / power;
  const double multiple = fraction < 1.5 ? 1.0 : fraction < 3.5 ? 2.0 : fraction < 7.5 ? 5.0 : 10.0;
  const double step = multiple * power;
  const double first = std::ceil(low / step - 1e-9);
  const int more = static_cast<int>(std::floor(high / step + 1e-9) - first);
  std::vector<double> ticks;
  // The added zero turns -0 into 0.
  for (int index = 0; index <= more; ++index) ticks.push_back((first + index) * step + 0.0);
  return ticks;
}

std::vector<double> logarithmic_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const int stride = 1 + (last - first) / 8;
  const bool few = last - first <= 3;
  std::vector<double> ticks;
  for (int power = first; power <= last; power += stride) {
    for (const double multiple : {1.0, 2.0, 5.0}) {
      const double tick = multiple * std::pow(10.0, power);
      if ((few || multiple == 1.0) && tick >= low && tick <= high) ticks.push_back(tick);
    }
  }
  return ticks.size() < 3 ? nice_ticks(low, high) : ticks;
}

std::vector<double> binary_ticks(double low, double high) {
  const int first = static_cast<int>(std::ceil(std::log2(low)));
  const int last = static_cast<int>(std::floor(std::log2(high)));
  const int stride = 1 + std::max(last - first, 0) / 5;
  std::vector<double> ticks;
  for (int power = first; power <= last; power += stride) ticks.push_back(std::exp2(power));
  return ticks;
}

std::string tick_text(double value) {
  constexpr std::array<std::pair<double, std::string_view>, 4> kSuffixes = {
      {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  if (std::abs(value) >= 1e4 && std::abs(value) < 1e15) {
    for (const auto& [unit, suffix] : kSuffixes) {
      if (std::abs(value) >= unit) return fmt::format("{:.6g}{}", value / unit, suffix);
    }
  }
  std::string text = fmt::format("{:.6g}", value);
  const std::size_t exponent = text.find('e');  // e-05 becomes e-5
  if (exponent != std::string::npos && text[exponent + 2] == '0') text.erase(exponent + 2, 1);
  return text;
}

std::vector<std::int64_t> byte_ticks(std::int64_t high) {
  constexpr std::int64_t kMost = 4;
  std::int64_t step = 1;
  while (high / step > kMost) {
    // 1, 2, 3, 4, 6, 8, 12, ...: between two powers of two lies three halves of the lower one.
    const bool power = (step & (step - 1)) == 0;
    step = step == 1 ? 2 : power ? step / 2 * 3 : step / 3 * 4;
  }
  std::vector<std::int64_t> ticks;
  for (std::int64_t count = 0; count <= high / step; ++count) ticks.push_back(count * step);
  return ticks;
}

std::string byte_tick_text(std::int64_t bytes) {
  std::string text = bytes_text(bytes);
  const std::size_t zero = text.find(".0 ");
  return zero == std::string::npos ? text : text.erase(zero, 2);
}

std::string tick_text(double value, Unit unit) {
  return unit == Unit::bytes ? byte_tick_text(std::llround(value)) : tick_text(value);
}

}  // namespace batchwise
