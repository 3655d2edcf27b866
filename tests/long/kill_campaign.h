// Kills training at random moments, resumes it until it finishes, and compares with a run that was
// left alone. Used by the long campaign and by a short one of the normal suite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace batchwise {

/// Digits through every kind of layer, in micro-batches, with validation, early stopping and a
/// checkpoint every few hundredths of a second: about a fifth of a second of training.
[[nodiscard]] std::string killed_experiment();

/// What two runs of the same experiment must have in common: weights, metrics and summary, without
/// measured times.
struct RunOutcome {
  std::string weights_sha256;
  std::vector<nlohmann::json> metrics;
  nlohmann::json summary;
  bool operator==(const RunOutcome&) const = default;
};
[[nodiscard]] RunOutcome outcome_of(const std::filesystem::path& run);

struct KillCounts {
  int kills = 0;
  int finished_runs = 0;       ///< each compared with the run that was left alone
  int without_folder = 0;      ///< kills before the run folder appeared
  int without_checkpoint = 0;  ///< after that, before the first checkpoint
  int amid_a_checkpoint = 0;   ///< a half-written checkpoint was left behind
  int amid_creation = 0;       ///< a half-made run folder was left behind
};

/// Kills `kills` times in `folder`; every failure is a failure of the test. The moments are drawn
/// from `seed`; what they meet is up to the machine.
[[nodiscard]] KillCounts run_kill_campaign(const std::filesystem::path& folder, int kills,
                                           std::uint32_t seed);

}  // namespace batchwise
