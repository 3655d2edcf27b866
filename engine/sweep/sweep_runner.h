// Runs a sweep: every cell with every seed, each a run folder of its own, on one device or several
// at once. What a run leaves on the disk is all the state there is, so a sweep that was killed goes
// on where it was.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/sweep/sweep_plan.h"
#include "engine/train/trainer.h"

namespace batchwise {

/// What a sweep tells while it runs, one call at a time, from any of its threads.
class SweepObserver {
 public:
  virtual ~SweepObserver() = default;
  struct Run {
    const PlannedCell* cell = nullptr;
    std::uint64_t seed = 0;
    std::string device;
  };
  virtual void on_begin(const Run&, bool /*resumed*/) {}
  virtual void on_progress(const Run&, const Progress&) {}
  virtual void on_note(const Run&, const std::string&) {}
  /// seconds: of this process for this run; 0 where it had ended before.
  virtual void on_end(const Run&, const SweepRun&, double /*seconds*/) {}
};

struct SweepOptions {
  std::vector<std::string> devices;  ///< one run at a time on each; empty: the experiment's
  SweepObserver* observer = nullptr;
  std::function<int()> interrupted;  ///< as TrainerOptions::interrupted
};

/// Data sets by experiment, the last few of them kept. Thread-safe.
class DatasetCache {
 public:
  [[nodiscard]] std::shared_ptr<const Dataset> operator()(const Experiment& experiment);

 private:
  struct Entry {
    DataConfig config;
    std::uint64_t seed = 0;
    std::shared_ptr<const Dataset> dataset;
  };
  std::mutex mutex_;
  std::deque<Entry> entries_;
};

/// Trains and measures what is not done yet, one seed of all cells after another, so that an
/// unfinished sweep has all cells. A run whose updates are not finite is recorded as diverged and
/// the sweep goes on. Throws Interrupted when asked to stop, after the runs in progress have
/// written their checkpoints; InputError where files of data or of a run are not those the sweep
/// began with; RunError where a run cannot go on, naming it.
void run_sweep(const SweepFolder& folder, const SweepPlan& plan, DatasetCache& data,
               const SweepOptions& options);

/// What a run's folder says of it.
[[nodiscard]] SweepRun read_run(const std::filesystem::path& folder, std::uint64_t seed);

/// What all the folders say: runs, cells, comparisons.
[[nodiscard]] SweepResults collect_results(const SweepFolder& folder, const SweepPlan& plan);

}  // namespace batchwise
