// The plans of a whole training run and the bytes they add up to, made from facts about the data
// alone: nothing is read or allocated, and no device is asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/memory/footprint.h"
#include "engine/model/experiment.h"
#include "engine/plan/plan.h"

namespace batchwise {

/// What plans need to know of the data.
struct DataFacts {
  Dimensions sample;  ///< the shape of one, as the graph sees it
  ElementType type = ElementType::u8;
  std::int64_t rows = 0;  ///< of the training file, validation samples included
  std::int64_t training_samples = 0;
  std::int64_t validation_samples = 0;
  std::int64_t test_samples = 0;
  std::int64_t normalization_channels = 1;
};

/// What plans need to know of a device.
struct DeviceFacts {
  Target target;
  ElementType real = ElementType::f32;
  std::int64_t granularity = 256;  ///< bytes in which its allocator gives memory
};

/// How an update's batch is taken through memory.
struct Passes {
  std::int64_t batch_size = 1;
  std::int64_t micro_batch_size = 1;        ///< samples of a pass, at most the batch
  std::vector<std::string> recompute = {};  ///< activations made again (PlanRequest::recompute)
  bool offload = false;                     ///< activations kept on the host

  bool operator==(const Passes&) const = default;
};

/// What a run takes of a device. Blocks that stay for the run are allocated one by one; what an
/// update or an evaluation needs for itself lies in one transient block that all plans share:
///
///   partial sums | results, activations of the update, or of an evaluation
struct RunBytes {
  std::vector<std::int64_t> resident_blocks;  ///< each in bytes, without rounding
  std::int64_t transient = 0;                 ///< bytes of the transient block, without rounding
  std::int64_t host = 0;                      ///< of activations kept on the host
  Footprint footprint;                        ///< the same by category, with rounding
};

struct RunPlan {
  Plan training;
  std::optional<Plan> validation;
  std::optional<Plan> test;
  RunBytes bytes;

  [[nodiscard]] std::int64_t total_bytes() const { return bytes.footprint.total_bytes(); }
};

/// Where the arenas that share the transient block begin in it: for the training plan or, with the
/// same partial sums before it, an evaluation's. Other arenas: 0.
struct TransientLayout {
  std::array<std::int64_t, kArenaKinds> offset_bytes{};
  std::int64_t bytes = 0;
};
[[nodiscard]] TransientLayout transient_layout(const Plan& plan, std::int64_t partial_sum_bytes);

/// The request of the training plan. A batch larger than the training set is never full.
[[nodiscard]] PlanRequest training_request(const Experiment& experiment, const DataFacts& data,
                                           const DeviceFacts& device, const Passes& passes);

/// Does not check BatchNorm's groups (check_batchnorm_groups). Throws InputError for sizes beyond
/// any memory and unknown names in passes.recompute.
[[nodiscard]] RunPlan make_run_plan(const Graph& graph, const Experiment& experiment,
                                    const DataFacts& data, const DeviceFacts& device,
                                    const Passes& passes);

/// Bytes of a run that only predicts `samples` resident samples, in passes of so many rows.
[[nodiscard]] Footprint inference_footprint(const Graph& graph, const Experiment& experiment,
                                            const DataFacts& data, const DeviceFacts& device,
                                            std::int64_t samples, std::int64_t rows);

/// make_run_plan(...).total_bytes() as a formula in the batch size B, for passes that hold the
/// whole batch or a fixed micro-batch; exact for every B where every other choice stays as it was.
class MemoryFormula {
 public:
  MemoryFormula(const RunPlan& plan, const DataFacts& data, const DeviceFacts& device,
                bool whole_batch);

  /// Of the device, for batch size B.
  [[nodiscard]] std::int64_t operator()(std::int64_t batch_size) const;
  /// The formula with its numbers, a line a term.
  [[nodiscard]] std::vector<std::string> text() const;

 private:
  /// bytes(rows) of a plan's results and activations.
  struct Terms {
    std::int64_t per_unit = 0;  ///< of activations
    std::int64_t fixed = 0;     ///< of activations and results
    std::int64_t samples = 0;   ///< an evaluation's, which bounds its rows; 0: the batch
    [[nodiscard]] std::int64_t rows(std::int64_t micro_batch) const;
  };

  [[nodiscard]] std::int64_t micro_batch(std::int64_t batch) const;
  [[nodiscard]] std::int64_t results(std::int64_t batch) const;

  std::int64_t granularity_;
  std::int64_t resident_;       ///< rounded
  std::int64_t weights_bytes_;  ///< of one level of partial sums
  std::int64_t training_samples_;
  std::int64_t micro_batch_ = 0;            ///< 0: the batch
  std::vector<std::int64_t> result_bytes_;  ///< per sample, of each array of results
  Terms training_;
  std::vector<Terms> evaluations_;
};

}  // namespace batchwise
