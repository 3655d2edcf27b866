#include "engine/verify/plan_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/verify/operations.h"
#include "engine/verify/plan_run.h"

namespace batchwise::verification {
namespace {

/// Everything in device memory that a plan's steps may touch, as it is now.
class Snapshot {
 public:
  explicit Snapshot(const PlanRun& run) : regions_(run.regions()) {
    for (const PlanRun::Region& region : regions_) {
      bytes_.emplace_back(static_cast<std::size_t>(region.bytes));
      run.backend().download(bytes_.back().data(), region.data, region.bytes);
    }
  }

  /// The bytes from a device address on.
  [[nodiscard]] std::vector<std::byte> copy(const void* address, std::size_t count) const {
    const auto [region, offset] = locate(static_cast<const std::byte*>(address));
    const auto begin = bytes_[region].begin() + offset;
    return {begin, begin + static_cast<std::ptrdiff_t>(count)};
  }
  void overwrite(const void* address, const std::vector<std::byte>& with) {
    const auto [region, offset] = locate(static_cast<const std::byte*>(address));
    std::copy(with.begin(), with.end(), bytes_[region].begin() + offset);
  }
  [[nodiscard]] bool operator==(const Snapshot& other) const { return bytes_ == other.bytes_; }

 private:
  [[nodiscard]] std::pair<std::size_t, std::ptrdiff_t> locate(const std::byte* address) const {
    for (std::size_t index = 0; index < regions_.size(); ++index) {
      const PlanRun::Region& region = regions_[index];
      if (address >= region.data && address < region.data + region.bytes) {
        return {index, address - region.data};
      }
    }
    throw std::logic_error("a step's operand lies outside the plan's memory");
  }

  std::vector<PlanRun::Region> regions_;
  std::vector<std::vector<std::byte>> bytes_;
};

[[nodiscard]] Content content_of(const Value& value) {
  if (value.name == "status") return Content::status;
  if (value.type == ElementType::f64) return Content::wide;
  return value.type == ElementType::f32 && value.real ? Content::real : Content::exact;
}

[[nodiscard]] bool is_workspace(const Value& value) {
  return value.workspace || value.arena == ArenaKind::partial_sums ||
         value.name == "norm_chunk_sums";
}

/// A step as a case; addresses: of its operands on the device.
class StepCase {
 public:
  StepCase(const PlanRun& run, const StepCall& call, const Snapshot& before) : call_(call) {
    test_.operation = call.step->operation;
    test_.attributes = call.step->attributes;
    test_.scalars = call.scalars;
    test_.passes = {call.rows};
    const Program& program = run.plan().program;
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      test_.inputs.push_back(add(program, call.step->inputs[i], call.inputs[i], before));
    }
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
      const int index = add(program, call.step->outputs[i], call.outputs[i], before);
      test_.outputs.push_back(index);
      if (index == kAbsent) continue;
      const Value& value = program.values[call.step->outputs[i]];
      operand(index).role = is_workspace(value) ? Role::workspace : Role::in_place;
      operand(index).name = value.name;
    }
  }

  /// What the step left, and whether it wrote outside its operands.
  [[nodiscard]] Results results(Snapshot before, const Snapshot& after) const {
    Results results;
    for (std::size_t index = 0; index < test_.operands.size(); ++index) {
      const Operand& operand = test_.operands[index];
      results.bytes.push_back(after.copy(addresses_[index], operand.bytes.size()));
      if (operand.role != Role::input) before.overwrite(addresses_[index], results.bytes.back());
    }
    if (!(before == after)) results.stray_write = "wrote outside its outputs";
    return results;
  }

  [[nodiscard]] const Case& test() const { return test_; }

 private:
  [[nodiscard]] Operand& operand(int index) {
    return test_.operands[static_cast<std::size_t>(index)];
  }

