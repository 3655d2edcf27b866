#include "engine/train/run_folder.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <numeric>
#include <sstream>
#include <tuple>

#include <toml++/toml.h>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/files/sha256.h"
#include "engine/model/experiment_file.h"
#include "engine/version.h"
#include "kernels/ops/reduction_order.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = ".batchwise-run";
/// Behind the name of a run folder that is being made: this and the process.
const std::string kPartial = ".partial-";

bool holds_marker(const fs::path& path) { return fs::exists(path / kMarker); }

std::string toml_string(const std::string& text) {
  std::ostringstream stream;
  stream << toml::value<std::string>(text);
  return stream.str();
}

std::string run_table(const std::string& name, const std::vector<DataFile>& data_files) {
  std::string text =
      fmt::format("\n[run]\nname = {}\nversion = \"{}\"\n", toml_string(name), version());
  for (const DataFile& file : data_files) {
    text += fmt::format("[[run.data]]\npath = {}\nsha256 = \"{}\"\n", toml_string(file.path),
                        file.sha256);
  }
  return text;
}

std::string normalization_json(const Normalization& normalization) {
  const char* kind = normalization.kind == Normalize::unit          ? "unit"
                     : normalization.kind == Normalize::standardize ? "standardize"
                                                                    : "none";
  return nlohmann::json{{"kind", kind},
                        {"channels", normalization.channels},
                        {"shift", normalization.shift},
                        {"divisor", normalization.divisor}}
      .dump();
}

InputError metadata_error(const fs::path& file, const char* key, std::string_view reason) {
  return InputError(
      fmt::format("{}: the \"{}\" in its metadata cannot be used: {}", file.string(), key, reason));
}

Normalize normalize_from(const std::string& kind, const fs::path& file) {
  if (kind == "unit") return Normalize::unit;
  if (kind == "standardize") return Normalize::standardize;
  if (kind == "none") return Normalize::none;
  throw metadata_error(file, "normalization", "unknown kind " + kind);
}

Normalization normalization_from(const std::string& text, std::int64_t elements,
                                 const fs::path& file) {
  Normalization normalization;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    normalization.kind = normalize_from(json.at("kind").get<std::string>(), file);
    json.at("channels").get_to(normalization.channels);
    json.at("shift").get_to(normalization.shift);
    json.at("divisor").get_to(normalization.divisor);
  } catch (const nlohmann::json::exception& error) {
    throw metadata_error(file, "normalization", error.what());
  }
  const std::int64_t channels = normalization.channels;
  const auto has_one_a_channel = [&](const std::vector<float>& values) {
    return static_cast<std::int64_t>(values.size()) == channels;
  };
  if (channels < 1 || elements % channels != 0 || !has_one_a_channel(normalization.shift) ||
      !has_one_a_channel(normalization.divisor)) {
    throw metadata_error(file, "normalization",
                         "its numbers are not one for each channel of a sample");
  }
  return normalization;
}

std::vector<std::int64_t> input_shape_from(const std::string& text, const fs::path& file) {
  std::vector<std::int64_t> shape;
  try {
    nlohmann::json::parse(text).get_to(shape);
  } catch (const nlohmann::json::exception& error) {
    throw metadata_error(file, "input_shape", error.what());
  }
  double elements = 1.0;
  bool positive = true;
  for (const std::int64_t extent : shape) {
    elements *= static_cast<double>(extent);
    positive = positive && extent >= 1;
  }
  if (shape.empty() || shape.size() > 3 || !positive || elements > 0x1p40) {
    throw metadata_error(file, "input_shape", "expected one to three positive extents");
  }
  return shape;
}

void check_reduction_order(const std::string& recorded, const fs::path& file) {
  const std::string own = std::to_string(ReductionOrder::kFormatVersion);
  if (recorded == own) return;
  throw metadata_error(file, "reduction_order",
                       fmt::format("found version {}, this program has {}", recorded, own));
}

