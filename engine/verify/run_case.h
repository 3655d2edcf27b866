// Runs a case: on the backend that is judged, and on the oracle.
#pragma once

#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "engine/model/experiment.h"
#include "engine/verify/case.h"

namespace batchwise::verification {

/// The bytes of every operand after a run, as Operand::bytes lies.
struct Results {
  std::vector<std::vector<std::byte>> bytes;
  std::string stray_write;  ///< what was written around the operands; empty: nothing
};

/// Every operand in an allocation of its own, between sentinels; the passes one after the
/// other. Throws what the backend throws.
[[nodiscard]] Results run_on_device(const Backend& backend, const Case& test, Numerics numerics);

/// The kernel that plans of this mode call. Throws std::logic_error where there is none.
[[nodiscard]] Kernel kernel_of(const Backend& backend, const std::string& operation,
                               Numerics numerics);

/// The reference in float, in one pass: the bits that mode `invariant` promises.
[[nodiscard]] Results run_reference(const Case& test);

/// What a result should be, and how far from it a correct kernel may be.
struct Expected {
  double value = 0.0;
  double bound = 0.0;
};
/// The oracle, in one pass: of every written operand of numbers, each element in row-major order;
/// nothing for the others.
[[nodiscard]] std::vector<std::vector<Expected>> run_oracle(const Case& test);

/// Replaces the bounds of matrix products by those that hold for any order of their sums.
void bound_any_order(const Case& test, std::vector<std::vector<Expected>>& expected);

/// A number of a written operand, as it is in its bytes.
[[nodiscard]] double number_at(const Operand& operand, const std::vector<std::byte>& bytes,
                               std::int64_t index);
/// Numbers an operand holds: those of a status are five.
[[nodiscard]] std::int64_t count_of_numbers(const Operand& operand);

}  // namespace batchwise::verification
