// What a run of a sweep leaves in its folder besides what every run does. Internal to engine/sweep.
#pragma once

#include <filesystem>
#include <string>

namespace batchwise {

/// Whether nothing is left to do: it diverged, or was trained and measured.
[[nodiscard]] bool has_ended(const std::filesystem::path& folder);
[[nodiscard]] bool has_summary(const std::filesystem::path& folder);
/// Notes that the run's updates were not finite.
void record_divergence(const std::filesystem::path& folder, const std::string& message);

}  // namespace batchwise