  /// Values at the same address are one operand: the step works in place.
  int add(const Program& program, ValueId id, const TensorView& view, const Snapshot& before) {
    if (id == kNoValue || view.absent()) return kAbsent;
    const auto known = std::find(addresses_.begin(), addresses_.end(), view.data);
    if (known != addresses_.end()) return static_cast<int>(known - addresses_.begin());
    Operand operand;
    operand.name = program.values[id].name;
    operand.content = content_of(program.values[id]);
    operand.type = view.type;
    operand.shape = view.shape;
    operand.strides = view.strides;
    operand.bytes =
        before.copy(view.data, static_cast<std::size_t>(operand.span()) * size_in_bytes(view.type));
    addresses_.push_back(view.data);
    test_.operands.push_back(std::move(operand));
    return static_cast<int>(addresses_.size()) - 1;
  }

  const StepCall& call_;
  Case test_;
  std::vector<const void*> addresses_;
};

/// Thrown out of a run at the first step that departs.
struct Departed {
  Finding finding;
};

/// Judges every step of a run.
class StepJudge {
 public:
  StepJudge(const PlanRun& run, std::string phase, Numerics numerics, PlanReport& report)
      : run_(run), phase_(std::move(phase)), numerics_(numerics), report_(report) {}

  [[nodiscard]] StepObserver observer() {
    StepObserver observer;
    observer.before = [this](const StepCall& call) {
      step_ = fmt::format("{}, samples {} to {}: {}", phase_, call.scalars.first_sample,
                          call.scalars.first_sample + call.rows - 1, call.name());
      before_.emplace(run_);
    };
    observer.after = [this](const StepCall& call) { judge_step(call); };
    return observer;
  }
  /// The step that was running.
  [[nodiscard]] const std::string& step() const { return step_; }

 private:
  void judge_step(const StepCall& call) {
    const StepCase step(run_, call, *before_);
    const Results results = step.results(*before_, Snapshot(run_));
    Verdict verdict = judge(step.test(), results, numerics_);
    ++report_.comparisons;
    Finding finding{step_, std::move(verdict.failure), std::move(verdict.worst)};
    const bool larger = finding.place &&
                        (!report_.worst.place || finding.place->error > report_.worst.place->error);
    if (larger) report_.worst = finding;
    if (!finding.message.empty()) throw Departed{std::move(finding)};
  }

  const PlanRun& run_;
  std::string phase_;
  Numerics numerics_;
  PlanReport& report_;
  std::optional<Snapshot> before_;
  std::string step_;
};

/// Runs with a judge at every step; false at the first that departs or throws.
template <class Run>
bool judged(StepJudge& judge, PlanReport& report, Run run) {
  try {
    run(judge.observer());
    return true;
  } catch (const Departed& departed) {
    report.failures.push_back(departed.finding);
  } catch (const std::exception& error) {
    report.failures.push_back({judge.step(), error.what(), std::nullopt});
  }
  return false;
}

/// A library adds up passes; it leaves no open chunk from which the oracle could go on.
std::int64_t rows_of_pass(const Network& network, Numerics numerics) {
  const bool chunks = network.batch_size > ReductionOrder::over_samples().chunk();
  return numerics == Numerics::fast && chunks ? network.batch_size : network.micro_batch_size;
}

}  // namespace

PlanReport check_plan(const Backend& backend, const Network& network,
                      const VerifyOptions& options) {
  PlanReport report;
  report.name = network.name;
  const Samples samples = draw_samples(network, network.batch_size + 5, options.seed);
  PlanRun training(backend, network, Phase::training, samples, network.batch_size,
                   rows_of_pass(network, options.numerics), options.numerics, options.seed);
  for (const std::int64_t step : {1, 2}) {
    StepJudge judge(training, fmt::format("update {}", step), options.numerics, report);
    const auto update = [&](const StepObserver& observer) { training.update(step, observer); };
    if (!judged(judge, report, update)) return report;
  }
  for (const Phase phase : {Phase::evaluation, Phase::prediction}) {
    PlanRun inference(backend, network, phase, samples, samples.count, network.micro_batch_size,
                      options.numerics, options.seed);
    inference.take_weights_of(training);
    StepJudge judge(inference, phase == Phase::evaluation ? "evaluation" : "prediction",
                    options.numerics, report);
    const auto infer = [&](const StepObserver& observer) { inference.infer(observer); };
    if (!judged(judge, report, infer)) return report;
  }
  return report;
}

}  // namespace batchwise::verification
