// Measurements into a run's folder.
#include <fstream>
#include <iterator>

#include "engine/analysis/measurements.h"
#include "engine/files/durable_file.h"
#include "engine/report/run_report.h"

namespace batchwise {

bool measures_weights(const MeasureConfig& measure) {
  return measure.gradients || measure.sharpness || measure.hessian || measure.batchnorm;
}

void record_measurements(const RunFolder& folder, const Measurements& measurements) {
  std::ifstream stream(folder.summary_file(), std::ios::binary);
  const std::string summary{std::istreambuf_iterator<char>(stream), {}};
  write_durably(folder.report_file(), run_report(folder.metrics_file(), summary, &measurements));
  // Last, so that a run that has it is whole.
  write_durably(folder.path() / kMeasurementsFile, to_json(measurements) + "\n");
}

}  // namespace batchwise
