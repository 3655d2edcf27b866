#include "engine/verify/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace batchwise::verification {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Bytes that belong to no element must be as they were, and inputs altogether.
std::string change_outside_results(const Case& test, const Results& results) {
  if (!results.stray_write.empty()) return results.stray_write;
  for (std::size_t index = 0; index < test.operands.size(); ++index) {
    const Operand& operand = test.operands[index];
    if (operand.role == Role::workspace || results.bytes[index] == operand.bytes) continue;
    if (operand.role == Role::input) return fmt::format("wrote to its input {}", operand.name);
    if (operand.content == Content::status) continue;
    const std::size_t size = size_in_bytes(operand.type);
    std::vector<std::byte> padding = results.bytes[index];
    for (std::int64_t number = 0; number < operand.shape.elements(); ++number) {
      const std::size_t place = static_cast<std::size_t>(operand.offset_of(number)) * size;
      std::memcpy(padding.data() + place, operand.bytes.data() + place, size);
    }
    const auto [changed, before] =
        std::mismatch(padding.begin(), padding.end(), operand.bytes.begin());
    if (changed == padding.end()) continue;
    return fmt::format("wrote into the padding of {}, element {} of its memory", operand.name,
                       static_cast<std::size_t>(changed - padding.begin()) / size);
  }
  return "";
}

/// Integers are exact, whatever the mode.
std::string difference_of_integers(const Operand& operand, const std::vector<std::byte>& got,
                                   const std::vector<std::byte>& expected) {
  for (std::int64_t number = 0; number < operand.shape.elements(); ++number) {
    const double a = number_at(operand, got, number), b = number_at(operand, expected, number);
    if (a != b) return fmt::format("{} is {} instead of {}", operand.place_of(number), a, b);
  }
  return "";
}

std::string text_of(double value) { return fmt::format("{:.9g}", value); }

std::string difference_of_bits(const Operand& operand, const std::vector<std::byte>& got,
                               const std::vector<std::byte>& expected) {
  for (std::int64_t number = 0; number < count_of_numbers(operand); ++number) {
    const double a = number_at(operand, got, number), b = number_at(operand, expected, number);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b)) continue;
    const std::string distance =
        operand.type == ElementType::f32
            ? fmt::format(" by {} ulps", ulps_between(static_cast<float>(a), static_cast<float>(b)))
            : "";
    return fmt::format("other bits than the reference{}: {} is {} instead of {}", distance,
                       operand.place_of(number), a, b);
  }
  return "";
}

void note_errors(const Operand& operand, const std::vector<std::byte>& got,
                 const std::vector<Expected>& expected, std::optional<Place>& worst) {
  for (std::size_t number = 0; number < expected.size(); ++number) {
    const double value = number_at(operand, got, static_cast<std::int64_t>(number));
    const double error = error_over_bound(value, expected[number]);
    if (worst && !(error > worst->error)) continue;
    worst = {.element = operand.place_of(static_cast<std::int64_t>(number)),
             .got = value,
             .expected = expected[number].value,
             .bound = expected[number].bound,
             .error = error};
  }
}

}  // namespace

double error_over_bound(double got, const Expected& expected) {
  if (std::isnan(expected.value)) return std::isnan(got) ? 0.0 : kInfinity;
  if (std::isinf(expected.value)) return got == expected.value ? 0.0 : kInfinity;
  if (!(expected.bound >= 0.0) || std::isinf(expected.bound)) return kInfinity;
  if (got == expected.value) return 0.0;
  const double ratio = std::abs(got - expected.value) / expected.bound;
  return std::isfinite(ratio) ? ratio : kInfinity;
}

double ulps_between(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return kInfinity;
  // Floats in order are these integers in order.
  const auto position = [](float x) {
    const auto bits = std::bit_cast<std::int32_t>(x);
    return bits < 0 ? -static_cast<std::int64_t>(bits & 0x7FFFFFFF) : std::int64_t{bits};
  };
  return static_cast<double>(std::abs(position(a) - position(b)));
}

Verdict judge(const Case& test, const Results& results, Numerics numerics) {
  Verdict verdict;
  verdict.failure = change_outside_results(test, results);
  std::vector<std::vector<Expected>> expected = run_oracle(test);
  if (numerics == Numerics::fast) bound_any_order(test, expected);
  const Results reference = run_reference(test);
  std::string difference;
  for (std::size_t index = 0; index < test.operands.size(); ++index) {
    const Operand& operand = test.operands[index];
    if (!operand.written()) continue;
    note_errors(operand, results.bytes[index], expected[index], verdict.worst);
    if (verdict.failure.empty() && operand.content == Content::exact) {
      verdict.failure =
          difference_of_integers(operand, results.bytes[index], reference.bytes[index]);
    }
    if (difference.empty()) {
      difference = difference_of_bits(operand, results.bytes[index], reference.bytes[index]);
    }
  }
  const std::optional<Place>& worst = verdict.worst;
  if (verdict.failure.empty() && worst && !(worst->error <= 1.0)) {
    verdict.failure = fmt::format(
        "error {:.3g} times its bound: {} is {} instead of {} within {:.3g}", worst->error,
        worst->element, text_of(worst->got), text_of(worst->expected), worst->bound);
  }
  if (verdict.failure.empty() && numerics == Numerics::invariant) verdict.failure = difference;
  return verdict;
}

}  // namespace batchwise::verification
