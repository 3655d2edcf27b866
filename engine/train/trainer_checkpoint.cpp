// What a trainer puts into a checkpoint and takes out of it.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "engine/train/trainer.h"

namespace batchwise {
namespace {

constexpr const char* kBestPrefix = "best/";
std::string slot_prefix(int slot) { return fmt::format("optimizer_{}/", slot); }

}  // namespace

Checkpoint make_checkpoint(const Session& session, const Progress& progress,
                           std::span<const std::byte> best_weights) {
  Checkpoint checkpoint;
  checkpoint.state = progress.to_json();
  checkpoint.tensors = download_tensors(session.weights());
  const auto add = [&](std::vector<TensorData> tensors) {
    std::move(tensors.begin(), tensors.end(), std::back_inserter(checkpoint.tensors));
  };
  for (int slot = 0; slot < session.optimizer_slots(); ++slot) {
    add(download_tensors(session.optimizer_slot(slot), slot_prefix(slot)));
  }
  if (!best_weights.empty()) {
    add(tensors_from_bytes(session.weights(), best_weights, kBestPrefix));
  }
  return checkpoint;
}

void Trainer::restore() {
  restored_ = true;
  if (!checkpoints_) return;
  const std::optional<CheckpointStore::Loaded> loaded = checkpoints_->load_newest();
  if (!loaded) return;
  if (options_.observer != nullptr) {
    for (const std::string& damage : loaded->damaged) options_.observer->on_note(damage);
  }
  const std::string source = loaded->file.string();
  const auto& tensors = loaded->checkpoint.tensors;
  const auto with_prefix = [&](const std::string& prefix) {
    std::vector<TensorData> chosen;
    for (const TensorData& tensor : tensors) {
      const bool prefixed = tensor.name.find('/') != std::string::npos;
      if (prefix.empty() ? !prefixed : tensor.name.starts_with(prefix)) chosen.push_back(tensor);
    }
    return chosen;
  };
  progress_ = Progress::from_json(loaded->checkpoint.state);
  if (progress_.batch_size != 0) use_batch_size();
  const ParameterArena weights = session_.weights();
  const std::vector<TensorData> best = with_prefix(kBestPrefix);
  if (!best.empty()) {
    upload_tensors(weights, best, source, kBestPrefix);
    best_weights_ = download_bytes(weights);
  }
  upload_tensors(weights, with_prefix(""), source);
  for (int slot = 0; slot < session_.optimizer_slots(); ++slot) {
    const std::string prefix = slot_prefix(slot);
    upload_tensors(session_.optimizer_slot(slot), with_prefix(prefix), source, prefix);
  }
  seconds_before_ = progress_.seconds;
}

}  // namespace batchwise
