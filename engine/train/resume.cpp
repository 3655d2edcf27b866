#include "engine/train/resume.h"

#include <fmt/format.h>

#include <sstream>

#include "engine/error.h"
#include "engine/model/experiment_file.h"
#include "engine/plan/fit.h"

namespace batchwise {
namespace {

/// 0 means no limit, for steps and seconds.
template <class T>
void check_raised(const char* key, T recorded, T asked, bool zero_is_unlimited) {
  const bool unlimited = zero_is_unlimited && asked == T{0};
  const bool was_unlimited = zero_is_unlimited && recorded == T{0};
  if (unlimited || (!was_unlimited && asked >= recorded)) return;
  throw InputError(fmt::format(
      "--resume: training.{} = {} is below the run's {}; a limit can only be raised", key, asked,
      was_unlimited ? std::string("unlimited") : fmt::format("{}", recorded)));
}

/// Compares the two as files, line by line; `message` has a place for what differs.
void refuse_difference(const Experiment& recorded, const Experiment& allowed,
                       fmt::format_string<std::string> message) {
  std::istringstream before(to_toml(recorded));
  std::istringstream after(to_toml(allowed));
  std::string was;
  std::string is;
  while (std::getline(before, was) && std::getline(after, is)) {
    if (was == is) continue;
    throw InputError(fmt::format(message, fmt::format("it has \"{}\", asked was \"{}\"", was, is)));
  }
}

}  // namespace

void check_resume_changes(const Experiment& recorded, const Experiment& asked) {
  check_raised("epochs", recorded.training.epochs, asked.training.epochs, false);
  check_raised("max_steps", recorded.training.max_steps, asked.training.max_steps, true);
  check_raised("max_seconds", recorded.training.max_seconds, asked.training.max_seconds, true);
  Experiment allowed = asked;
  allowed.training.epochs = recorded.training.epochs;
  allowed.training.max_steps = recorded.training.max_steps;
  allowed.training.max_seconds = recorded.training.max_seconds;
  allowed.training.checkpoint_seconds = recorded.training.checkpoint_seconds;
  allowed.device = recorded.device;
  allowed.training.checkpoint = recorded.training.checkpoint;
  allowed.training.offload_activations = recorded.training.offload_activations;
  const bool free = splits_freely(recorded);
  if (free) allowed.training.micro_batch_size = recorded.training.micro_batch_size;
  // The budget decides how large passes are where they are "auto".
  if (free || recorded.training.micro_batch_size != kAutomatic) {
    allowed.training.memory_budget = recorded.training.memory_budget;
  }
  refuse_difference(
      recorded, allowed,
      "--resume continues the run as it is: {}; only epochs, max_steps and max_seconds may be "
      "raised, and the device and the use of its memory changed. Train anew for other settings");
}

Experiment for_inference(const Experiment& recorded, Experiment asked) {
  asked.seed = recorded.seed;
  Experiment allowed = asked;
  allowed.device = recorded.device;
  allowed.data.path = recorded.data.path;
  allowed.data.train = recorded.data.train;
  allowed.data.test = recorded.data.test;
  allowed.training.batch_size = recorded.training.batch_size;
  allowed.training.micro_batch_size = recorded.training.micro_batch_size;
  refuse_difference(
      recorded, allowed,
      "the run is used as it was trained: {}; only where its data lie, the device and "
      "the batch size may differ");
  return asked;
}

}  // namespace batchwise
