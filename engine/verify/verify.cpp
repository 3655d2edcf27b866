#include "engine/verify/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "engine/edit_distance.h"
#include "engine/error.h"
#include "engine/operations/operation.h"
#include "engine/verify/invariance.h"
#include "engine/verify/operations.h"
#include "engine/verify/plan_check.h"
#include "engine/verify/plan_run.h"

namespace batchwise {
namespace {

using namespace verification;

/// The kernel of that name, or all kernels of a layer's record of that name.
std::vector<std::string> kernels_named(const std::string& name) {
  std::vector<std::string> of_record;
  for (const Operation* operation : all_operations()) {
    for (const KernelRecord& kernel : operation->kernels) {
      if (kernel.name == name) return {name};
      if (operation->name == name) of_record.push_back(kernel.name);
    }
  }
  return of_record;
}

[[noreturn]] void refuse(const std::string& name) {
  std::string nearest;
  std::size_t smallest = std::numeric_limits<std::size_t>::max();
  for (const Operation* operation : all_operations()) {
    for (const KernelRecord& kernel : operation->kernels) {
      const std::size_t distance = edit_distance(name, kernel.name);
      if (distance < smallest) nearest = kernel.name;
      smallest = std::min(smallest, distance);
    }
  }
  throw InputError(fmt::format("--op {}: no such operation; did you mean {}?", name, nearest));
}

/// In the order of the registry, each once.
std::vector<std::string> chosen_kernels(const VerifyOptions& options) {
  std::vector<std::string> asked;
  for (const std::string& name : options.operations) {
    const std::vector<std::string> kernels = kernels_named(name);
    if (kernels.empty()) refuse(name);
    asked.insert(asked.end(), kernels.begin(), kernels.end());
  }
  std::vector<std::string> chosen;
  for (const Operation* operation : all_operations()) {
    for (const KernelRecord& kernel : operation->kernels) {
      const bool wanted = options.operations.empty() ||
                          std::find(asked.begin(), asked.end(), kernel.name) != asked.end();
      if (wanted) chosen.push_back(kernel.name);
    }
  }
  return chosen;
}

const OperationCases* cases_of(const std::string& operation) {
  for (const OperationCases& cases : operation_cases()) {
    if (cases.operation == operation) return &cases;
  }
  return nullptr;
}

bool has_kernel(const Backend& backend, const std::string& operation, Numerics numerics) {
  try {
    return kernel_of(backend, operation, numerics) != nullptr;
  } catch (const std::logic_error&) {
    return false;
  }
}

/// Whether to go on after a failure; notes the error that lost the device.
bool still_there(const Backend& backend, const std::vector<Finding>& failures,
                 VerifyReport& report) {
  if (failures.empty() || device_answers(backend)) return true;
  report.lost_device = failures.back().message;
  return false;
}

bool verify_operations(const Backend& backend, const VerifyOptions& options, VerifyReport& report) {
  for (const std::string& operation : chosen_kernels(options)) {
    const OperationCases* cases = cases_of(operation);
    if (cases == nullptr) {
      report.not_covered.push_back({operation, "verify has no cases for it"});
    } else if (!has_kernel(backend, operation, options.numerics)) {
      report.not_covered.push_back({operation, fmt::format("no kernel on {}", backend.name())});
    } else {
      report.operations.push_back(verify_operation(backend, *cases, options));
      if (!still_there(backend, report.operations.back().failures, report)) return false;
    }
  }
  return true;
}

/// A check of whole plans; what cannot even be planned or placed fails, too.
PlanReport run_check(const Backend& backend, const VerifyOptions& options, const Network& network,
                     PlanReport (*check)(const Backend&, const Network&, const VerifyOptions&)) {
  try {
    return check(backend, network, options);
  } catch (const std::exception& error) {
    PlanReport report;
    report.name = network.name;
    report.failures.push_back({"preparing", error.what(), std::nullopt});
    return report;
  }
}

/// Why a device cannot run a network: the first of its operations that it has no kernel for.
std::string missing_kernel(const Backend& backend, const Network& network, Numerics numerics) {
  const std::int64_t rows = network.batch_size;
  for (const Phase phase : {Phase::training, Phase::evaluation, Phase::prediction}) {
    const Plan plan =
        make_plan(network.graph(), request_of(backend, network, phase, rows, rows, rows, numerics));
    for (const Step& step : plan.program.steps) {
      if (!has_kernel(backend, step.operation, numerics)) return step.operation;
    }
  }
  return "";
}

void verify_plans(const Backend& backend, const VerifyOptions& options, VerifyReport& report) {
  const auto add = [&](std::vector<PlanReport>& reports, const Network& network, const char* title,
                       auto check) {
    if (options.progress) {
      options.progress(title, static_cast<std::int64_t>(reports.size()),
                       static_cast<std::int64_t>(networks().size()));
    }
    reports.push_back(run_check(backend, options, network, check));
    return still_there(backend, reports.back().failures, report);
  };
  for (const Network& network : networks()) {
    const std::string missing = missing_kernel(backend, network, options.numerics);
    if (!missing.empty()) {
      report.not_covered.push_back(
          {fmt::format("the network \"{}\"", network.name),
           fmt::format("no kernel for {} on {}", missing, backend.name())});
      continue;
    }
    if (!add(report.plans, network, "whole plans", check_plan)) return;
    if (options.numerics == Numerics::fast) continue;
    for (const auto check : {check_prediction, check_evaluation, check_splits}) {
      if (check == check_splits && !network.splits) continue;
      if (!add(report.invariance, network, "independence of the batch", check)) return;
    }
  }
}

}  // namespace

bool VerifyReport::passed() const {
  const auto all_passed = [](const auto& reports) {
    return std::all_of(reports.begin(), reports.end(),
                       [](const auto& each) { return each.passed(); });
  };
  return lost_device.empty() && all_passed(operations) && all_passed(plans) &&
         all_passed(invariance);
}

VerifyReport verify(const Backend& backend, const VerifyOptions& options) {
  VerifyReport report;
  report.device = backend.name();
  report.seed = options.seed;
  report.numerics = options.numerics;
  const bool answers = verify_operations(backend, options, report);
  if (answers && options.operations.empty()) verify_plans(backend, options, report);
  return report;
}

}  // namespace batchwise