/// Publishes `temporary` as `target`. A run that is there is moved aside before it is deleted, so
/// that a kill in the middle of that leaves no half of it, without its marker, under its name.
/// Without `overwrite` publishing fails where something has appeared meanwhile.
void replace_folder(const fs::path& temporary, const fs::path& target, bool overwrite) {
  fs::path aside = target;
  aside += fmt::format(".replaced-{}", getpid());
  const bool replaces = overwrite && fs::exists(fs::symlink_status(target));
  if (replaces) fs::rename(target, aside);
  try {
    publish_folder(temporary, target);
  } catch (const std::exception&) {
    std::error_code ignored;
    if (replaces) fs::rename(aside, target, ignored);
    throw;
  }
  if (replaces) fs::remove_all(aside);
}

/// Deletes the temporary folders that processes killed while they made `target` left behind.
void delete_leftovers(const fs::path& target) {
  const std::string beginning = target.filename().string() + kPartial;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(target.parent_path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(beginning)) continue;
    const std::string number = name.substr(beginning.size());
    const bool is_number = !number.empty() && number.size() < 10 &&
                           number.find_first_not_of("0123456789") == std::string::npos;
    if (is_number && kill(std::stoi(number), 0) != 0 && errno == ESRCH) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

}  // namespace

void RunFolder::check_creatable(const fs::path& path, bool overwrite) {
  if (!fs::exists(fs::symlink_status(path))) return;
  if (!overwrite) {
    throw InputError(fmt::format(
        "{} exists already; use --resume to continue that run, --overwrite to replace it, or "
        "another --out",
        path.string()));
  }
  if (!holds_marker(path)) {
    throw InputError(
        fmt::format("{} is not a run of batchwise (it holds no {}), so --overwrite leaves it "
                    "alone; use another "
                    "--out",
                    path.string(), kMarker));
  }
}

RunFolder RunFolder::create(const fs::path& path, const Experiment& experiment,
                            const std::vector<DataFile>& data_files, bool overwrite,
                            const Checkpoint* first) {
  check_creatable(path, overwrite);
  const fs::path final_path = fs::absolute(path).lexically_normal();
  fs::path temporary = final_path;
  if (!temporary.has_filename()) temporary = temporary.parent_path();
  const fs::path target = temporary;
  temporary += kPartial + std::to_string(getpid());
  try {
    fs::create_directories(target.parent_path());
    delete_leftovers(target);
    fs::remove_all(temporary);
    fs::create_directory(temporary);
    fs::create_directory(temporary / "checkpoints");
  } catch (const fs::filesystem_error& error) {
    throw InputError(fmt::format("the run folder {} cannot be made: {}", target.string(),
                                 error.code().message()));
  }
  try {
    write_durably(temporary / kMarker, "A run of batchwise; train --overwrite may replace it.\n");
    write_durably(temporary / "experiment.toml",
                  to_toml(experiment) + run_table(experiment.name, data_files));
    if (first != nullptr) CheckpointStore(temporary / "checkpoints").save(0, *first);
    replace_folder(temporary, target, overwrite);
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw InputError(
        fmt::format("the run folder {} cannot be made: {}", target.string(), error.what()));
  }
  return RunFolder(target);
}

RunFolder RunFolder::open(const fs::path& path) {
  if (!fs::is_directory(path)) {
    throw InputError(
        fmt::format("{} is not a folder; expected the folder of a run, as train --out "
                    "writes it",
                    path.string()));
  }
  if (!fs::exists(path / "experiment.toml")) {
    throw InputError(
        fmt::format("{} holds no experiment.toml; expected the folder of a run, as "
                    "train --out writes it",
                    path.string()));
  }
  return RunFolder(fs::absolute(path).lexically_normal());
}

RunFolder RunFolder::create_numbered(const Experiment& experiment,
                                     const std::vector<DataFile>& data_files,
                                     const Checkpoint* first) {
  while (true) {
    const fs::path path = default_path(experiment.name);
    try {
      return create(path, experiment, data_files, false, first);
    } catch (const InputError&) {
      if (!fs::exists(path)) throw;  // otherwise another process took the number meanwhile
    }
  }
}

