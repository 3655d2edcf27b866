#include "engine/analysis/gradient_noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "engine/error.h"

namespace batchwise {
namespace {

/// NaN where it is missing or null, as a norm that is not finite is written.
double number(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
}

std::int64_t count(const nlohmann::json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

/// Nothing where the text is another line, or torn.
std::optional<GradientNorms> norms_in(const std::string& text) {
  const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
  if (!line.is_object() || !line.contains("kind") || line["kind"] != "noise") return std::nullopt;
  return GradientNorms{.step = count(line, "step"),
                       .samples = count(line, "samples"),
                       .mean_squared_norm = number(line, "mean_squared_norm"),
                       .squared_norm_of_mean = number(line, "squared_norm_of_mean")};
}

}  // namespace

Estimate noise_scale(std::span<const GradientNorms> measured, double confidence) {
  std::vector<double> noises, signals;
  for (const GradientNorms& norms : measured) {
    if (norms.samples < 2) continue;
    noises.push_back(norms.noise());
    signals.push_back(norms.signal());
  }
  return ratio_estimate(noises, signals, confidence);
}

std::vector<NoiseWindow> noise_scale_over_training(std::span<const GradientNorms> measured,
                                                   int windows) {
  if (windows < 1) throw std::invalid_argument("noise_scale_over_training needs a window");
  // Fieller's interval of fewer measurements is often without bound.
  constexpr std::size_t kLeast = 30;
  if (measured.empty()) return {};
  const std::size_t count =
      std::clamp<std::size_t>(measured.size() / kLeast, 1, static_cast<std::size_t>(windows));
  std::vector<NoiseWindow> result;
  for (std::size_t index = 0; index < count; ++index) {
    const std::size_t first = measured.size() * index / count;
    const std::size_t end = measured.size() * (index + 1) / count;
    const auto window = measured.subspan(first, end - first);
    result.push_back({.first_step = window.front().step,
                      .last_step = window.back().step,
                      .scale = noise_scale(window)});
  }
  return result;
}

std::vector<GradientNorms> read_gradient_norms(const std::filesystem::path& metrics_file) {
  errno = 0;
  std::ifstream file(metrics_file);
  std::vector<GradientNorms> measured;
  std::string line;
  while (std::getline(file, line)) {
    if (const auto norms = norms_in(line)) measured.push_back(*norms);
  }
  if (!file.eof()) {
    throw InputError(fmt::format("cannot read {}: {}", metrics_file.string(),
                                 std::generic_category().message(errno)));
  }
  return measured;
}

}  // namespace batchwise
