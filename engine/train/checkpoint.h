// The checkpoints of a run: one safetensors file each, in which every byte is covered by a
// checksum, so that a damaged one is recognised and the one before it is used.
//
// A file is named step-<12 digits>.checkpoint.safetensors. Its __metadata__ holds "format" (the
// version), "step", "state" (JSON text), "state_sha256", "tensor_table_sha256" (of the JSON object
// that maps each name, in bytewise order, to [dtype, shape], without spaces) and one
// "sha256:<tensor>" for the data of each tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/files/safetensors.h"

namespace batchwise {

/// Everything that exact resumption needs.
struct Checkpoint {
  std::string state;                ///< JSON text in UTF-8
  std::vector<TensorData> tensors;  ///< in no particular order
};

/// The checkpoints in one folder, `RUN/checkpoints`. One process uses it at a time.
class CheckpointStore {
 public:
  struct Loaded {
    Checkpoint checkpoint;
    std::int64_t step = 0;
    std::filesystem::path file;
    std::vector<std::string> damaged;  ///< newer files that cannot be used: which, and why
  };

  /// Keeps the newest `keep` (at least 1) checkpoints; two, so that a damaged one costs little.
  explicit CheckpointStore(std::filesystem::path folder, int keep = 2);

  /// Writes the checkpoint durably and only then deletes what it replaces: those beyond `keep`, and
  /// those of later steps, which a run resumed before them has given up. Where writing fails all
  /// earlier ones stay, and the RunError names the newest good one and how to resume.
  void save(std::int64_t step, const Checkpoint& checkpoint);

  /// The newest checkpoint that is whole; nothing where there is none at all. An InputError lists
  /// the files and their damage where all are damaged.
  [[nodiscard]] std::optional<Loaded> load_newest() const;

 private:
  [[nodiscard]] std::map<std::int64_t, std::filesystem::path> files() const;
  void create_folder() const;
  void delete_temporaries() const;
  void delete_replaced(std::int64_t saved_step) const;
  [[nodiscard]] std::string how_to_resume() const;

  std::filesystem::path folder_;
  int keep_;
};

}  // namespace batchwise
