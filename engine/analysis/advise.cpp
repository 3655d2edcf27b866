#include "engine/analysis/advise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/analysis/throughput.h"
#include "engine/error.h"
#include "engine/memory/free_memory.h"
#include "engine/stopwatch.h"
#include "engine/train/learning_rate.h"
#include "engine/train/trainer.h"

namespace batchwise {
namespace {

/// Of the whole time: what throughput may take, and all but what answering takes.
constexpr double kThroughputShare = 0.4;
constexpr double kMeasuringShare = 0.95;
/// Batch 1 says nothing of noise, and what "auto" stands for is asked for here.
constexpr std::int64_t kUsualBatch = 32;
/// So many measurements of the noise are enough.
constexpr std::int64_t kNoiseMeasurements = 500;

/// The experiment without what would end, change or slow a short training.
Experiment bare(const Experiment& experiment) {
  Experiment changed = experiment;
  changed.batch_schedule = {};
  TrainingConfig& training = changed.training;
  training.micro_batch_size = kAutomatic;
  training.until = "none";
  training.early_stopping = {};
  training.validate_every_steps = 0;
  training.max_steps = 0;
  training.max_seconds = 0.0;
  return changed;
}

std::int64_t memory_budget(const Experiment& experiment, const Backend& backend) {
  const std::int64_t free = backend_memory_budget(backend);
  const std::int64_t asked = experiment.training.memory_budget.count;
  return asked == 0 ? free : std::min(asked, free);
}

/// 8, 16, ...; from 1 where there are few samples.
std::vector<std::int64_t> usual_batch_sizes(std::int64_t largest) {
  constexpr std::int64_t kFew = 64;
  constexpr std::int64_t kSmallest = 8;
  constexpr std::int64_t kMost = 65536;
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = largest < kFew ? 1 : kSmallest; size <= std::min(largest, kMost);
       size *= 2) {
    sizes.push_back(size);
  }
  return sizes;
}

class NoiseListener final : public TrainingObserver {
 public:
  void on_step(const Progress& now, double) override { progress = now; }
  void on_gradient_norms(const GradientNorms& norms) override { measured.push_back(norms); }

  Progress progress;
  std::vector<GradientNorms> measured;
};

class Adviser {
 public:
  Adviser(const Experiment& experiment, const Dataset& dataset, const AdviceQuestion& question)
      : asked_(experiment), experiment_(bare(experiment)), question_(question) {
    dataset_.train = dataset.train;  // what tests is not needed
  }

  AdviceReport advise() {
    const RunFacts facts = examine(experiment_, dataset_);
    plan_memory(facts);
    measure_throughput(facts);
    find_base(facts);
    measure_noise(facts);
    report_.advice = advise_batch(report_.batches, report_.noise, report_.base);
    report_.seconds = spent();
    return std::move(report_);
  }

 private:
  [[nodiscard]] double spent() const { return question_.seconds_spent + stopwatch_.seconds(); }
  void note(const std::string& text) const {
    if (question_.note) question_.note(text);
  }

  void plan_memory(const RunFacts& facts) {
    const Backend& backend = find_backend(experiment_.device);
    report_.experiment = experiment_.name;
    report_.device = std::string(backend.name());
    report_.memory_budget_bytes = memory_budget(experiment_, backend);
    const DeviceFacts device = device_facts(backend, experiment_.numerics);
    const Fitting fit(facts.graph, experiment_, experiment_.training, facts.data, device,
                      report_.memory_budget_bytes);
    report_.largest_batch = fit.largest_batch();
    report_.largest_single_pass = largest_that(report_.largest_batch, [&](std::int64_t batch) {
      return fit.passes(batch).micro_batch_size == batch;
    });
    if (report_.largest_batch > 0) return;
    // A session says why.
    experiment_.training.batch_size = 0;
    const Session refused(experiment_, dataset_, SessionUse::plan_only);
    throw InputError("no batch size can be trained within the memory there is");
  }

  void measure_throughput(const RunFacts& facts) {
    std::vector<std::int64_t> sizes = question_.batch_sizes;
    if (sizes.empty()) sizes = usual_batch_sizes(report_.largest_batch);
    std::sort(sizes.begin(), sizes.end());
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
    note(fmt::format("seconds per update at {} batch sizes from {} to {}", sizes.size(),
                     sizes.front(), sizes.back()));
    const double budget = kThroughputShare * question_.within_seconds - spent();
    report_.batches = batchwise::measure_throughput(
        experiment_, dataset_, facts.data.training_samples,
        {.batch_sizes = sizes, .seconds = budget, .interrupted = question_.interrupted});
    const auto measured = [](const MeasuredBatch& each) { return each.refused.empty(); };
    if (std::any_of(report_.batches.begin(), report_.batches.end(), measured)) return;
    throw InputError(fmt::format("no batch size can be measured; batch {}: {}",
                                 report_.batches.front().batch_size,
                                 report_.batches.front().refused));
  }

