// The folder of a run: experiment.toml, metrics.jsonl, summary.json, weights.safetensors,
// checkpoints/, report.html, and a marker that says it is ours to overwrite.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/data/normalization.h"
#include "engine/files/safetensors.h"
#include "engine/model/experiment.h"
#include "engine/train/checkpoint.h"

namespace batchwise {

/// A file of the data set as it was when the run began.
struct DataFile {
  std::string path;
  std::string sha256;
};

class RunFolder {
 public:
  /// Makes the folder appear with its marker, resolved experiment and data hashes in one step. An
  /// existing one is an InputError unless `overwrite` is set and it holds our marker. `first`: a
  /// checkpoint of step 0 that the folder holds from the start.
  static RunFolder create(const std::filesystem::path& path, const Experiment& experiment,
                          const std::vector<DataFile>& data_files, bool overwrite,
                          const Checkpoint* first = nullptr);
  /// The same at default_path(), the next number where another process takes it at the same time.
  static RunFolder create_numbered(const Experiment& experiment,
                                   const std::vector<DataFile>& data_files,
                                   const Checkpoint* first = nullptr);
  /// Opens an existing run. InputError when it is none.
  static RunFolder open(const std::filesystem::path& path);
  /// Throws InputError if `create` would, without touching anything.
  static void check_creatable(const std::filesystem::path& path, bool overwrite);
  /// runs/<experiment>-<NNN> under the current directory, the first number that is free.
  [[nodiscard]] static std::filesystem::path default_path(const std::string& experiment);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path experiment_file() const { return path_ / "experiment.toml"; }
  [[nodiscard]] std::filesystem::path metrics_file() const { return path_ / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path summary_file() const { return path_ / "summary.json"; }
  [[nodiscard]] std::filesystem::path weights_file() const { return path_ / "weights.safetensors"; }
  [[nodiscard]] std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  [[nodiscard]] std::filesystem::path report_file() const { return path_ / "report.html"; }

  /// The resolved experiment, with the name it was started under. `overrides` as for
  /// load_experiment.
  [[nodiscard]] Experiment experiment(std::span<const std::string> overrides = {}) const;
  /// Records limits (epochs, max_steps, max_seconds) that a resumed run was given, so that resuming
  /// it once more reads them.
  void record_limits(const TrainingConfig& limits) const;
  /// The hashes recorded when the run began.
  [[nodiscard]] std::vector<DataFile> data_files() const;
  /// InputError where the folder lacks our marker, so that nobody's own files are written over.
  void check_marker() const;
  /// InputError naming the first file whose bytes are not those the run began with.
  void check_data_files() const;

  /// What weights.safetensors holds: the tensors, and in its metadata what they were trained on.
  struct StoredWeights {
    std::vector<TensorData> tensors;
    Normalization normalization;
    std::vector<std::int64_t> input_shape;  ///< of one sample
  };
  void write_weights(const StoredWeights& weights) const;
  /// InputError when the run has no weights yet or they cannot be read.
  [[nodiscard]] StoredWeights read_weights() const;

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// Paths and hashes of the files a data set was read from.
[[nodiscard]] std::vector<DataFile> hash_files(const std::vector<std::string>& files);

}  // namespace batchwise
