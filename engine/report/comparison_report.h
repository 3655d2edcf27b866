// The report of several runs side by side: a self-contained HTML page.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace batchwise {

/// One run of a comparison. NaN stands for a value that does not exist.
struct ComparedRun {
  std::string name;
  std::int64_t batch_size = 0;
  double test_accuracy = 0.0;
  double test_loss = 0.0;
  double training_seconds = 0.0;
  double samples_per_second = 0.0;
  std::int64_t planned_bytes = 0;
  std::filesystem::path metrics_file;
};

/// Table, accuracy, throughput and loss curves of the runs. Throws InputError when the metrics of
/// one cannot be read.
[[nodiscard]] std::string comparison_report(std::string_view title,
                                            std::span<const ComparedRun> runs);

}  // namespace batchwise
