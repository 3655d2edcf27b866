#include "engine/verify/operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "engine/memory/arena.h"

namespace batchwise::verification {
namespace {

constexpr std::size_t kFailuresKept = 3;

/// An emulated launch costs this much whatever its size.
constexpr double kLaunchWork = 2000.0;

[[nodiscard]] double work_of(const Case& test) {
  return test.work + kLaunchWork * static_cast<double>(test.passes.size());
}

void note(OperationReport& report, const Case& test, Finding finding) {
  ++report.cases;
  for (const std::string& type : test.types) {
    const bool known =
        std::find(report.types.begin(), report.types.end(), type) != report.types.end();
    if (!known) report.types.push_back(type);
  }
  const bool larger =
      finding.place && (!report.worst.place || finding.place->error > report.worst.place->error);
  if (larger) report.worst = finding;
  if (finding.message.empty()) return;
  ++report.failed;
  if (report.failures.size() < kFailuresKept) report.failures.push_back(std::move(finding));
}

}  // namespace

bool device_answers(const Backend& backend) {
  try {
    MemoryMeter meter;
    const DeviceBuffer probe(backend, 4, meter);
    const std::int32_t sent = 0x600D;
    std::int32_t received = 0;
    backend.upload(probe.data(), &sent, sizeof(sent));
    backend.download(&received, probe.data(), sizeof(received));
    return received == sent;
  } catch (const std::exception&) {
    return false;
  }
}

Finding try_case(const Backend& backend, const Case& test, Numerics numerics) {
  try {
    Verdict verdict = judge(test, run_on_device(backend, test, numerics), numerics);
    return {test.description, std::move(verdict.failure), std::move(verdict.worst)};
  } catch (const std::exception& error) {
    return {test.description, error.what(), std::nullopt};
  }
}

OperationReport verify_operation(const Backend& backend, const OperationCases& cases,
                                 const VerifyOptions& options) {
  const CaseList list(cases, options.seed, options.random_shapes);
  const double limit = backend.emulates() ? kEmulatedWork : std::numeric_limits<double>::infinity();
  OperationReport report;
  report.operation = cases.operation;
  double work = 0.0;
  for (std::int64_t index = 0; index < list.size(); ++index) {
    if (options.progress) options.progress(report.operation, index, list.size());
    const Case test = list.build(index);
    if (work + work_of(test) > limit) {
      ++report.left_out;
      continue;
    }
    work += work_of(test);
    note(report, test, try_case(backend, test, options.numerics));
    if (!report.passed() && !device_answers(backend)) break;
  }
  if (report.types.empty()) report.types = {"f32"};
  return report;
}

}  // namespace batchwise::verification
