#include "engine/train/resume.h"

#include <fmt/format.h>

#include <sstream>

#include "engine/error.h"
#include "engine/model/experiment_file.h"

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
  std::istringstream before(to_toml(recorded));
  std::istringstream after(to_toml(allowed));
  std::string was;
  std::string is;
  while (std::getline(before, was) && std::getline(after, is)) {
    if (was == is) continue;
    throw InputError(fmt::format(
        "--resume continues the run as it is: it has \"{}\", asked was \"{}\"; only epochs, "
        "max_steps and max_seconds may be raised. Train anew for other settings",
        was, is));
  }
}

}  // namespace batchwise
