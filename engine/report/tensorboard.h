// TensorBoard event files of a run: its metrics as scalars.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace batchwise {

/// Writes DIR/events.out.tfevents.<name of the run's folder> with the scalars of a metrics.jsonl,
/// replacing an earlier file of that name: train/loss and train/learning_rate by weight update,
/// train/accuracy, validation/loss, validation/accuracy and throughput/samples_per_second where
/// they were recorded, train/batch_size where it changed, noise/scale by windows. Values that are
/// not finite are left out. The same metrics give the same file: wall_time is not the clock's but
/// the training seconds since the run began, within an epoch in proportion to the updates. Throws
/// InputError when the metrics cannot be read, RunError when the file cannot be written.
void write_tensorboard_events(const std::filesystem::path& metrics_file,
                              const std::filesystem::path& directory);

/// CRC-32C (Castagnoli) of the bytes, as RFC 3720 (appendix B.4) has it.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

}  // namespace batchwise
