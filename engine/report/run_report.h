// The report of one run: a self-contained HTML page.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace batchwise {

/// From the run's metrics.jsonl and the text of its summary.json. Values that are null or missing
/// show as a dash. Throws InputError when the file cannot be read or the text is no JSON object.
[[nodiscard]] std::string run_report(const std::filesystem::path& metrics_file,
                                     std::string_view summary_json);

}  // namespace batchwise
