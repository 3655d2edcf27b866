#include "engine/sweep/run_record.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/error.h"
#include "engine/files/durable_file.h"
#include "engine/sweep/sweep_runner.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kDivergenceFile = "diverged.json";

std::optional<std::string> text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

/// null and what is not there: NaN.
double number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || !found->is_number() ? kUnknown : found->get<double>();
}

double first_known(double first, double second) { return std::isnan(first) ? second : first; }

void read_summary(const Json& summary, SweepRun& run) {
  run.train_loss = number(summary, "train_loss");
  run.train_accuracy = number(summary, "train_accuracy");
  run.validation_loss = number(summary, "validation_loss");
  run.validation_accuracy = number(summary, "validation_accuracy");
  run.test_loss = number(summary, "test_loss");
  run.test_accuracy = number(summary, "test_accuracy");
  run.loss_gap = first_known(run.test_loss, run.validation_loss) - run.train_loss;
  run.accuracy_gap = run.train_accuracy - first_known(run.test_accuracy, run.validation_accuracy);
  if (const auto classes = summary.find("classes"); classes != summary.end()) {
    for (const Json& each : *classes) {
      run.precision.push_back(number(each, "precision"));
      run.recall.push_back(number(each, "recall"));
    }
  }
  run.steps = summary.at("steps");
  run.epochs =
      summary.at("trained_samples").get<double>() / summary.at("training_samples").get<double>();
  if (const auto until = summary.find("until"); until != summary.end() && !until->is_null()) {
    run.reached = until->at("reached");
  }
  run.planned_bytes = summary.at("planned_bytes");
  run.weights_sha256 = summary.at("weights_sha256");
  run.device = summary.at("device");
  run.seconds = number(summary, "seconds");
  run.training_seconds = number(summary, "training_seconds");
  run.samples_per_second = number(summary, "samples_per_second");
  run.peak_bytes = summary.at("peak_bytes");
}

/// The epoch of the lowest validation loss and the device's mean utilisation.
void read_epochs(const fs::path& metrics_file, SweepRun& run) {
  std::ifstream stream(metrics_file);
  double best = std::numeric_limits<double>::infinity();
  double utilization = 0.0;
  std::int64_t measured = 0;
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind(R"({"kind":"epoch")", 0) != 0) continue;
    const Json epoch = Json::parse(line, nullptr, false);
    if (epoch.is_discarded()) continue;
    const double loss = number(epoch, "validation_loss");
    if (loss < best) {
      best = loss;
      run.best_epoch = epoch.at("epoch");
    }
    const double used = number(epoch, "device_utilization");
    if (std::isnan(used)) continue;
    utilization += used;
    ++measured;
  }
  if (measured > 0) run.utilization = utilization / static_cast<double>(measured);
}

}  // namespace

bool has_summary(const fs::path& folder) { return fs::exists(folder / "summary.json"); }

bool has_ended(const fs::path& folder) {
  if (fs::exists(folder / kDivergenceFile)) return true;
  return has_summary(folder) && fs::exists(folder / kMeasurementsFile);
}

void record_divergence(const fs::path& folder, const std::string& message) {
  write_durably(
      folder / kDivergenceFile,
      Json{{"message", message}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

SweepRun read_run(const fs::path& folder, std::uint64_t seed) {
  SweepRun run;
  run.seed = seed;
  run.folder = folder;
  if (!has_ended(folder)) return run;
  try {
    if (const auto diverged = text_of(folder / kDivergenceFile)) {
      run.state = RunState::diverged;
      run.failure = Json::parse(*diverged).at("message");
      return run;
    }
    read_summary(Json::parse(text_of(folder / "summary.json").value()), run);
    run.measured = measurements_from_json(text_of(folder / kMeasurementsFile).value());
  } catch (const Json::exception& error) {
    throw InputError(folder.string() + " holds a file that cannot be read: " + error.what());
  }
  read_epochs(folder / "metrics.jsonl", run);
  run.state = RunState::done;
  return run;
}

}  // namespace batchwise
