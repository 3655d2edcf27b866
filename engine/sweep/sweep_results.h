// What a sweep found: runs, cells (settings over seeds), comparisons between them. Everything a
// table, a file or a report of a sweep shows comes from here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/analysis/measurements.h"
#include "engine/analysis/statistics.h"

namespace batchwise {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

enum class RunState {
  waiting,  ///< not begun, or begun and not ended
  done,
  diverged,  ///< a loss or gradient was not finite
};

/// One run. NaN stands for a figure that does not exist.
struct SweepRun {
  std::uint64_t seed = 0;
  std::filesystem::path folder;
  RunState state = RunState::waiting;
  std::string failure;  ///< of a diverged run
  // Reproducible to the bit (numerics.md, level 1).
  double train_loss = kUnknown, train_accuracy = kUnknown;  ///< of the last epoch's passes
  double validation_loss = kUnknown, validation_accuracy = kUnknown;
  double test_loss = kUnknown, test_accuracy = kUnknown;
  double loss_gap = kUnknown;             ///< test (or else validation) loss - train loss
  double accuracy_gap = kUnknown;         ///< train accuracy - test (or else validation) accuracy
  std::int64_t best_epoch = 0;            ///< of the lowest validation loss; 0: no validation
  std::vector<double> precision, recall;  ///< per class, of the test split; empty: none
  std::int64_t steps = 0;
  double epochs = 0.0;   ///< samples trained on / training samples
  bool reached = false;  ///< the target; then steps and epochs are those it took
  std::int64_t planned_bytes = 0;
  std::string weights_sha256;
  std::string device;
  std::optional<Measurements> measured;
  // Of this machine on that day.
  double seconds = kUnknown;
  double training_seconds = kUnknown;  ///< weight updates alone
  double samples_per_second = kUnknown;
  std::int64_t peak_bytes = 0;
  double utilization = kUnknown;  ///< of the device, 0 to 1
};

/// One setting: everything but the seed.
struct SweepCell {
  int index = 0;     ///< from 1, the place in the sweep
  std::string name;  ///< what is not the same in all cells: "batch 32, sgd, rate 0.1"
  std::vector<std::pair<std::string, std::string>> settings;  ///< the same, by heading and value
  /// The settings without the batch size and what is searched or tried as a learning rate; cells
  /// that share it are compared. Empty where there is nothing else.
  std::string group;
  std::int64_t batch_size = 0;
  std::string optimizer;
  std::string rule;            ///< none | linear | sqrt
  double learning_rate = 0.0;  ///< the peak that the rule gives at this batch size
  std::vector<SweepRun> runs;  ///< one a seed, in the same order in every cell
  // Over the runs that are done; one that diverged counts as a failure to reach the target and has
  // no part in means.
  std::int64_t done = 0, diverged = 0, reached = 0;
  Estimate train_loss, validation_loss, validation_accuracy, test_loss, test_accuracy, accuracy_gap;
  Estimate steps_to_target, epochs_to_target, seconds_to_target;  ///< of the runs that reached it
  Estimate training_seconds, samples_per_second;
  Estimate noise_scale, sharpness;  ///< means over seeds; sharpness: full space, first epsilon
};

/// What cells are compared by.
inline constexpr std::string_view kStepsToTargetMeasure =
    "steps to target";  ///< by their logarithms
inline constexpr std::string_view kTestAccuracyMeasure = "test accuracy";
inline constexpr std::string_view kValidationAccuracyMeasure = "validation accuracy";

/// Two cells over the same seeds.
struct CellComparison {
  int first = 0, second = 0;  ///< indices of cells, from 1
  std::string measure;        ///< one of the three above
  PairedComparison result;
  double adjusted_p = kUnknown;  ///< Holm's, over all comparisons of the sweep
  bool differs = false;          ///< adjusted_p below 0.05
  std::string sentence;          ///< "batch 512 is below batch 32 by 1.2 +- 0.3 points ..."
};

struct SweepResults {
  std::string name;         ///< of the experiment
  std::string compared_at;  ///< "5 epochs", "500 updates", "60 seconds", "until ... at most ..."
  std::string until;        ///< the target; empty: none
  std::string resolution;   ///< "the target is looked for every 128 samples to 1 epoch"
  bool searched = false;    ///< cells are trials of a search over learning rates
  std::string command;      ///< that repeats it
  std::string version, device, hardware, precision, numerics;
  std::vector<std::uint64_t> seeds;
  std::int64_t training_samples = 0, parameters = 0;
  std::vector<SweepCell> cells;
  /// Per batch size and combination of everything else but the learning rate, the index of the cell
  /// that did best: fewest steps to the target, or without one the highest validation accuracy (or
  /// else test accuracy). In order of the batch size.
  std::vector<int> best_cells;
  std::vector<std::string> notes;  ///< such as a best rate at the edge of the search
  std::vector<CellComparison> comparisons;
  /// Planned bytes of a run and of inference by batch size; the most of any cell of that size.
  struct PlannedBytes {
    std::int64_t batch_size = 0;
    std::int64_t training = 0, inference = 0;
  };
  std::vector<PlannedBytes> planned;
  std::int64_t memory_bytes = 0;        ///< that the device had free, or the budget; 0: unknown
  std::int64_t largest_batch_size = 0;  ///< that fits in it; 0: unknown

  [[nodiscard]] std::int64_t runs_done() const;  ///< ended, diverged ones too
  [[nodiscard]] std::int64_t runs_asked() const;
};

}  // namespace batchwise