fs::path RunFolder::default_path(const std::string& experiment) {
  for (int number = 1;; ++number) {
    fs::path path = fs::path("runs") / fmt::format("{}-{:03}", experiment, number);
    if (!fs::exists(path)) return path;
  }
}

Experiment RunFolder::experiment(std::span<const std::string> overrides) const {
  Experiment experiment = load_experiment(experiment_file(), overrides);
  const toml::table document = toml::parse_file(experiment_file().string());
  experiment.name = document["run"]["name"].value_or(experiment.name);
  return experiment;
}

void RunFolder::record_limits(const TrainingConfig& limits) const {
  Experiment recorded = experiment();
  const TrainingConfig& old = recorded.training;
  if (std::tie(old.epochs, old.max_steps, old.max_seconds) ==
      std::tie(limits.epochs, limits.max_steps, limits.max_seconds)) {
    return;
  }
  recorded.training.epochs = limits.epochs;
  recorded.training.max_steps = limits.max_steps;
  recorded.training.max_seconds = limits.max_seconds;
  write_durably(experiment_file(), to_toml(recorded) + run_table(recorded.name, data_files()));
}

std::vector<DataFile> RunFolder::data_files() const {
  std::vector<DataFile> files;
  const toml::table document = toml::parse_file(experiment_file().string());
  const toml::array* list = document["run"]["data"].as_array();
  if (list == nullptr) return files;
  for (const toml::node& node : *list) {
    const toml::table* entry = node.as_table();
    if (entry == nullptr) continue;
    files.push_back(
        {(*entry)["path"].value_or(std::string{}), (*entry)["sha256"].value_or(std::string{})});
  }
  return files;
}

void RunFolder::check_marker() const {
  if (holds_marker(path_)) return;
  throw InputError(
      fmt::format("{} is not a run of batchwise (it holds no {}), so it cannot be resumed",
                  path_.string(), kMarker));
}

void RunFolder::check_data_files() const {
  for (const DataFile& recorded : data_files()) {
    const std::string found = sha256_of_file(recorded.path);
    if (found == recorded.sha256) continue;
    throw InputError(fmt::format(
        "{} is not the file the run in {} began with: its SHA-256 is {}, expected {}; put the "
        "original back, or train anew",
        recorded.path, path_.string(), found, recorded.sha256));
  }
}

void RunFolder::write_weights(const StoredWeights& weights) const {
  write_safetensors(weights_file(), weights.tensors,
                    {{"normalization", normalization_json(weights.normalization)},
                     {"input_shape", nlohmann::json(weights.input_shape).dump()},
                     {"reduction_order", std::to_string(ReductionOrder::kFormatVersion)},
                     {"version", std::string(version())}});
}

RunFolder::StoredWeights RunFolder::read_weights() const {
  if (!fs::exists(weights_file())) {
    throw InputError(
        fmt::format("{} does not exist; the run has not finished: train --resume --out "
                    "{} finishes it",
                    weights_file().string(), path_.string()));
  }
  SafetensorsFile file = read_safetensors(weights_file());
  const auto metadata = [&](const char* key) -> const std::string& {
    const auto found = file.metadata.find(key);
    if (found != file.metadata.end()) return found->second;
    throw InputError(
        fmt::format("{} has no \"{}\" in its metadata; expected weights that train wrote",
                    weights_file().string(), key));
  };
  StoredWeights weights;
  check_reduction_order(metadata("reduction_order"), weights_file());
  weights.input_shape = input_shape_from(metadata("input_shape"), weights_file());
  const std::int64_t elements = std::accumulate(
      weights.input_shape.begin(), weights.input_shape.end(), std::int64_t{1}, std::multiplies<>());
  weights.normalization = normalization_from(metadata("normalization"), elements, weights_file());
  weights.tensors = std::move(file.tensors);
  return weights;
}

std::vector<DataFile> hash_files(const std::vector<std::string>& files) {
  std::vector<DataFile> hashed;
  for (const std::string& file : files) {
    hashed.push_back({fs::absolute(file).lexically_normal().string(), sha256_of_file(file)});
  }
  return hashed;
}

}  // namespace batchwise
