// A small memory report with every kind of row.
#pragma once

#include <cstdint>
#include <string>

#include "engine/report/memory_report.h"

namespace batchwise::testing {

inline constexpr std::int64_t kMiB = std::int64_t{1} << 20;

/// Batches of 1 to 8: fixed parts of 7 MiB, activations of 1 MiB a sample; a budget of 13 MiB.
[[nodiscard]] inline MemoryReport sample_report() {
  using Category = MemoryCategory;
  MemoryReport report{.experiment = "digits",
                      .device = "cuda:0",
                      .precision = "fp32",
                      .optimizer = "adam",
                      .parameters = 123456,
                      .budget_bytes = 13 * kMiB,
                      .budget_source = "--budget"};
  report.formula = {"bytes(B) = 7340032 + 1048576 B"};
  for (const std::int64_t batch : {1, 2, 4, 8}) {
    MemoryRow row{.batch_size = batch, .micro_batch_size = batch};
    row.training[Category::parameters] = 2 * kMiB;
    row.training[Category::gradients] = 2 * kMiB - 1024;
    row.training[Category::activations] = batch * kMiB;
    row.training[Category::results] = 1000;
    row.training[Category::tables] = 24;
    row.training[Category::overhead] = 3 * kMiB;
    row.activation_lower_bound = batch * kMiB / 2;
    row.inference_bytes = 5 * kMiB + batch;
    report.rows.push_back(row);
  }
  report.rows.push_back(
      {.batch_size = 1000, .micro_batch_size = 1000, .refused = "more than \"all\", 500 samples"});
  report.largest_training_batch = 6;
  report.largest_inference_batch = 60000;
  report.largest_note = "at most the training set";
  report.layers = {{.layer = "dense_1",
                    .parameters = kMiB,
                    .gradients = kMiB,
                    .kept_activations = 3 * kMiB,
                    .temporary_activations = 2 * kMiB},
                   {.layer = "<b>&\"", .parameters = kMiB, .gradients = kMiB}};
  report.levers = {{.name = "micro-batches of 1",
                    .how = "--set train.micro_batch_size=1",
                    .consequence = "the same results",
                    .bytes = 8 * kMiB,
                    .largest_batch_size = 70000},
                   {.name = "bf16", .consequence = "other results", .bytes = 12 * kMiB}};
  report.planned_bytes = report.rows[2].training.total_bytes();
  report.timeline = {.batch_size = 4,
                     .micro_batch_size = 4,
                     .steps = {"dense_1 dense_forward", "loss softmax_cross_entropy",
                               "dense_1 dense_backward_weight", "update adam"},
                     .buffers = {{.name = "output",
                                  .layer = "<b>&\"",
                                  .offset = 0,
                                  .bytes = 3 * kMiB,
                                  .first = 0,
                                  .last = 2},
                                 {.name = "logits",
                                  .layer = "dense_1",
                                  .offset = 3 * kMiB,
                                  .bytes = kMiB,
                                  .first = 0,
                                  .last = 1}},
                     .arena_bytes = 4 * kMiB,
                     .lower_bound = 4 * kMiB};
  return report;
}

}  // namespace batchwise::testing
