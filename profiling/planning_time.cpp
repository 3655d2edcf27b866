// Prints how long it takes to plan a training step of chains of dense layers, by their length.
//
//   build/bin/planning_time
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/model/experiment_file.h"
#include "engine/plan/plan.h"
#include "engine/stopwatch.h"

namespace {

using namespace batchwise;

Experiment chain(int layers) {
  std::string text = "[data]\nkind = \"builtin\"\nname = \"blobs\"\n[model]\nlayers = [\n";
  for (int layer = 0; layer < layers; ++layer) {
    text += fmt::format("  {{ type = \"dense\", units = {}, activation = \"gelu\" }},\n",
                        64 + layer % 7 * 16);
    if (layer % 3 == 2) text += "  { type = \"dropout\", rate = 0.1 },\n";
  }
  return parse_experiment(text + "  { type = \"dense\", units = 4 },\n]\n", "chain", "/", {});
}

}  // namespace

int main() {
  fmt::print("{:>8} {:>8} {:>10} {:>14} {:>8}\n", "layers", "steps", "buffers", "ms (median)",
             "ratio");
  for (const int layers : {2, 10, 30, 80, 160}) {
    const Experiment experiment = chain(layers);
    const Graph graph = build_graph(experiment.model, {64});
    const PlanRequest request{.phase = Phase::training,
                              .batch_size = 256,
                              .micro_batch_size = 256,
                              .optimizer = experiment.optimizer,
                              .data_samples = 1000};
    std::vector<double> milliseconds;
    Plan plan;
    for (int repetition = 0; repetition < 11; ++repetition) {
      const Stopwatch stopwatch;
      plan = make_plan(graph, request);
      milliseconds.push_back(stopwatch.seconds() * 1e3);
    }
    std::nth_element(milliseconds.begin(), milliseconds.begin() + 5, milliseconds.end());
    fmt::print("{:>8} {:>8} {:>10} {:>14.2f} {:>8.3f}\n", layers, plan.program.steps.size(),
               plan.program.values.size(), milliseconds[5],
               static_cast<double>(plan.arena_bytes(ArenaKind::activations)) /
                   static_cast<double>(plan.placement.activation_lower_bound));
  }
}
