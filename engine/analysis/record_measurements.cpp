// Measurements into a run's folder.
#include <fstream>
#include <iterator>

#include "engine/analysis/measurements.h"
#include "engine/files/durable_file.h"
#include "engine/report/run_report.h"
#include "engine/train/trainer.h"

namespace batchwise {

namespace {

/// What needs no weights.
Measurements noise_over_run(const RunFolder& folder) {
  Measurements measured;
  const std::vector<GradientNorms> norms = read_gradient_norms(folder.metrics_file());
  if (norms.empty()) return measured;
  measured.noise_scale = noise_scale(norms);
  measured.noise_over_training = noise_scale_over_training(norms);
  return measured;
}

}  // namespace

bool measures_weights(const MeasureConfig& measure) {
  return measure.gradients || measure.sharpness || measure.hessian || measure.batchnorm;
}

Measurements measure_and_record(const RunFolder& folder, const Dataset& dataset,
                                const std::function<void(const std::string&)>& note,
                                const std::function<int()>& interrupted) {
  Measurements measured;
  const auto give_up = [&](const std::string& why) {
    measured = noise_over_run(folder);
    measured.failure = why;
    if (note) note("not measured: " + why);
  };
  try {
    measured = measure_run(folder, dataset, note, interrupted);
  } catch (const Interrupted&) {
    throw;
  } catch (const RunError& error) {
    give_up(error.what());
  } catch (const InputError& error) {
    give_up(error.what());
  }
  std::ifstream stream(folder.summary_file(), std::ios::binary);
  const std::string summary{std::istreambuf_iterator<char>(stream), {}};
  write_durably(folder.report_file(), run_report(folder.metrics_file(), summary, &measured));
  // Last, so that a run that has it is whole.
  write_durably(folder.path() / kMeasurementsFile, to_json(measured) + "\n");
  return measured;
}

}  // namespace batchwise
