#include "engine/verify/invariance.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <tuple>

#include "engine/verify/operations.h"
#include "engine/verify/plan_run.h"

namespace batchwise::verification {
namespace {

/// What the steps of a run wrote, by step, output, and sample or group; -1: of the whole batch.
/// The order of the keys is the plan's.
struct TraceKey {
  std::int64_t update = 0;
  int step = 0;
  int output = 0;
  std::int64_t entry = -1;

  auto operator<=>(const TraceKey&) const = default;
};
using Trace = std::map<TraceKey, std::vector<std::byte>>;

/// An operand that holds an output's contents.
[[nodiscard]] Operand downloaded(const Backend& backend, const std::string& name,
                                 const TensorView& view) {
  Operand operand;
  operand.name = name;
  operand.content = name == "status" ? Content::status : Content::exact;
  operand.type = view.type;
  operand.shape = view.shape;
  operand.strides = view.strides;
  operand.bytes.resize(static_cast<std::size_t>(operand.span()) * size_in_bytes(view.type));
  backend.download(operand.bytes.data(), static_cast<const std::byte*>(view.data),
                   static_cast<std::int64_t>(operand.bytes.size()));
  return operand;
}

/// Records a run. sample_of: which sample lies at a position of the batch.
class Recorder {
 public:
  Recorder(const PlanRun& run, Trace& trace) : run_(run), trace_(trace) {}

  [[nodiscard]] StepObserver observer(std::int64_t update,
                                      const std::function<std::int64_t(std::int64_t)>& sample_of) {
    StepObserver observer;
    observer.after = [this, update, sample_of](const StepCall& call) {
      for (std::size_t output = 0; output < call.outputs.size(); ++output) {
        record(call, static_cast<int>(output), update, sample_of);
      }
    };
    return observer;
  }

 private:
  void record(const StepCall& call, int output, std::int64_t update,
              const std::function<std::int64_t(std::int64_t)>& sample_of) {
    const auto at = static_cast<std::size_t>(output);
    const ValueId id = call.step->outputs[at];
    if (id == kNoValue || call.outputs[at].absent()) return;
    const Value& value = run_.plan().program.values[id];
    // Open partial sums mean nothing once an update is over.
    if (value.workspace || value.arena == ArenaKind::partial_sums ||
        value.name == "norm_chunk_sums")
      return;
    const Operand operand = downloaded(run_.backend(), value.name, call.outputs[at]);
    const TraceKey key{update, call.index, output, -1};
    const std::int64_t first = call.scalars.first_sample;
    switch (value.extent) {
      case Extent::per_row:
        for (std::int64_t row = 0; row < call.rows; ++row) {
          keep({key.update, key.step, key.output, sample_of(first + row)}, operand, row);
        }
        return;
      case Extent::per_sample:
        for (std::int64_t row = first; row < first + call.rows; ++row) {
          keep({key.update, key.step, key.output, sample_of(row)}, operand, row);
        }
        return;
      case Extent::per_group: {
        const std::int64_t groups = operand.shape[0];
        const std::int64_t before = value.group == 0 ? 0 : first / value.group;
        for (std::int64_t group = 0; group < groups; ++group) {
          keep({key.update, key.step, key.output, before + group}, operand, group);
        }
        return;
      }
      case Extent::fixed:
        // Gradients are open until the last pass.
        if (call.step->section == Section::pass && first + call.rows < call.scalars.batch_samples) {
          return;
        }
        trace_[key] = elements(operand, 0, count_of_numbers(operand));
    }
  }

  void keep(const TraceKey& key, const Operand& operand, std::int64_t entry) {
    const std::int64_t each = operand.shape.elements() / operand.shape[0];
    trace_[key] = elements(operand, entry * each, each);
  }

  [[nodiscard]] static std::vector<std::byte> elements(const Operand& operand, std::int64_t first,
                                                       std::int64_t count) {
    if (operand.content == Content::status) return operand.bytes;
    const std::size_t size = size_in_bytes(operand.type);
    std::vector<std::byte> result(static_cast<std::size_t>(count) * size);
    for (std::int64_t index = 0; index < count; ++index) {
      std::memcpy(
          result.data() + static_cast<std::size_t>(index) * size,
          operand.bytes.data() + static_cast<std::size_t>(operand.offset_of(first + index)) * size,
          size);
    }
    return result;
  }

  const PlanRun& run_;
  Trace& trace_;
};

/// The first number in which two records of a value differ, in words.
std::string difference_in(const Value& value, const std::vector<std::byte>& got,
                          const std::vector<std::byte>& expected) {
  const bool is_float = value.type == ElementType::f32;
  const bool is_double = value.type == ElementType::f64 || value.name == "status";
  const std::size_t size = is_double ? sizeof(double) : size_in_bytes(value.type);
  for (std::size_t place = 0; place < got.size(); place += size) {
    if (std::memcmp(got.data() + place, expected.data() + place, size) == 0) continue;
    if (is_float) {
      float a = 0.0f, b = 0.0f;
      std::memcpy(&a, got.data() + place, size);
      std::memcpy(&b, expected.data() + place, size);
      return fmt::format("element {} by {} ulps: {} instead of {}", place / size,
                         ulps_between(a, b), a, b);
    }
    if (is_double) {
      double a = 0.0, b = 0.0;
      std::memcpy(&a, got.data() + place, size);
      std::memcpy(&b, expected.data() + place, size);
      return fmt::format("element {}: {} instead of {}", place / size, a, b);
    }
    return fmt::format("element {}", place / size);
  }
  return "";
}

/// The first value of the plan that differs, or nothing.
std::string difference(const Plan& plan, const Trace& got, const Trace& expected) {
  for (const auto& [key, bytes] : got) {
    const auto found = expected.find(key);
    if (found == expected.end() || found->second == bytes) continue;
    const Step& step = plan.program.steps[static_cast<std::size_t>(key.step)];
    const Value& value = plan.program.values[step.outputs[static_cast<std::size_t>(key.output)]];
    std::string of_what;
    if (key.entry >= 0) {
      of_what = fmt::format(" of {} {}", value.extent == Extent::per_group ? "group" : "sample",
                            key.entry);
    }
    return fmt::format("{} {} gives another {}{}, {}", step.layer, step.operation, value.name,
                       of_what, difference_in(value, bytes, found->second));
  }
  return "";
}

/// Compares a run with the first; notes what it threw.
class Comparison {
 public:
  Comparison(PlanReport& report) : report_(report) {}

