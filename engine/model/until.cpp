#include "engine/model/until.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "engine/error.h"

namespace batchwise {
namespace {

constexpr std::pair<std::string_view, Until::Metric> kMetrics[] = {
    {"validation_accuracy", Until::Metric::validation_accuracy},
    {"validation_loss", Until::Metric::validation_loss},
    {"train_accuracy", Until::Metric::train_accuracy},
    {"train_loss", Until::Metric::train_loss}};

[[noreturn]] void refuse(std::string_view text) {
  throw InputError(fmt::format(
      "the target \"{}\" cannot be read; expected validation_accuracy, validation_loss, "
      "train_accuracy or train_loss, then >= or <=, then a number, as in "
      "\"validation_accuracy>=0.88\"",
      text));
}

std::string without_spaces(std::string_view text) {
  std::string result;
  for (const char character : text) {
    if (character != ' ') result += character;
  }
  return result;
}

}  // namespace

std::optional<Until> parse_until(std::string_view text) {
  const std::string compact = without_spaces(text);
  if (compact == "none") return std::nullopt;
  const std::size_t sign = compact.find_first_of("<>");
  if (sign == std::string::npos || sign + 2 > compact.size() || compact[sign + 1] != '=') {
    refuse(text);
  }
  Until until{.metric = {}, .at_least = compact[sign] == '>', .value = 0.0};
  bool known = false;
  for (const auto& [name, metric] : kMetrics) {
    if (name != std::string_view(compact).substr(0, sign)) continue;
    until.metric = metric;
    known = true;
  }
  const char* const first = compact.data() + sign + 2;
  const char* const last = compact.data() + compact.size();
  const auto [end, error] = std::from_chars(first, last, until.value);
  if (!known || error != std::errc() || end != last || !std::isfinite(until.value)) refuse(text);
  return until;
}

}  // namespace batchwise
