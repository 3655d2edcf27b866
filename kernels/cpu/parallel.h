// Splits loops over independent elements between the threads of the team. Never used along a
// reduction, so the number of threads cannot change a result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/thread_team.h"

namespace batchwise::cpu {

/// Nanoseconds of work, roughly, below which another thread costs more than it saves.
inline constexpr double kTaskNanoseconds = 6000;

/// Calls body(begin, end) for contiguous ranges that cover [0, count), each but the last a multiple
/// of `grain` long; on one thread where `nanoseconds`, the estimate for all of it, is small.
template <class Body>
void parallel_ranges(std::int64_t count, std::int64_t grain, double nanoseconds, Body&& body) {
  if (count <= 0) return;
  ThreadTeam& team = ThreadTeam::instance();
  const std::int64_t grains = (count + grain - 1) / grain;
  const std::int64_t worth = static_cast<std::int64_t>(nanoseconds / kTaskNanoseconds) + 1;
  // Two tasks a thread, so that the others take over what a late one leaves.
  const std::int64_t tasks = std::min({worth, grains, std::int64_t{2} * team.threads()});
  if (tasks <= 1 || team.threads() == 1) {
    body(std::int64_t{0}, count);
    return;
  }
  const auto do_task = [&](std::int64_t task) {
    const std::int64_t begin = grains * task / tasks * grain;
    const std::int64_t end = std::min(count, grains * (task + 1) / tasks * grain);
    if (begin < end) body(begin, end);
  };
  using DoTask = decltype(do_task);
  team.run(
      tasks, [](void* context, std::int64_t task) { (*static_cast<DoTask*>(context))(task); },
      const_cast<void*>(static_cast<const void*>(&do_task)));
}

}  // namespace batchwise::cpu
