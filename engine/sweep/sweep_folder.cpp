// The folder of a sweep, and its plan as JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/model/experiment_file.h"
#include "engine/sweep/sweep_plan.h"
#include "engine/version.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kPlanFile = "sweep.json";

Json json_of(const PlannedCell& cell) {
  Json settings = Json::array();
  for (const auto& [heading, value] : cell.settings) settings.push_back({heading, value});
  return {{"index", cell.index}, {"name", cell.name},     {"settings", std::move(settings)},
          {"group", cell.group}, {"folder", cell.folder}, {"experiment", to_toml(cell.experiment)}};
}

PlannedCell cell_from(const Json& json, const std::string& experiment_name) {
  PlannedCell cell;
  json.at("index").get_to(cell.index);
  json.at("name").get_to(cell.name);
  for (const Json& setting : json.at("settings")) {
    cell.settings.emplace_back(setting.at(0).get<std::string>(), setting.at(1).get<std::string>());
  }
  json.at("group").get_to(cell.group);
  json.at("folder").get_to(cell.folder);
  cell.experiment =
      parse_experiment(json.at("experiment").get<std::string>(), experiment_name, "/", {});
  return cell;
}

bool is_sweep(const fs::path& path) { return fs::is_regular_file(path / kPlanFile); }

}  // namespace

std::string to_json(const SweepPlan& plan) {
  Json json{{"version", version()},
            {"name", plan.name},
            {"compared_at", plan.compared_at},
            {"until", plan.until},
            {"resolution", plan.resolution},
            {"command", plan.command},
            {"searched_keys", plan.searched_keys},
            {"seeds", plan.seeds},
            {"memory_bytes", plan.memory_bytes},
            {"largest_batch_size", plan.largest_batch_size},
            {"training_samples", plan.training_samples},
            {"parameters", plan.parameters},
            {"device", plan.device},
            {"device_name", plan.hardware}};
  Json planned = Json::array();
  for (const SweepResults::PlannedBytes& row : plan.planned) {
    planned.push_back({{"batch_size", row.batch_size},
                       {"training_bytes", row.training},
                       {"inference_bytes", row.inference}});
  }
  json["planned"] = std::move(planned);
  Json files = Json::array();
  for (const DataFile& file : plan.data_files) {
    files.push_back({{"path", file.path}, {"sha256", file.sha256}});
  }
  json["data_files"] = std::move(files);
  Json cells = Json::array();
  for (const PlannedCell& cell : plan.cells) cells.push_back(json_of(cell));
  json["cells"] = std::move(cells);
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

SweepPlan sweep_plan_from_json(std::string_view text, const std::string& label) {
  SweepPlan plan;
  try {
    const Json json = Json::parse(text);
    json.at("name").get_to(plan.name);
    json.at("compared_at").get_to(plan.compared_at);
    json.at("until").get_to(plan.until);
    json.at("resolution").get_to(plan.resolution);
    json.at("command").get_to(plan.command);
    json.at("searched_keys").get_to(plan.searched_keys);
    json.at("seeds").get_to(plan.seeds);
    json.at("memory_bytes").get_to(plan.memory_bytes);
    json.at("largest_batch_size").get_to(plan.largest_batch_size);
    json.at("training_samples").get_to(plan.training_samples);
    json.at("parameters").get_to(plan.parameters);
    json.at("device").get_to(plan.device);
    json.at("device_name").get_to(plan.hardware);
    for (const Json& row : json.at("planned")) {
      plan.planned.push_back({.batch_size = row.at("batch_size"),
                              .training = row.at("training_bytes"),
                              .inference = row.at("inference_bytes")});
    }
    for (const Json& file : json.at("data_files")) {
      plan.data_files.push_back({.path = file.at("path"), .sha256 = file.at("sha256")});
    }
    for (const Json& cell : json.at("cells")) plan.cells.push_back(cell_from(cell, plan.name));
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{} is no sweep's: {}", label, error.what()));
  }
  if (plan.cells.empty() || plan.seeds.empty()) {
    throw InputError(fmt::format("{} is no sweep's: it names no cell or no seed", label));
  }
  return plan;
}

void SweepFolder::check_creatable(const fs::path& path, bool overwrite) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(path, ignored))) return;
  if (!overwrite) {
    throw InputError(fmt::format(
        "--out {} exists already; sweep --resume continues a sweep, --overwrite replaces one",
        path.string()));
  }
  if (is_sweep(path)) return;
  throw InputError(fmt::format(
      "--overwrite replaces sweeps alone, and {} is none (it has no {}); choose another --out",
      path.string(), kPlanFile));
}

SweepFolder SweepFolder::create(const fs::path& path, const SweepPlan& plan, bool overwrite) {
  check_creatable(path, overwrite);
  const fs::path folder = fs::absolute(path).lexically_normal();
  // It appears whole, so that a killed sweep is one that can be continued or none at all.
  const fs::path partial =
      folder.parent_path() / fmt::format("{}.partial-{}", folder.filename().string(), getpid());
  std::error_code failed;
  fs::create_directories(partial / "cells", failed);
  if (failed) {
    throw InputError(fmt::format("{} cannot be made: {}", folder.string(), failed.message()));
  }
  write_durably(partial / kPlanFile, to_json(plan) + "\n");
  const fs::path replaced =
      folder.parent_path() / fmt::format("{}.replaced-{}", folder.filename().string(), getpid());
  std::error_code ignored;
  fs::rename(folder, replaced, ignored);
  publish_folder(partial, folder);
  fs::remove_all(replaced, ignored);
  return SweepFolder(folder);
}

SweepFolder SweepFolder::open(const fs::path& path) {
  if (!is_sweep(path)) {
    throw InputError(fmt::format("{} is no sweep (it has no {}); --out names the folder of one",
                                 path.string(), kPlanFile));
  }
  return SweepFolder(fs::absolute(path).lexically_normal());
}

fs::path SweepFolder::plan_file() const { return path_ / kPlanFile; }

SweepPlan SweepFolder::plan() const {
  const fs::path file = plan_file();
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw InputError(fmt::format("{} cannot be read", file.string()));
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  return sweep_plan_from_json(text, file.string());
}

fs::path SweepFolder::run_folder(const PlannedCell& cell, std::uint64_t seed) const {
  return path_ / "cells" / cell.folder / fmt::format("seed-{}", seed);
}

}  // namespace batchwise
