// batchwise verify: every kernel of a device against the CPU reference, whole plans step by step,
// and that results do not depend on the batch; a table of errors in units of the derived bounds.
#include "engine/verify/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "apps/batchwise/command.h"
#include "engine/error.h"

namespace batchwise::app {
namespace {

struct VerifyCommand {
  std::string device = "auto";
  VerifyOptions options;
};

VerifyCommand& verify_command() {
  static VerifyCommand command;
  return command;
}

/// One line on a terminal, or a line for each thing that is verified.
class VerifyProgress {
 public:
  explicit VerifyProgress(const CommonOptions& options)
      : options_(options),
        terminal_(options.progress == ProgressMode::automatic && isatty(STDERR_FILENO) == 1) {}
  VerifyProgress(const VerifyProgress&) = delete;
  VerifyProgress& operator=(const VerifyProgress&) = delete;
  ~VerifyProgress() {
    if (line_open_) put(stderr, "\r\033[K");
  }

  void show(const std::string& what, std::int64_t done, std::int64_t all) {
    if (!terminal_) {
      if (what != shown_) say(options_, fmt::format("verifying {}", what));
      shown_ = what;
      return;
    }
    const auto now = Clock::now();
    if (what == shown_ && now - drawn_ < std::chrono::milliseconds(100)) return;
    shown_ = what;
    drawn_ = now;
    line_open_ = true;
    put(stderr, fmt::format("\r\033[Kverifying {}  {}/{}", what, done, all));
  }

 private:
  using Clock = std::chrono::steady_clock;

  const CommonOptions& options_;
  bool terminal_;
  bool line_open_ = false;
  std::string shown_;
  Clock::time_point drawn_;
};

Json place_json(const std::optional<verification::Place>& place) {
  if (!place) return {};
  return {{"element", place->element},
          {"got", number_or_null(place->got)},
          {"expected", number_or_null(place->expected)},
          {"bound", number_or_null(place->bound)},
          {"error", number_or_null(place->error)}};
}

Json finding_json(const Finding& finding) {
  return {
      {"what", finding.what}, {"message", finding.message}, {"place", place_json(finding.place)}};
}

Json findings_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) list.push_back(finding_json(finding));
  return list;
}

/// Null where nothing was written, or where the error has no measure.
Json error_json(const Finding& worst) {
  return worst.place ? number_or_null(worst.place->error) : Json();
}

Json plans_json(const std::vector<PlanReport>& plans) {
  Json list = Json::array();
  for (const PlanReport& plan : plans) {
    list.push_back({{"name", plan.name},
                    {"passed", plan.passed()},
                    {"comparisons", plan.comparisons},
                    {"worst_error", error_json(plan.worst)},
                    {"worst", plan.worst.place ? finding_json(plan.worst) : Json()},
                    {"failures", findings_json(plan.failures)}});
  }
  return list;
}

Json report_json(const VerifyReport& report) {
  Json operations = Json::array();
  for (const OperationReport& operation : report.operations) {
    operations.push_back({{"operation", operation.operation},
                          {"types", operation.types},
                          {"passed", operation.passed()},
                          {"cases", operation.cases},
                          {"left_out", operation.left_out},
                          {"failed", operation.failed},
                          {"worst_error", error_json(operation.worst)},
                          {"worst", operation.worst.place ? finding_json(operation.worst) : Json()},
                          {"failures", findings_json(operation.failures)}});
  }
  Json not_covered = Json::array();
  for (const NotCovered& missing : report.not_covered) {
    not_covered.push_back({{"operation", missing.operation}, {"reason", missing.reason}});
  }
  return {{"passed", report.passed()},
          {"device", report.device},
          {"precision", "fp32"},
          {"numerics", report.numerics == Numerics::fast ? "fast" : "invariant"},
          {"seed", report.seed},
          {"operations", operations},
          {"not_covered", not_covered},
          {"plans", plans_json(report.plans)},
          {"invariance", plans_json(report.invariance)},
          {"lost_device", report.lost_device.empty() ? Json() : Json(report.lost_device)}};
}

