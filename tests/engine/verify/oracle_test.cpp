// The oracle with bounds: its values are those of the reference in double, for every operation; and
// its bounds of what a contract computes in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/verify/operation_cases.h"
#include "engine/verify/run_case.h"
#include "kernels/reference/kernels.h"
#include "kernels/reference/running_error.h"

namespace batchwise::verification {
namespace {

/// The reference in double on a case's inputs: of every operand, its elements where they are real.
std::vector<std::vector<double>> run_in_double(const Case& test) {
  std::vector<std::vector<std::byte>> storage;
  std::vector<ElementType> types = device_types(test);
  std::vector<std::byte*> bases;
  for (std::size_t index = 0; index < test.operands.size(); ++index) {
    const Operand& operand = test.operands[index];
    storage.push_back(operand.bytes);
    if (operand.content != Content::real) continue;
    types[index] = ElementType::f64;
    std::vector<double> wide;
    for (std::size_t place = 0; place < operand.bytes.size(); place += 4) {
      float value = 0.0f;
      std::memcpy(&value, operand.bytes.data() + place, 4);
      wide.push_back(value);
    }
    const auto bytes = std::as_bytes(std::span(wide));
    storage.back().assign(bytes.begin(), bytes.end());
  }
  static std::byte nowhere{};
  for (auto& bytes : storage) bases.push_back(bytes.empty() ? &nowhere : bytes.data());
  const PassViews views = views_of_pass(test, bases, types, 0, test.rows());
  for (const KernelEntry& entry : reference::kernels_f64()) {
    if (entry.operation != test.operation) continue;
    entry.kernel({.inputs = views.inputs,
                  .outputs = views.outputs,
                  .attributes = &test.attributes,
                  .scalars = &test.scalars,
                  .stream = nullptr});
  }
  std::vector<std::vector<double>> results;
  for (std::size_t index = 0; index < test.operands.size(); ++index) {
    const Operand& operand = test.operands[index];
    results.emplace_back();
    if (operand.content != Content::real) continue;
    for (std::int64_t number = 0; number < operand.shape.elements(); ++number) {
      double value = 0.0;
      std::memcpy(&value, storage[index].data() + operand.offset_of(number) * 8, 8);
      results.back().push_back(value);
    }
  }
  return results;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST(Oracle, ItsValuesAreThoseOfTheReferenceInDouble) {
  for (const OperationCases& cases : operation_cases()) {
    const CaseList list(cases, 1, 0);
    std::int64_t compared = 0;
    for (std::int64_t index = 0; index < list.size(); index += 5) {
      const Case test = list.build(index);
      if (test.work > 1e5) continue;
      // The oracle of running statistics is a better one: in long double.
      const auto expected = run_in_double(test);
      const auto oracle = run_oracle(test);
      for (std::size_t operand = 0; operand < oracle.size(); ++operand) {
        if (test.operands[operand].content != Content::real) continue;
        for (std::size_t number = 0; number < oracle[operand].size(); ++number) {
          const double value = oracle[operand][number].value;
          const bool better = test.operation == "batchnorm_running_update";
          const double slack = better ? 1e-4 * oracle[operand][number].bound : 0.0;
          ASSERT_TRUE(same(value, expected[operand][number]) ||
                      std::abs(value - expected[operand][number]) <= slack)
              << test.operation << ", " << test.description << ": " << value << " against "
              << expected[operand][number];
          ++compared;
        }
      }
    }
    // These leave a status, words, and numbers in double whatever the precision.
    const bool no_reals = cases.operation == "update_results" ||
                          cases.operation == "gradient_norm" || cases.operation == "sign_bits" ||
                          cases.operation == "dense_sample_norms";
    if (!no_reals) {
      EXPECT_GT(compared, 100) << cases.operation;
    }
  }
}

TEST(BoundsOfDoubles, HoldForTheSameSumInDoubleAndAreSmall) {
  using Wide = reference::RunningErrorOf<double>;
  Draw draw(3, "doubles", 0);
  Wide judged(0.0);
  double sum = 0.0;
  for (int i = 0; i < 1000; ++i) {
    const double term = draw.normal() / 3.0;
    judged = fma(Wide(term), Wide(0.1), judged);
    sum = std::fma(term, 0.1, sum);
  }
  EXPECT_LE(std::abs(static_cast<double>(judged.value() - static_cast<long double>(sum))),
            judged.error());
  EXPECT_LT(judged.error(), 1000.0 * 20.0 * 0x1p-53);
  // A sum in float is outside.
  EXPECT_GT(std::abs(static_cast<double>(judged.value() -
                                         static_cast<long double>(static_cast<float>(sum)))),
            judged.error());
}

TEST(BoundsOfDoubles, ANarrowerResultIsRoundedOnceMoreAndAWiderOneIsNot) {
  using reference::RunningError;
  using Wide = reference::RunningErrorOf<double>;
  const RunningError narrow = RunningError::known(0.1, 1e-9);
  EXPECT_EQ(Wide(narrow).error(), 1e-9);
  EXPECT_GE(RunningError(Wide(0.1)).error(), 0.1 * 0x1p-24);
  EXPECT_LE(RunningError(Wide(0.1)).error(), 0.1 * 0x1.01p-24);
}

}  // namespace
}  // namespace batchwise::verification
