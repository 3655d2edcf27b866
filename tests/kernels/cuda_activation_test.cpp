// The CUDA activations, bit for bit against the reference, emulated and on a GPU where there is
// one.
#include <gtest/gtest.h>

#include "kernels/ops/activation.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

class CudaActivation : public testing::TestWithParam<ActivationFunction> {
 protected:
  Attributes attributes{{"function", static_cast<double>(GetParam())}};
};

TEST_P(CudaActivation, ForwardHasTheReferencesBits) {
  for (const std::int64_t rows : {1, 3, 33}) {
    for (const std::int64_t features : {1, 2, 4, 10, 64, 257}) {
      RandomBuffers random(1);
      expect_same_bits_on_cuda(
          {"activation_forward",
           {random.matrix(rows, features, 3.0f), random.matrix(rows, features)},
           {0},
           {1},
           attributes,
           {},
           rows});
    }
  }
}

TEST_P(CudaActivation, ForwardWorksInPlace) {
  RandomBuffers random(2);
  expect_same_bits_on_cuda(
      {"activation_forward", {random.matrix(7, 30, 3.0f)}, {0}, {0}, attributes, {}, 7});
}

TEST_P(CudaActivation, BackwardHasTheReferencesBits) {
  for (const std::int64_t rows : {1, 3, 33}) {
    for (const std::int64_t features : {1, 2, 4, 10, 64, 257}) {
      RandomBuffers random(3);
      expect_same_bits_on_cuda({"activation_backward",
                                {random.matrix(rows, features), random.matrix(rows, features),
                                 random.matrix(rows, features)},
                                {0, 1},
                                {2},
                                attributes,
                                {},
                                rows});
    }
  }
}

TEST_P(CudaActivation, BackwardMayWriteOverItsGradient) {
  RandomBuffers random(4);
  expect_same_bits_on_cuda({"activation_backward",
                            {random.matrix(7, 30), random.matrix(7, 30)},
                            {0, 1},
                            {0},
                            attributes,
                            {},
                            7});
}

INSTANTIATE_TEST_SUITE_P(Functions, CudaActivation,
                         testing::Values(ActivationFunction::relu, ActivationFunction::leaky_relu,
                                         ActivationFunction::tanh, ActivationFunction::sigmoid,
                                         ActivationFunction::gelu));

}  // namespace
}  // namespace batchwise::kernel_testing
