#include "engine/train/evaluation.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

namespace batchwise {
namespace {

/// Runs every pass of a split; after_pass sees (first, rows).
template <class AfterPass>
UpdateScalars run_passes(Executor& executor, AfterPass&& after_pass) {
  const std::int64_t samples = executor.plan().request.batch_size;
  const std::int64_t rows_at_most = executor.plan().request.micro_batch_size;
  UpdateScalars scalars;
  scalars.batch_samples = samples;
  for (std::int64_t first = 0; first < samples; first += rows_at_most) {
    const std::int64_t rows = std::min(rows_at_most, samples - first);
    scalars.first_sample = first;
    executor.run_pass(rows, scalars);
    after_pass(first, rows);
  }
  return scalars;
}

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void prepare_passes(Executor& executor, std::int64_t samples) {
  const std::int64_t rows = executor.plan().request.micro_batch_size;
  if (samples >= rows) executor.prepare(rows);
  if (samples % rows != 0) executor.prepare(samples % rows);
}

SplitResult evaluate_split(Executor& executor) {
  const UpdateScalars scalars = run_passes(executor, [](std::int64_t, std::int64_t) {});
  const UpdateStatus status = executor.run_update(scalars);
  const auto samples = static_cast<double>(scalars.batch_samples);
  return {.loss = status.loss_sum / samples,
          .accuracy = status.correct / samples,
          .samples = scalars.batch_samples};
}

std::vector<std::int32_t> predicted_classes(const Executor& executor) {
  const std::vector<std::byte> bytes =
      executor.download(executor.plan().program.find("predicted"), 1);
  std::vector<std::int32_t> predicted(bytes.size() / sizeof(std::int32_t));
  std::memcpy(predicted.data(), bytes.data(), bytes.size());
  return predicted;
}

void predict_split(
    Executor& executor,
    const std::function<void(std::int64_t, std::int64_t, std::span<const float>)>& take) {
  const Program& program = executor.plan().program;
  const ValueId result = program.probabilities != kNoValue ? program.probabilities : program.logits;
  std::vector<float> values;
  run_passes(executor, [&](std::int64_t first, std::int64_t rows) {
    const std::vector<std::byte> bytes = executor.download(result, rows);
    if (executor.backend().real() == ElementType::f64) {
      const auto* wide = reinterpret_cast<const double*>(bytes.data());
      values.resize(bytes.size() / sizeof(double));
      std::transform(wide, wide + values.size(), values.begin(),
                     [](double value) { return static_cast<float>(value); });
    } else {
      values.resize(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), bytes.size());
    }
    take(first, rows, values);
  });
}

Classification classify(std::span<const std::int32_t> labels,
                        std::span<const std::int32_t> predicted, std::int64_t classes) {
  const auto count = static_cast<std::size_t>(classes);
  Classification result;
  result.confusion.assign(count, std::vector<std::int64_t>(count, 0));
  for (std::size_t sample = 0; sample < labels.size(); ++sample) {
    ++result.confusion[static_cast<std::size_t>(labels[sample])]
                      [static_cast<std::size_t>(predicted[sample])];
  }
  for (std::size_t c = 0; c < count; ++c) {
    std::int64_t of_class = 0;
    std::int64_t as_class = 0;
    for (std::size_t other = 0; other < count; ++other) {
      of_class += result.confusion[c][other];
      as_class += result.confusion[other][c];
    }
    const std::int64_t hits = result.confusion[c][c];
    result.classes.push_back({.precision = ratio(hits, as_class),
                              .recall = ratio(hits, of_class),
                              .f1 = ratio(2 * hits, of_class + as_class),
                              .samples = of_class});
  }
  return result;
}

}  // namespace batchwise
