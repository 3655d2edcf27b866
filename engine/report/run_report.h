// The report of one run: a self-contained HTML page.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace batchwise {

/// From the run's metrics.jsonl and the text of its summary.json.
[[nodiscard]] std::string run_report(const std::filesystem::path& metrics_file,
                                     std::string_view summary_json);

}  // namespace batchwise
