// The report of one run: a self-contained HTML page.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "engine/analysis/measurements.h"

namespace batchwise {

/// From the run's metrics.jsonl and the text of its summary.json, and what was measured of it where
/// that is given. Values that are null or missing show as a dash. Throws InputError when the file
/// cannot be read or the text is no JSON object.
[[nodiscard]] std::string run_report(const std::filesystem::path& metrics_file,
                                     std::string_view summary_json,
                                     const Measurements* measurements = nullptr);

}  // namespace batchwise
