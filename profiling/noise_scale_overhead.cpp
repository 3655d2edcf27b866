// Prints what a measurement of the gradient noise scale adds to an update, on MNIST: updates with
// and without it in turn, so that both meet the same machine.
//
//   build/bin/noise_scale_overhead FOLDER-OF-MNIST [DEVICE]
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "engine/data/load.h"
#include "engine/execute/backend.h"
#include "engine/model/experiment_file.h"
#include "engine/report/metrics.h"
#include "engine/stopwatch.h"
#include "engine/train/session.h"

namespace {

using namespace batchwise;

Experiment experiment_of(const std::string& mnist, const std::string& device,
                         const std::string& hidden, std::int64_t batch) {
  return parse_experiment(
      fmt::format("device = \"{}\"\n[data]\nkind = \"idx\"\npath = \"{}\"\n[model]\nlayers = [{{ "
                  "type = \"flatten\" }}, {}{{ type = \"dense\", units = 10 }}]\n[training]\n"
                  "batch_size = {}\n",
                  device, mnist, hidden, batch),
      "overhead", "/", {});
}

double quantile(std::vector<double> values, double share) {
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size()));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}

/// One line of the table: microseconds an update, and those that a measurement adds.
void compare(const char* network, int threads, Session& session) {
  constexpr double kEvery = 10.0;
  const std::int64_t batch = session.experiment().training.batch_size;
  std::vector<std::int32_t> ids(static_cast<std::size_t>(batch));
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<double> plain, measured;
  std::size_t written = 0;
  const Stopwatch all;
  for (std::int64_t step = 1; step <= 100 || all.seconds() < 10.0; ++step) {
    GradientNorms norms;
    const bool measures = step % 2 == 0;
    const Stopwatch stopwatch;
    (void)session.update(ids, step, 0.001, measures ? &norms : nullptr);
    if (measures) written += noise_metrics_line({.epoch = 1, .norms = norms}).size();
    (measures ? measured : plain).push_back(stopwatch.seconds() * 1e6);
  }
  if (written == 0) return;
  // The lower quartile: what lies above is mostly the rest of the machine.
  const double without = quantile(plain, 0.25), with = quantile(measured, 0.25);
  fmt::print("| {} | {} | {} | {:.1f} | {:+.1f} | {:+.2f} % | {:+.2f} % |\n", network, threads,
             batch, without, with - without, (with / without - 1.0) / kEvery * 100.0,
             (quantile(measured, 0.5) / quantile(plain, 0.5) - 1.0) / kEvery * 100.0);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(stderr, "usage: noise_scale_overhead FOLDER-OF-MNIST [DEVICE]\n");
    return 2;
  }
  const std::string mnist = arguments[1], device = count > 2 ? arguments[2] : "cpu";
  fmt::print(
      "| network | threads | batch | us an update | a measurement adds us | every 10 updates | by "
      "medians |\n| --- | --- | --- | --- | --- | --- | --- |\n");
  const auto dense = [](int units) {
    return fmt::format("{{ type = \"dense\", units = {}, activation = \"relu\" }}, ", units);
  };
  for (const int threads : {1, 2}) {
    if (device != "cpu" && threads > 1) break;
    set_cpu_threads(threads);
    for (const std::int64_t batch : {32, 128, 1024}) {
      for (const auto& [network, hidden] :
           {std::pair{"784-128-10", dense(128)}, {"784-512-512-10", dense(512) + dense(512)}}) {
        const Experiment experiment = experiment_of(mnist, device, hidden, batch);
        Session session(experiment, load_dataset(experiment.data, experiment.seed));
        compare(network, threads, session);
      }
    }
  }
}