  /// record(trace): runs and records. Returns false where nothing more is to be compared.
  template <class Record>
  bool operator()(const std::string& what, Record record) {
    Trace trace;
    try {
      const Plan plan = record(trace);
      if (report_.comparisons++ == 0) {
        first_ = std::move(trace);
        return true;
      }
      const std::string found = difference(plan, trace, first_);
      if (found.empty()) return true;
      report_.failures.push_back({what, found, std::nullopt});
    } catch (const std::exception& error) {
      report_.failures.push_back({what, error.what(), std::nullopt});
    }
    return false;
  }

 private:
  PlanReport& report_;
  Trace first_;
};

/// The samples from `by` on, and then those before.
Samples rotated(const Samples& samples, std::int64_t by) {
  Samples result = samples;
  const auto bytes = static_cast<std::int64_t>(samples.features.size()) / samples.count;
  std::rotate(result.features.begin(), result.features.begin() + by * bytes, result.features.end());
  std::rotate(result.labels.begin(), result.labels.begin() + by, result.labels.end());
  return result;
}

/// Samples of a prediction.
constexpr std::int64_t kSamples = 17;

std::int64_t unchanged(std::int64_t position) { return position; }

}  // namespace

PlanReport check_prediction(const Backend& backend, const Network& network,
                            const VerifyOptions& options) {
  PlanReport report;
  report.name = "prediction: " + network.name;
  Comparison compare(report);
  const Samples samples = draw_samples(network, kSamples, options.seed);
  const auto predict = [&](std::int64_t batch, std::int64_t rotation, Trace& trace) {
    PlanRun run(backend, network, Phase::prediction, rotated(samples, rotation), kSamples, batch,
                options.numerics, options.seed);
    Recorder recorder(run, trace);
    run.infer(recorder.observer(
        0, [rotation](std::int64_t position) { return (position + rotation) % kSamples; }));
    return run.plan();
  };
  if (!compare("alone", [&](Trace& trace) { return predict(1, 0, trace); })) return report;
  for (const std::int64_t batch : {2, 3, 16}) {
    const bool same = compare(fmt::format("in batches of {} against alone", batch),
                              [&](Trace& trace) { return predict(batch, 0, trace); });
    if (!same) return report;
  }
  // In a batch of all, every sample at every position.
  for (std::int64_t rotation = 0; rotation < kSamples; ++rotation) {
    const bool same =
        compare(fmt::format("in a batch of {} from sample {} on against alone", kSamples, rotation),
                [&](Trace& trace) { return predict(kSamples, rotation, trace); });
    if (!same) return report;
  }
  return report;
}

PlanReport check_evaluation(const Backend& backend, const Network& network,
                            const VerifyOptions& options) {
  PlanReport report;
  report.name = "evaluation: " + network.name;
  Comparison compare(report);
  const std::int64_t count = network.batch_size + 3;
  const Samples samples = draw_samples(network, count, options.seed);
  for (const std::int64_t batch :
       {count, std::int64_t{1}, std::int64_t{7}, std::int64_t{16}, count - 1}) {
    const bool same =
        compare(fmt::format("in batches of {} against one of {}", batch, count), [&](Trace& trace) {
          PlanRun run(backend, network, Phase::evaluation, samples, count, batch, options.numerics,
                      options.seed);
          Recorder recorder(run, trace);
          run.infer(recorder.observer(0, unchanged));
          return run.plan();
        });
    if (!same) return report;
  }
  return report;
}

PlanReport check_splits(const Backend& backend, const Network& network,
                        const VerifyOptions& options) {
  PlanReport report;
  report.name = "updates: " + network.name;
  Comparison compare(report);
  const std::int64_t batch = network.batch_size;
  const Samples samples = draw_samples(network, batch + 5, options.seed);
  std::vector<std::int64_t> passes{batch, network.group};
  for (const std::int64_t rows : {3, 7, 16, 128}) {
    if (rows * network.group < batch) passes.push_back(rows * network.group);
  }
  if (network.group == 1) passes.push_back(batch - 1);
  for (const std::int64_t rows : passes) {
    const bool same =
        compare(fmt::format("in passes of {} against one of {}", rows, batch), [&](Trace& trace) {
          PlanRun run(backend, network, Phase::training, samples, batch, rows, options.numerics,
                      options.seed);
          Recorder recorder(run, trace);
          for (const std::int64_t update : {1, 2}) {
            run.update(update, recorder.observer(update, unchanged));
          }
          return run.plan();
        });
    if (!same) return report;
  }
  return report;
}

}  // namespace batchwise::verification
