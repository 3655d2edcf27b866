// Cases of dense_sample_norms, for the tests of its backends.
#pragma once

#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {

/// x, dy and norms, which begin as numbers that an overwriting call must not read.
[[nodiscard]] inline Case sample_norms_case(std::int64_t rows, std::int64_t inputs,
                                            std::int64_t units, bool bias, bool accumulate) {
  RandomBuffers random(static_cast<unsigned>(rows + inputs + units));
  double next = 0.25;
  return {"dense_sample_norms",
          {random.matrix(rows, inputs), random.matrix(rows, units, 0.01f),
           Buffer(ElementType::f64, {rows}, {1}).fill<double>([&] { return next += 0.125; })},
          {0, 1},
          {2},
          {{"bias", bias ? 1.0 : 0.0}, {"accumulate", accumulate ? 1.0 : 0.0}},
          {},
          rows,
          {0, 1}};
}

}  // namespace batchwise::kernel_testing