std::string error_text(const Finding& worst) {
  return worst.place ? fmt::format("{:.3f}", worst.place->error) : "-";
}

/// "rows 5, ...: y[3, 7] is 1.25 instead of 1.2499999 within 1e-7".
std::string where_text(const Finding& worst) {
  if (!worst.place) return worst.what;
  return fmt::format("{}: {} is {:.9g} instead of {:.9g} within {:.2g}", worst.what,
                     worst.place->element, worst.place->got, worst.place->expected,
                     worst.place->bound);
}

void print_failures(const CommonOptions& common, const std::string& name, std::int64_t failed,
                    const std::vector<Finding>& failures) {
  for (const Finding& failure : failures) {
    print(common, fmt::format("FAILED {}: {}: {}", name, failure.what, failure.message));
  }
  const auto shown = static_cast<std::int64_t>(failures.size());
  if (failed > shown) print(common, fmt::format("FAILED {}: {} more", name, failed - shown));
}

/// "236 of 245" where some were left out.
std::string cases_text(const OperationReport& operation) {
  if (operation.left_out == 0) return fmt::format("{}", operation.cases);
  return fmt::format("{} of {}", operation.cases, operation.cases + operation.left_out);
}

void print_operations(const CommonOptions& common, const VerifyReport& report) {
  if (report.operations.empty()) return;
  print(common, fmt::format("{:<30} {:<8} {:>11} {:>12}  {:<6}  {}", "operation", "types", "cases",
                            "error/bound", "result", "where the error is largest"));
  std::int64_t left_out = 0;
  for (const OperationReport& operation : report.operations) {
    left_out += operation.left_out;
    print(common,
          fmt::format("{:<30} {:<8} {:>11} {:>12}  {:<6}  {}", operation.operation,
                      fmt::format("{}", fmt::join(operation.types, ",")), cases_text(operation),
                      error_text(operation.worst), operation.passed() ? "passed" : "FAILED",
                      where_text(operation.worst)));
  }
  if (left_out > 0) {
    print(common,
          fmt::format("{} cases were left out: emulating a GPU is slow, and every operation has a "
                      "budget there",
                      left_out));
  }
  for (const OperationReport& operation : report.operations) {
    print_failures(common, operation.operation, operation.failed, operation.failures);
  }
}

void print_plans(const CommonOptions& common, const char* title, const char* unit,
                 const std::vector<PlanReport>& plans) {
  if (plans.empty()) return;
  print(common, fmt::format("\n{:<76} {:>8} {:>12}  {}", title, unit, "error/bound", "result"));
  for (const PlanReport& plan : plans) {
    print(common, fmt::format("{:<76} {:>8} {:>12}  {}", plan.name, plan.comparisons,
                              error_text(plan.worst), plan.passed() ? "passed" : "FAILED"));
  }
  for (const PlanReport& plan : plans) {
    print_failures(common, plan.name, static_cast<std::int64_t>(plan.failures.size()),
                   plan.failures);
  }
}

void print_report(const CommonOptions& common, const VerifyReport& report) {
  print_operations(common, report);
  for (const NotCovered& missing : report.not_covered) {
    print(common, fmt::format("not covered: {}: {}", missing.operation, missing.reason));
  }
  print_plans(common, "whole plans, step by step", "steps", report.plans);
  print_plans(common, "independence of the batch, bit by bit", "runs", report.invariance);
  if (!report.lost_device.empty()) {
    print(common, fmt::format("the device no longer answers after: {}", report.lost_device));
  }
}

/// What of the levels of docs/numerics.md was looked at.
std::string scope_text(const VerifyReport& report) {
  if (report.numerics == Numerics::fast) {
    return "fp32, numerics fast: errors against their bounds; bits are not promised";
  }
  return report.plans.empty()
             ? "fp32, numerics invariant: errors against their bounds, and bits (level 6)"
             : "fp32, numerics invariant: errors against their bounds, and bits (levels 2 3 4 6)";
}

