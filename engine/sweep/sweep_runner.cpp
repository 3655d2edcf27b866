#include "engine/sweep/sweep_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/analysis/measurements.h"
#include "engine/data/load.h"
#include "engine/error.h"
#include "engine/files/file_descriptor.h"
#include "engine/stopwatch.h"
#include "engine/sweep/run_record.h"

namespace batchwise {
namespace {

/// The order of the runs, handed out to the devices one by one.
class Queue {
 public:
  explicit Queue(const SweepPlan& plan) : plan_(plan) {}

  /// The next run, or one without a cell.
  [[nodiscard]] SweepObserver::Run next() {
    const std::size_t index = next_.fetch_add(1);
    if (index >= plan_.cells.size() * plan_.seeds.size()) return {};
    return {.cell = &plan_.cells[index % plan_.cells.size()],
            .seed = plan_.seeds[index / plan_.cells.size()],
            .device = {}};
  }

 private:
  const SweepPlan& plan_;
  std::atomic<std::size_t> next_ = 0;
};

class Runner {
 public:
  Runner(const SweepFolder& folder, const SweepPlan& plan, DatasetCache& data,
         const SweepOptions& options)
      : folder_(folder), queue_(plan), data_(data), options_(options) {}

  /// Runs on a device until there is no more, or something stops the sweep. Never throws.
  void work(const std::string& device) noexcept {
    try {
      while (!stopped_) {
        SweepObserver::Run run = queue_.next();
        if (run.cell == nullptr) return;
        run.device = device;
        work_on(run);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stopped_ = true;
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  template <class Call>
  void tell(Call&& call) {
    if (options_.observer == nullptr) return;
    const std::lock_guard lock(mutex_);
    call(*options_.observer);
  }

  /// Asked by trainers: also where another device's run has failed.
  [[nodiscard]] int interrupted() const {
    const int signal = options_.interrupted ? options_.interrupted() : 0;
    return signal == 0 && stopped_ ? SIGTERM : signal;
  }

  void work_on(const SweepObserver::Run& run) {
    const Stopwatch stopwatch;
    const std::filesystem::path path = folder_.run_folder(*run.cell, run.seed);
    const bool ended_before = has_ended(path);
    if (!ended_before) {
      try {
        train_and_measure(run, path);
      } catch (const Interrupted&) {
        throw;
      } catch (const InputError& error) {
        throw InputError(fmt::format("{}: {}", path.string(), error.what()));
      } catch (const RunError& error) {
        throw RunError(fmt::format("{}: {}", path.string(), error.what()));
      }
    }
    const SweepRun result = read_run(path, run.seed);
    const double seconds = ended_before ? 0.0 : stopwatch.seconds();
    tell([&](SweepObserver& observer) { observer.on_end(run, result, seconds); });
  }

  void train_and_measure(const SweepObserver::Run& run, const std::filesystem::path& path) {
    const bool resumed = std::filesystem::exists(path);
    tell([&](SweepObserver& observer) { observer.on_begin(run, resumed); });
    Experiment experiment = run.cell->experiment;
    experiment.seed = run.seed;
    if (!run.device.empty()) experiment.device = run.device;
    const std::shared_ptr<const Dataset> dataset = data_(experiment);
    if (!has_summary(path)) {
      try {
        train(run, path, experiment, *dataset, resumed);
      } catch (const Diverged& diverged) {
        record_divergence(path, diverged.what());
        return;
      }
    }
    measure(run, path, *dataset);
  }

  /// Of each file once a sweep.
  std::vector<DataFile> hashed(const Dataset& dataset) {
    const std::lock_guard lock(hash_mutex_);
    std::vector<DataFile> files;
    for (const std::string& path : dataset.files()) {
      auto found = hashes_.find(path);
      if (found == hashes_.end()) found = hashes_.emplace(path, hash_files({path}).front()).first;
      files.push_back(found->second);
    }
    return files;
  }

  void train(const SweepObserver::Run& run, const std::filesystem::path& path,
             const Experiment& experiment, const Dataset& dataset, bool resumed) {
    class Listener final : public TrainingObserver {
     public:
      Listener(Runner& runner, const SweepObserver::Run& run) : runner_(runner), run_(run) {}
      void on_step(const Progress& progress, double) override {
        runner_.tell([&](SweepObserver& observer) { observer.on_progress(run_, progress); });
      }
      void on_note(const std::string& note) override {
        runner_.tell([&](SweepObserver& observer) { observer.on_note(run_, note); });
      }

     private:
      Runner& runner_;
      const SweepObserver::Run& run_;
    };
    Session session(experiment, dataset);
    std::filesystem::create_directories(path.parent_path());
    const RunFolder folder =
        resumed ? RunFolder::open(path)
                : RunFolder::create(path, session.experiment(), hashed(dataset), false);
    Listener listener(*this, run);
    Trainer trainer(session, &folder,
                    {.observer = &listener, .interrupted = [this] { return interrupted(); }});
    if (resumed) trainer.restore();
    (void)trainer.run();
  }

  void measure(const SweepObserver::Run& run, const std::filesystem::path& path,
               const Dataset& dataset) {
    const auto note = [&](const std::string& text) {
      tell([&](SweepObserver& observer) { observer.on_note(run, text); });
    };
    (void)measure_and_record(RunFolder::open(path), dataset, note,
                             [this] { return interrupted(); });
  }

  const SweepFolder& folder_;
  Queue queue_;
  DatasetCache& data_;
  const SweepOptions& options_;
  std::mutex hash_mutex_;
  std::map<std::string, DataFile> hashes_;
  std::mutex mutex_;  ///< of what follows, and of the observer
  std::atomic<bool> stopped_ = false;
  std::exception_ptr error_;
};

/// Two processes would train into the same run folders. The system lets go of the lock when the
/// process ends, however it ends.
FileDescriptor locked(const SweepFolder& folder) {
  const std::filesystem::path file = folder.plan_file();
  FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.valid() && ::flock(descriptor.value(), LOCK_EX | LOCK_NB) != 0 &&
      errno == EWOULDBLOCK) {
    throw InputError(fmt::format("{} is being run by another process; wait for it or stop it",
                                 folder.path().string()));
  }
  return descriptor;
}

void check_data(const SweepPlan& plan) {
  for (const DataFile& file : plan.data_files) {
    const std::vector<DataFile> now = hash_files({file.path});
    if (now.front().sha256 == file.sha256) continue;
    throw InputError(
        fmt::format("{} is not the file the sweep began with (its SHA-256 is {}, was {}); put it "
                    "back, or begin another sweep",
                    file.path, now.front().sha256, file.sha256));
  }
}

}  // namespace

std::shared_ptr<const Dataset> DatasetCache::operator()(const Experiment& experiment) {
  const std::lock_guard lock(mutex_);
  const bool drawn = experiment.data.kind == DataKind::builtin;
  const std::uint64_t seed = drawn ? experiment.seed : 0;
  for (const Entry& entry : entries_) {
    if (entry.seed == seed && entry.config == experiment.data) return entry.dataset;
  }
  constexpr std::size_t kMostKept = 4;
  if (entries_.size() == kMostKept) entries_.pop_front();
  entries_.push_back(
      {experiment.data, seed,
       std::make_shared<const Dataset>(load_dataset(experiment.data, experiment.seed))});
  return entries_.back().dataset;
}

void run_sweep(const SweepFolder& folder, const SweepPlan& plan, DatasetCache& data,
               const SweepOptions& options) {
  const FileDescriptor lock = locked(folder);
  check_data(plan);
  Runner runner(folder, plan, data, options);
  const std::vector<std::string> devices =
      options.devices.empty() ? std::vector<std::string>{""} : options.devices;
  std::vector<std::thread> others;
  for (std::size_t index = 1; index < devices.size(); ++index) {
    others.emplace_back([&, index] { runner.work(devices[index]); });
  }
  runner.work(devices.front());
  for (std::thread& other : others) other.join();
  runner.rethrow();
}

}  // namespace batchwise
