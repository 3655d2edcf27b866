// The threads that kernels of the cpu backend share. A region of work is a number of tasks that the
// calling thread and the workers claim one by one, so that a worker that the system has not woken
// or has suspended delays nothing but the task it holds.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace batchwise::cpu {

class ThreadTeam {
 public:
  using Task = void (*)(void* context, std::int64_t index);

  /// The one team of the process. Starts with OMP_NUM_THREADS threads where that variable is set,
  /// else with as many as the process may run on.
  [[nodiscard]] static ThreadTeam& instance();

  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  ~ThreadTeam();

  /// Counting the calling thread. At least 1.
  [[nodiscard]] int threads() const { return static_cast<int>(workers_.size()) + 1; }
  /// Not while kernels run.
  void set_threads(int threads);

  /// Calls task(context, index) once for each index in [0, count), on any of the threads, and
  /// returns when all are done. Tasks must not throw and must not call run(). Where another thread
  /// is in a region already, the caller does all tasks itself.
  void run(std::int64_t count, Task task, void* context);

 private:
  explicit ThreadTeam(int threads);

  void start(int threads);
  void stop();
  void work();
  void do_tasks(std::uint64_t generation);
  [[nodiscard]] std::uint64_t await_generation_after(std::uint64_t generation);

  std::vector<std::thread> workers_;
  std::mutex in_region_;
  // generation << 32 | the next unclaimed index. What follows belongs to that generation.
  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::atomic<std::int64_t> count_{0};
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  alignas(64) std::atomic<std::int64_t> done_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace batchwise::cpu
