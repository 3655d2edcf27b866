#include "kernels/cpu/thread_team.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>

namespace batchwise::cpu {
namespace {

constexpr int kGenerationShift = 32;
constexpr std::uint64_t kIndexMask = 0xFFFFFFFFu;

/// Looks at a shared variable before sleeping, or yielding: about 100 microseconds, longer than
/// what lies between two regions of a training step.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int default_threads() {
  if (const char* setting = std::getenv("OMP_NUM_THREADS")) {
    const int threads = std::atoi(setting);
    if (threads > 0) return threads;
  }
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

ThreadTeam& ThreadTeam::instance() {
  static ThreadTeam team(default_threads());
  return team;
}

ThreadTeam::ThreadTeam(int threads) { start(threads); }
ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::set_threads(int threads) {
  const std::lock_guard region(in_region_);
  stop();
  start(std::max(1, threads));
}

void ThreadTeam::start(int threads) {
  stopping_ = false;
  for (int worker = 1; worker < threads; ++worker) {
    workers_.emplace_back([this] { work(); });
  }
}

void ThreadTeam::stop() {
  stopping_ = true;
  state_ = (state_ & ~kIndexMask) + (std::uint64_t{1} << kGenerationShift) + kIndexMask;
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadTeam::run(std::int64_t count, Task task, void* context) {
  std::unique_lock region(in_region_, std::try_to_lock);
  if (!region.owns_lock() || workers_.empty()) {
    for (std::int64_t index = 0; index < count; ++index) task(context, index);
    return;
  }
  // A worker may still hold the state of the last region. Closing it first (no index is left to
  // claim) keeps such a worker from claiming an index of that region with the fields of this one.
  const std::uint64_t generation = ((state_.load() >> kGenerationShift) + 2) & kIndexMask;
  state_.store(((generation - 1) << kGenerationShift) | kIndexMask);  // generations wrap around
  count_.store(count, std::memory_order_relaxed);
  task_.store(task, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  state_.store(generation << kGenerationShift);
  if (sleeping_.load() > 0) state_.notify_all();
  do_tasks(generation);
  for (int spins = 0; done_.load(std::memory_order_acquire) < count; ++spins) {
    pause();
    if (spins >= kSpins) std::this_thread::yield();
  }
}

void ThreadTeam::do_tasks(std::uint64_t generation) {
  std::uint64_t state = state_.load(std::memory_order_acquire);
  while (state >> kGenerationShift == generation) {
    const auto index = static_cast<std::int64_t>(state & kIndexMask);
    if (index >= count_.load(std::memory_order_relaxed)) return;
    const Task task = task_.load(std::memory_order_relaxed);
    void* const context = context_.load(std::memory_order_relaxed);
    // Succeeds only if no later region has begun, so that the fields read are this region's.
    if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      continue;
    }
    task(context, index);
    done_.fetch_add(1, std::memory_order_release);
    state = state_.load(std::memory_order_acquire);
  }
}

std::uint64_t ThreadTeam::await_generation_after(std::uint64_t generation) {
  for (int spins = 0;; ++spins) {
    const std::uint64_t state = state_.load(std::memory_order_acquire);
    if (state >> kGenerationShift != generation) return state >> kGenerationShift;
    if (spins < kSpins) {
      pause();
      continue;
    }
    // Counted before waiting: a caller that does not see the count has changed the state already.
    ++sleeping_;
    state_.wait(state);
    --sleeping_;
    spins = 0;
  }
}

void ThreadTeam::work() {
  std::uint64_t generation = state_.load() >> kGenerationShift;
  while (!stopping_.load()) {
    do_tasks(generation);
    generation = await_generation_after(generation);
  }
}

}  // namespace batchwise::cpu
