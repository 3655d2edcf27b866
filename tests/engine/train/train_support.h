// Training runs in code and what they leave, for the tests of training.
#pragma once

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/train/trainer.h"
#include "tests/engine/small_runs.h"

namespace batchwise::testing_support {

/// Notes what a trainer tells.
class Listener final : public TrainingObserver {
 public:
  void on_step(const Progress& progress, double loss) override {
    step = progress.step;
    losses.push_back(loss);
  }
  void on_epoch(const Progress&, double train_loss, double,
                const std::optional<SplitResult>& validation) override {
    train_losses.push_back(train_loss);
    validations.push_back(validation);
  }
  void on_note(const std::string& note) override { notes.push_back(note); }

  std::int64_t step = 0;
  std::vector<double> losses;
  std::vector<double> train_losses;
  std::vector<std::optional<SplitResult>> validations;
  std::vector<std::string> notes;
};

/// Trains without a run folder.
inline TrainingSummary train(const Experiment& experiment, const Dataset& dataset,
                             Listener* listener = nullptr) {
  Session session(experiment, dataset);
  return Trainer(session, nullptr, {.observer = listener, .interrupted = {}}).run();
}

inline TrainingSummary train(const Experiment& experiment) {
  return train(experiment, data_of(experiment));
}

/// Begins the run in `folder`, or continues it where the folder exists; with stop_after, interrupts
/// it after that step, which throws Interrupted.
inline TrainingSummary train_in(const std::filesystem::path& folder, const Experiment& experiment,
                                std::int64_t stop_after = 0, Listener* listener = nullptr) {
  const bool resumes = std::filesystem::exists(folder);
  Session session(experiment, data_of(experiment));
  const RunFolder run = resumes ? RunFolder::open(folder)
                                : RunFolder::create(folder, session.experiment(), {}, false);
  Listener own;
  Listener* const heard = listener == nullptr ? &own : listener;
  Trainer trainer(session, &run, {.observer = heard, .interrupted = [&] {
                                    return stop_after > 0 && heard->step == stop_after ? SIGINT : 0;
                                  }});
  if (resumes) trainer.restore();
  return trainer.run();
}

[[nodiscard]] inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The lines of metrics.jsonl.
[[nodiscard]] inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& folder) {
  std::vector<nlohmann::json> lines;
  std::ifstream stream(folder / "metrics.jsonl");
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// The same without what is measured, which no two runs share.
[[nodiscard]] inline std::vector<nlohmann::json> timeless_metrics_of(
    const std::filesystem::path& folder) {
  std::vector<nlohmann::json> lines = metrics_of(folder);
  for (nlohmann::json& line : lines) {
    line.erase("seconds");
    line.erase("samples_per_second");
    line.erase("device_memory_bytes");
    line.erase("device_utilization");
  }
  return lines;
}

[[nodiscard]] inline std::vector<nlohmann::json> metrics_of_kind(
    const std::filesystem::path& folder, const std::string& kind) {
  std::vector<nlohmann::json> chosen;
  for (nlohmann::json& line : metrics_of(folder)) {
    if (line.at("kind") == kind) chosen.push_back(std::move(line));
  }
  return chosen;
}

}  // namespace batchwise::testing_support
