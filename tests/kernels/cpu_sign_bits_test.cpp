// sign_bits and activation_backward_bits on the cpu backend, bit for bit against the reference.
#include <gtest/gtest.h>

#include "tests/kernels/sign_bits_case.h"

namespace batchwise::kernel_testing {
namespace {

constexpr ActivationFunction kFunctions[] = {ActivationFunction::relu,
                                             ActivationFunction::leaky_relu};

TEST(CpuSignBits, HasTheReferencesBitsInAnyMicroBatches) {
  for (const std::int64_t rows : {1, 3, 33}) {
    for (const std::int64_t features : kBitsFeatures) {
      const Case test = sign_bits(RandomBuffers(3).matrix(rows, features), true);
      for (const auto& passes : splits(rows)) expect_same_bits(test, passes);
    }
  }
}

TEST(CpuSignBits, KnowsNoSignOfZeroAndNaN) {
  for (const bool aligned : {true, false}) {
    for (const std::int64_t features : kBitsFeatures) {
      expect_same_bits(
          sign_bits(special_values(9, features, stride_of(features, aligned)), aligned));
    }
  }
}

TEST(CpuSignBits, OfNoRowsDoesNothing) {
  expect_same_bits(sign_bits(RandomBuffers(4).matrix(3, 40), true), {1, 0, 2});
}

TEST(CpuActivationBackwardBits, HasTheReferencesBitsInAnyMicroBatches) {
  for (const ActivationFunction function : kFunctions) {
    for (const std::int64_t rows : {1, 3, 33}) {
      for (const std::int64_t features : kBitsFeatures) {
        const Case test = backward_bits(function, RandomBuffers(5).matrix(rows, features), true);
        for (const auto& passes : splits(rows)) expect_same_bits(test, passes);
      }
    }
  }
}

TEST(CpuActivationBackwardBits, WorksInPlaceAndOnUnalignedSpecialGradients) {
  for (const ActivationFunction function : kFunctions) {
    for (const bool aligned : {true, false}) {
      for (const std::int64_t features : kBitsFeatures) {
        Case test = backward_bits(
            function, special_values(9, features, stride_of(features, aligned)), aligned);
        expect_same_bits(test);
        test.outputs = {0};
        expect_same_bits(test);
      }
    }
  }
}

TEST(CpuActivationBackwardBits, OfNoRowsDoesNothing) {
  expect_same_bits(backward_bits(ActivationFunction::relu, RandomBuffers(6).matrix(3, 40), true),
                   {1, 0, 2});
}

}  // namespace
}  // namespace batchwise::kernel_testing