std::string failure_text(const VerifyReport& report) {
  std::vector<std::string> failed;
  for (const auto& each : report.operations) {
    if (!each.passed()) failed.push_back(each.operation);
  }
  for (const auto* plans : {&report.plans, &report.invariance}) {
    for (const auto& each : *plans) {
      if (!each.passed()) failed.push_back(each.name);
    }
  }
  if (failed.empty()) failed.push_back("the device no longer answers");
  return fmt::format("failed on {}: {}", report.device, fmt::join(failed, ", "));
}

Json run() {
  VerifyCommand& command = verify_command();
  const CommonOptions& common = options_of("verify");
  if (command.device == "reference") {
    throw InputError(
        "--device reference: the reference is the judge; expected auto, cuda, cuda:N, cpu or "
        "emulated");
  }
  const Backend& backend = find_backend(command.device);
  VerifyReport report;
  {
    VerifyProgress progress(common);
    command.options.progress = [&](const std::string& what, std::int64_t done, std::int64_t all) {
      progress.show(what, done, all);
    };
    report = verify(backend, command.options);
  }
  print(common,
        fmt::format("device {}, seed {}", device_text(command.device, backend), report.seed));
  print(common, scope_text(report));
  print_report(common, report);
  if (!report.passed()) {
    (void)flush_output();  // the table first, then the error below it
    throw FailedResult(failure_text(report), report_json(report));
  }
  print(common, "everything passed");
  return report_json(report);
}

/// A whole number from 0 on.
template <class Number>
void add_number(CLI::App& command, const std::string& name, Number& number, const char* group,
                const std::string& help) {
  command.add_option(name, number, help)
      ->check(CLI::Validator(
          [name](const std::string& text) {
            const bool digits = !text.empty() && text.size() <= 18 &&
                                text.find_first_not_of("0123456789") == std::string::npos;
            return digits ? std::string{}
                          : fmt::format("found \"{}\", expected an integer from 0 on", text);
          },
          ""))
      ->option_text("N")
      ->group(group);
}

}  // namespace

Command add_verify(CLI::App& program) {
  VerifyCommand& verify = verify_command();
  CLI::App& command = *program.add_subcommand(
      "verify", "every kernel against the CPU reference, in units of the derived error bounds");
  command
      .add_option("--op", verify.options.operations,
                  "an operation (dense_forward) or all of a layer's (dense); may be repeated, or a "
                  "list with commas; without it, whole plans are verified too")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("NAME");
  add_number(command, "--shapes", verify.options.random_shapes, "Options",
             "random shapes an operation, beside the fixed ones (default 20)");
  command
      .add_option("--device", verify.device,
                  "auto | cuda | cuda:N | cpu | emulated; auto: a GPU, or else the CPU (default "
                  "auto)")
      ->option_text("DEVICE")
      ->group(kCommonGroup);
  command
      .add_option_function<std::string>(
          "--numerics",
          [&verify](const std::string& mode) {
            verify.options.numerics = mode == "fast" ? Numerics::fast : Numerics::invariant;
          },
          "invariant | fast; fast promises no bits, so none are compared (default invariant)")
      ->check(CLI::Validator(
          [](const std::string& mode) {
            return mode == "invariant" || mode == "fast"
                       ? std::string{}
                       : fmt::format("found \"{}\", expected invariant or fast", mode);
          },
          ""))
      ->option_text("MODE")
      ->group(kCommonGroup);
  add_number(command, "--seed", verify.options.seed, kCommonGroup,
             "of the inputs and the random shapes (default 0)");
  add_output_options(command, options_of("verify"));
  command.footer(
      "Exit code 0: everything passed; 1: something failed, and the table says where.\n\nExample:\n"
      "  batchwise verify --device cuda\n"
      "  batchwise verify --op dense,softmax --seed 7 --shapes 200");
  return {"verify", run};
}

}  // namespace batchwise::app
