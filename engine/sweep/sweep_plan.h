// A sweep before its first run: what was asked, and the cells that it comes to. The plan is all
// that a sweep folder needs to be continued (sweep.json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"
#include "engine/sweep/sweep_results.h"
#include "engine/train/run_folder.h"

namespace batchwise {

/// A key of the experiment file with several values, as text of the file ("0.9", "\"sgd\"").
struct SweptKey {
  std::string key;
  std::vector<std::string> values;
};

/// A key that is drawn log-uniformly from [low, high].
struct SearchedKey {
  std::string key;
  double low = 0.0, high = 0.0;
};

/// What all runs have in common.
enum class ComparedAt { experiment, epochs, updates, seconds };

struct SweepRequest {
  std::string experiment_text;        ///< of the file
  std::string name;                   ///< of the experiment
  std::filesystem::path base_folder;  ///< of the file
  std::vector<std::string> overrides;
  // The grid; an empty list leaves the file's own value.
  std::vector<std::int64_t> batch_sizes;
  std::vector<std::string> optimizers;
  std::vector<double> learning_rates;
  std::vector<std::string> rules;  ///< of optimizer.learning_rate_scaling
  std::vector<double> warmup_epochs;
  std::vector<SweptKey> keys;
  // A search in place of a grid over the learning rate: so many quasi-random trials for every
  // combination of the above, the same ones for each.
  std::int64_t trials = 0;
  std::vector<SearchedKey> searched;
  std::vector<std::uint64_t> seeds{0, 1, 2};
  ComparedAt compared_at = ComparedAt::experiment;
  double amount = 0.0;                      ///< epochs, updates or seconds
  std::optional<std::string> until;         ///< as training.until; nothing: as the file says
  std::int64_t validate_every_samples = 0;  ///< 0: as the file says
  std::string command;                      ///< that repeats the sweep
};

struct PlannedCell {
  int index = 0;  ///< from 1
  std::string name;
  std::vector<std::pair<std::string, std::string>> settings;  ///< what is not the same in all cells
  std::string group;   ///< the settings without batch size and learning rate: cells to choose from
  std::string folder;  ///< its name in cells/
  Experiment experiment;
};

struct SweepPlan {
  std::string name;
  std::string compared_at;
  std::string until;  ///< empty: none
  std::string resolution;
  std::string command;
  std::vector<std::string> searched_keys;
  std::vector<std::uint64_t> seeds;
  std::vector<PlannedCell> cells;
  std::vector<DataFile> data_files;
  std::vector<SweepResults::PlannedBytes> planned;
  std::int64_t memory_bytes = 0;
  std::int64_t largest_batch_size = 0;
  std::int64_t training_samples = 0, parameters = 0;  ///< of the first cell
  std::string device, hardware;
};

/// Gives the data set of an experiment.
using DataSource = std::function<std::shared_ptr<const Dataset>(const Experiment&)>;

/// Every cell is planned against the memory there is; nothing is allocated. Throws InputError for
/// what is wrong with the request, an experiment or a plan, naming the cell.
[[nodiscard]] SweepPlan plan_sweep(const SweepRequest& request, const DataSource& data);

/// The quasi-random point `trial` (from 0) of a search over so many keys, each coordinate in
/// [0, 1): Halton's sequence (Halton 1960), shifted by `seed` modulo 1 (Cranley and Patterson
/// 1976).
[[nodiscard]] std::vector<double> search_point(std::int64_t trial, std::size_t keys,
                                               std::uint64_t seed);

/// The folder of a sweep: sweep.json, which is written last and makes it one, cells/<cell>/seed-<n>
/// (run folders), and what the results are written to.
class SweepFolder {
 public:
  /// InputError where there is something already, unless it is a sweep and `overwrite` is set.
  static SweepFolder create(const std::filesystem::path& path, const SweepPlan& plan,
                            bool overwrite);
  /// InputError where there is no sweep.
  static SweepFolder open(const std::filesystem::path& path);
  /// Throws InputError if `create` would, without touching anything.
  static void check_creatable(const std::filesystem::path& path, bool overwrite);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path plan_file() const;
  [[nodiscard]] SweepPlan plan() const;
  [[nodiscard]] std::filesystem::path run_folder(const PlannedCell& cell, std::uint64_t seed) const;

 private:
  explicit SweepFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

[[nodiscard]] std::string to_json(const SweepPlan& plan);
/// Throws InputError when the text is not such JSON; `label` names it.
[[nodiscard]] SweepPlan sweep_plan_from_json(std::string_view text, const std::string& label);

}  // namespace batchwise
