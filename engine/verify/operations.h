// Verifies operations one by one, each over its list of cases.
#pragma once

#include "engine/verify/operation_cases.h"
#include "engine/verify/verify.h"

namespace batchwise::verification {

/// Whether the device still answers: an error of CUDA may lose it for good.
[[nodiscard]] bool device_answers(const Backend& backend);

/// Runs a case and judges it; what the backend throws is a failure of the case.
[[nodiscard]] Finding try_case(const Backend& backend, const Case& test, Numerics numerics);

/// Accesses of memory that an emulated device has for one operation; other devices have no limit.
inline constexpr double kEmulatedWork = 40e6;

[[nodiscard]] OperationReport verify_operation(const Backend& backend, const OperationCases& cases,
                                               const VerifyOptions& options);

}  // namespace batchwise::verification