  /// What the experiment's learning rate is of.
  void find_base(const RunFacts& facts) {
    BaseSetting& base = report_.base;
    base.optimizer = experiment_.optimizer.name;
    base.epochs = static_cast<double>(std::max<std::int64_t>(1, experiment_.training.epochs));
    base.batch_size = asked_.training.batch_size;
    if (base.batch_size == 0) {
      base.batch_size = std::min(kUsualBatch, facts.data.training_samples);
      report_.notes.push_back(fmt::format(
          "training.batch_size is \"auto\": the experiment's learning rate is taken as that of "
          "batch {}",
          base.batch_size));
    }
    experiment_.training.batch_size = base.batch_size;
    base.learning_rate = LearningRate(experiment_, 1).peak();
    if (experiment_.optimizer.learning_rate_scaling != LearningRateScaling::none) {
      report_.notes.push_back(
          "learning rates are those after optimizer.learning_rate_scaling; set it to \"none\" with "
          "the one advised");
    }
  }

  void measure_noise(const RunFacts& facts) {
    const std::int64_t samples = facts.data.training_samples;
    const std::int64_t batch = std::min(samples, report_.base.batch_size);
    report_.noise = summarize_noise({}, batch);
    if (batch < 2) {
      report_.noise.measurable = false;
      report_.notes.push_back(
          "batches of 1 say nothing of the noise scale; set --batch-size to 2 or more, with a "
          "learning rate for it");
      return;
    }
    const double budget = kMeasuringShare * question_.within_seconds - spent();
    if (budget <= 0.0) {
      report_.notes.push_back("no time was left to measure the noise scale; a longer --within");
      return;
    }
    note(fmt::format("noise scale, over a training of at most {:.0f} s at batch {}", budget,
                     report_.base.batch_size));
    Experiment trained = experiment_;
    trained.training.max_seconds = budget;
    trained.measure.noise_scale_every_steps = measuring_interval(samples, batch, budget);
    NoiseListener listener;
    try {
      Session session(trained, dataset_);
      if (!session.measures_gradients()) {
        report_.noise.measurable = false;
        report_.notes.push_back(
            "no noise scale: it is measured of networks that train dense layers alone, and "
            "BatchNorm by "
            "the batch couples the samples");
        return;
      }
      (void)Trainer(session, nullptr, {.observer = &listener, .interrupted = question_.interrupted})
          .run();
    } catch (const Diverged& diverged) {
      report_.notes.push_back(
          fmt::format("the short training at the experiment's own setting: {}", diverged.what()));
    }
    report_.noise = summarize_noise(listener.measured, batch);
    report_.noise.updates = listener.progress.step;
    report_.noise.epochs =
        static_cast<double>(listener.progress.trained_samples) / static_cast<double>(samples);
    note_coverage();
  }

  /// Updates between measurements, so that the training that there is time for has enough.
  [[nodiscard]] std::int64_t measuring_interval(std::int64_t samples, std::int64_t batch,
                                                double budget) const {
    double updates =
        report_.base.epochs * std::ceil(static_cast<double>(samples) / static_cast<double>(batch));
    for (const MeasuredBatch& each : report_.batches) {
      const bool first_as_large = each.refused.empty() && each.batch_size >= batch;
      if (!first_as_large) continue;
      updates = std::min(updates, budget / each.seconds().value);
      break;
    }
    const auto every = static_cast<std::int64_t>(updates) / kNoiseMeasurements;
    return std::clamp<std::int64_t>(every, 1, 10);
  }

  void note_coverage() {
    const double asked = report_.base.epochs;
    if (report_.noise.epochs >= 0.5 * asked) return;
    report_.notes.push_back(fmt::format(
        "the short training covers {:.2g} of {:g} epochs; the noise scale grows later, so that "
        "larger batches may be faster than is advised; a longer --within covers more",
        report_.noise.epochs, asked));
  }

  const Experiment& asked_;
  Experiment experiment_;
  Dataset dataset_;
  const AdviceQuestion& question_;
  Stopwatch stopwatch_;
  AdviceReport report_;
};

}  // namespace

AdviceReport advise(const Experiment& experiment, const Dataset& dataset,
                    const AdviceQuestion& question) {
  return Adviser(experiment, dataset, question).advise();
}

}  // namespace batchwise
