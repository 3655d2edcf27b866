// One call of a BatchNorm kernel on random operands, for the tests of every backend.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernels/ops/batchnorm.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {

struct BatchNormShape {
  std::int64_t rows, channels, pixels, group;
};

/// The operands of every step, in one order.
enum Operand {
  kX,
  kDy,
  kMean,
  kInverse,
  kGamma,
  kBeta,
  kSumDy,
  kSumDyXhat,
  kResult,
  kPooled,
  kRunningMean,
  kRunningVar,
  kFirstPartials  ///< where a case has them: behind the others
};

[[nodiscard]] inline std::vector<Buffer> operands(const BatchNormShape& shape) {
  RandomBuffers random(1);
  const std::int64_t features = shape.channels * shape.pixels;
  const std::int64_t groups = BatchNormGroups{shape.rows, shape.group}.count();
  return {random.matrix(shape.rows, features, 2.0f),
          random.matrix(shape.rows, features),
          random.matrix(groups, shape.channels),
          random.positive(groups, shape.channels),
          random.vector(shape.channels),
          random.vector(shape.channels),
          random.matrix(groups, shape.channels),
          random.matrix(groups, shape.channels),
          random.matrix(shape.rows, features),
          Buffer(ElementType::f64, {2, shape.channels}, {shape.channels, 1}),
          random.vector(shape.channels),
          random.positive(1, shape.channels)};
}

[[nodiscard]] inline Attributes attributes(const BatchNormShape& shape) {
  return {{"group", static_cast<double>(shape.group)},
          {"epsilon", 1e-5},
          {"momentum", 0.1},
          {"pixels", static_cast<double>(shape.pixels)}};
}

[[nodiscard]] inline Case batchnorm(const std::string& step, const BatchNormShape& shape,
                                    std::vector<int> inputs, std::vector<int> outputs) {
  return {"batchnorm_" + step, operands(shape),   std::move(inputs),
          std::move(outputs),  attributes(shape), {},
          shape.rows};
}

}  // namespace batchwise::kernel_testing
