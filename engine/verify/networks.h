// Small networks that together use every layer and optimizer, for verifying whole plans.
#pragma once

#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/model/experiment.h"
#include "engine/model/graph.h"

namespace batchwise::verification {

struct Network {
  std::string name;
  Dimensions sample_shape;
  ModelConfig model;
  OptimizerConfig optimizer;
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;  ///< of the check step by step
  std::int64_t group = 1;             ///< of ghost BatchNorm: splits are multiples of it
  bool splits = true;                 ///< false: a BatchNorm over the whole batch
  ElementType data_type = ElementType::f32;

  [[nodiscard]] Graph graph() const { return build_graph(model, sample_shape); }
  [[nodiscard]] std::int64_t classes() const { return graph().classes(); }
};

[[nodiscard]] const std::vector<Network>& networks();

/// Samples drawn for a network, and labels; the same for the same seed.
[[nodiscard]] Samples draw_samples(const Network& network, std::int64_t count, std::uint64_t seed);

}  // namespace batchwise::verification
