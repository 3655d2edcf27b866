#include "engine/analysis/measurements.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/analysis/batchnorm_noise.h"
#include "engine/analysis/gradient_statistics.h"
#include "engine/analysis/hessian.h"
#include "engine/analysis/loss_surface.h"
#include "engine/analysis/sharpness.h"
#include "engine/train/inference.h"
#include "engine/train/trainer.h"

namespace batchwise {
namespace {

/// One measure_run.
class Measuring {
 public:
  Measuring(const RunFolder& folder, const Dataset& dataset,
            const std::function<void(const std::string&)>& note,
            const std::function<int()>& interrupted)
      : folder_(folder),
        dataset_(dataset),
        note_(note),
        interrupted_(interrupted),
        before_each_([this] { check_interrupted(); }) {}

  Measurements run() {
    read_noise();
    run_.experiment = folder_.experiment();
    const MeasureConfig& asked = run_.experiment.measure;
    if (!asked.gradients && !asked.sharpness && !asked.hessian && !asked.batchnorm) return result_;
    run_.stored = folder_.read_weights();
    const std::int64_t part = training_samples();
    result_.samples = asked.samples > 0 ? std::min(asked.samples, part) : part;
    samples_ = slice(dataset_.train, 0, result_.samples);
    if (asked.gradients) {
      begin("gradients by batch size");
      result_.gradients = study_gradients(run_, samples_, seed(), before_each_);
    }
    if (asked.sharpness || asked.hessian) measure_surface();
    if (asked.batchnorm && has_batch_statistics(run_.experiment)) measure_batchnorm();
    return result_;
  }

 private:
  [[nodiscard]] std::uint64_t seed() const { return run_.experiment.seed; }
  [[nodiscard]] std::int64_t training_samples() const {
    return training_part(dataset_.train.count, run_.experiment.data.validation_split);
  }

  void check_interrupted() const {
    const int number = interrupted_ ? interrupted_() : 0;
    if (number != 0) {
      throw Interrupted(number, fmt::format("stopped by signal {} while measuring {}", number,
                                            folder_.path().string()));
    }
  }

  void begin(const std::string& what) const {
    check_interrupted();
    if (note_) note_("measuring " + what);
  }

  void read_noise() {
    const std::vector<GradientNorms> norms = read_gradient_norms(folder_.metrics_file());
    if (norms.empty()) return;
    result_.noise_scale = noise_scale(norms);
    result_.noise_over_training = noise_scale_over_training(norms);
  }

  void measure_surface() {
    LossSurface surface(run_, samples_);
    surface.before_each(before_each_);
    if (run_.experiment.measure.sharpness) {
      begin("sharpness");
      result_.sharpness = measure_sharpness(surface, {.seed = seed()});
    }
    if (run_.experiment.measure.hessian) {
      begin("the Hessian's largest eigenvalue");
      result_.hessian = largest_eigenvalue(surface, seed());
    }
  }

  void measure_batchnorm() {
    begin("BatchNorm's statistics by batch size");
    result_.batchnorm = batchnorm_noise(run_, samples_, seed(), before_each_);
    begin("accuracy with batch statistics");
    const std::int64_t kept = training_samples();
    if (dataset_.test && dataset_.test->count > 0) {
      result_.batchnorm_accuracy_split = "test";
      result_.batchnorm_accuracy = batchnorm_accuracy(run_, *dataset_.test, seed(), before_each_);
    } else if (kept < dataset_.train.count) {
      result_.batchnorm_accuracy_split = "validation";
      const Samples validation = slice(dataset_.train, kept, dataset_.train.count - kept);
      result_.batchnorm_accuracy = batchnorm_accuracy(run_, validation, seed(), before_each_);
    } else {
      result_.batchnorm_accuracy_split = "train";
      result_.batchnorm_accuracy = batchnorm_accuracy(run_, samples_, seed(), before_each_);
    }
  }

  const RunFolder& folder_;
  const Dataset& dataset_;
  const std::function<void(const std::string&)>& note_;
  const std::function<int()>& interrupted_;
  std::function<void()> before_each_;
  MeasuredRun run_;
  Samples samples_;
  Measurements result_;
};

}  // namespace

Measurements measure_run(const RunFolder& folder, const Dataset& dataset,
                         const std::function<void(const std::string&)>& note,
                         const std::function<int()>& interrupted) {
  return Measuring(folder, dataset, note, interrupted).run();
}

}  // namespace batchwise
