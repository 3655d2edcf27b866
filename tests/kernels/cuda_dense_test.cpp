// The CUDA dense kernels, bit for bit against the reference, emulated and on a GPU where there is
// one.
#include <gtest/gtest.h>

#include "kernels/ops/activation.h"
#include "kernels/ops/reduction_order.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {
namespace {

/// A product's result [rows, columns] and the length of its sums.
struct Product {
  std::int64_t rows, columns, depth;
};

/// Results around the size of each tile (the emulated device has one multiprocessor, which makes
/// the choice: 8 x 32, 32 x 32, 64 x 64, 128 x 128), and depths around slices and chunks.
[[nodiscard]] std::vector<Product> products() {
  std::vector<Product> result;
  const auto add = [&](std::int64_t rows, std::int64_t columns,
                       std::initializer_list<std::int64_t> depths) {
    for (const std::int64_t depth : depths) result.push_back({rows, columns, depth});
  };
  add(1, 1, {1, 2, 31, 32, 33, 256, 257, 1300});
  add(1, 10, {1, 16, 128, 784});
  add(3, 33, {2, 15, 63, 255, 300, 1025});
  add(8, 128, {1, 17, 784});
  add(9, 31, {1, 15, 16, 17, 257});
  add(32, 65, {1, 2, 255, 256, 257, 300, 784, 1300});
  add(33, 40, {1, 15, 256, 513});
  add(64, 64, {16, 17, 300, 784});
  add(63, 130, {2, 257});
  add(100, 121, {1, 15, 257});
  add(128, 128, {16, 600});
  add(200, 250, {17});
  return result;
}

[[nodiscard]] Case forward(const Product& product, bool with_bias) {
  RandomBuffers random(1);
  const auto [batch, units, inputs] = product;
  return {.operation = "dense_forward",
          .buffers = {random.matrix(batch, inputs), random.weight(units, inputs),
                      random.vector(units), random.matrix(batch, units)},
          .inputs = {0, 1, with_bias ? 2 : kAbsent},
          .outputs = {3},
          .attributes = {},
          .scalars = {},
          .rows = batch,
          .by_row = {0, 3}};
}

[[nodiscard]] Case backward_input(const Product& product) {
  RandomBuffers random(2);
  const auto [batch, inputs, units] = product;
  return {.operation = "dense_backward_input",
          .buffers = {random.matrix(batch, units), random.weight(units, inputs),
                      random.matrix(batch, inputs)},
          .inputs = {0, 1},
          .outputs = {2},
          .attributes = {},
          .scalars = {},
          .rows = batch,
          .by_row = {0, 2}};
}

[[nodiscard]] bool has_tree(std::int64_t batch) {
  return batch > ReductionOrder::over_samples().chunk();
}

/// `pitch` is that of the weights' memory and their gradient's.
[[nodiscard]] Case backward_weight(const Product& product, std::int64_t pitch) {
  RandomBuffers random(3);
  const auto [inputs, units, batch] = product;
  const int levels = ReductionOrder::over_samples().levels(batch);
  Case test{.operation = "dense_backward_weight",
            .buffers = {random.matrix(batch, inputs), random.matrix(batch, units),
                        Buffer(ElementType::f32, {units, inputs}, {1, pitch})},
            .inputs = {0, 1},
            .outputs = {2, has_tree(batch) ? 3 : kAbsent},
            .attributes = {},
            .scalars = {},
            .rows = batch,
            .by_row = {0, 1}};
  if (has_tree(batch)) {
    test.buffers.emplace_back(ElementType::f32, Dimensions{levels, units, inputs},
                              Dimensions{pitch * inputs, 1, pitch});
  }
  return test;
}

[[nodiscard]] Case backward_bias(std::int64_t batch, std::int64_t units) {
  RandomBuffers random(4);
  const int levels = ReductionOrder::over_samples().levels(batch);
  Case test{.operation = "dense_backward_bias",
            .buffers = {random.matrix(batch, units), random.vector(units)},
            .inputs = {0},
            .outputs = {1, has_tree(batch) ? 2 : kAbsent},
            .attributes = {},
            .scalars = {},
            .rows = batch,
            .by_row = {0}};
  if (has_tree(batch)) {
    test.buffers.emplace_back(ElementType::f32, Dimensions{levels, units},
                              Dimensions{pitch(units), 1});
  }
  return test;
}

/// A matrix whose rows are not aligned for wide accesses.
[[nodiscard]] Buffer unaligned(RandomBuffers& random, std::int64_t rows, std::int64_t columns) {
  Buffer source = random.matrix(1, rows * columns);
  const float* next = source.data<float>();
  return Buffer(ElementType::f32, {rows, columns}, {columns + 1, 1}).fill<float>([&] {
    return *next++;
  });
}
[[nodiscard]] Buffer unaligned_weight(RandomBuffers& random, std::int64_t units,
                                      std::int64_t inputs) {
  Buffer source = random.matrix(1, units * inputs);
  const float* next = source.data<float>();
  return Buffer(ElementType::f32, {units, inputs}, {1, units + 3}).fill<float>([&] {
    return *next++;
  });
}

TEST(CudaDense, ForwardHasTheReferencesBits) {
  bool with_bias = false;
  for (const Product& product : products()) {
    expect_same_bits_on_cuda(forward(product, with_bias = !with_bias));
  }
}

TEST(CudaDense, ActivationForwardHasTheReferencesBits) {
  using enum ActivationFunction;
  for (const ActivationFunction function : {relu, leaky_relu, tanh, sigmoid, gelu}) {
    for (const Product& product :
         {Product{2, 33, 300}, Product{17, 31, 257}, Product{40, 63, 20}, Product{100, 121, 5}}) {
      Case test = forward(product, product.depth != 20);
      test.operation = "dense_activation_forward";
      test.attributes = {{"function", static_cast<double>(function)}};
      expect_same_bits_on_cuda(test);
    }
  }
}

TEST(CudaDense, BackwardInputHasTheReferencesBits) {
  for (const Product& product : products()) expect_same_bits_on_cuda(backward_input(product));
}

TEST(CudaDense, BackwardWeightHasTheReferencesBitsInOnePass) {
  for (const Product& product : products()) {
    expect_same_bits_on_cuda(backward_weight(product, pitch(product.columns)));
  }
}

TEST(CudaDense, BackwardWeightHasTheReferencesBitsInAnySplit) {
  for (const Product& product : {Product{1, 1, 600}, Product{7, 33, 257}, Product{17, 10, 600},
                                 Product{33, 40, 257}, Product{40, 33, 513}}) {
    const Case test = backward_weight(product, pitch(product.columns));
    for (const auto& passes : splits(test.rows)) expect_same_bits_on_cuda(test, passes);
  }
  const Case large = backward_weight({100, 121, 513}, 128);
  expect_same_bits_on_cuda(large, {100, 413});
  expect_same_bits_on_cuda(large, {256, 257});
  const Case many_chunks = backward_weight({5, 35, 256 * 6 + 3}, 48);
  expect_same_bits_on_cuda(many_chunks, {256, 256, 512, 515});
  expect_same_bits_on_cuda(many_chunks, {1, 1400, 138});
  expect_same_bits_on_cuda(many_chunks, {1024, 511, 4});
}

TEST(CudaDense, BackwardBiasHasTheReferencesBitsInAnySplit) {
  for (const std::int64_t batch : {1, 2, 63, 64, 65, 256, 257, 513, 600}) {
    for (const std::int64_t units : {1, 10, 32, 33}) {
      const Case test = backward_bias(batch, units);
      for (const auto& passes : splits(batch)) expect_same_bits_on_cuda(test, passes);
    }
  }
  const Case many_chunks = backward_bias(256 * 9 + 5, 65);
  expect_same_bits_on_cuda(many_chunks);
  expect_same_bits_on_cuda(many_chunks, {1, 2300, 8});
  expect_same_bits_on_cuda(many_chunks, {256 * 8, 256, 5});
}

TEST(CudaDense, UnalignedViewsHaveTheSameBits) {
  constexpr Product kProducts[] = {{3, 35, 270}, {20, 31, 33}, {40, 50, 18}, {100, 101, 7}};
  for (const auto& [rows, columns, depth] : kProducts) {
    for (const int which : {0, 1, 2, 3}) {
      RandomBuffers random(5);
      Case test = forward({rows, columns, depth}, true);
      if (which == 0 || which == 3) test.buffers[0] = unaligned(random, rows, depth);
      if (which == 1 || which == 3) test.buffers[1] = unaligned_weight(random, columns, depth);
      if (which == 2 || which == 3) test.buffers[3] = unaligned(random, rows, columns);
      expect_same_bits_on_cuda(test, {rows - 2, 2});
      test = backward_input({rows, columns, depth});
      if (which == 0 || which == 3) test.buffers[0] = unaligned(random, rows, depth);
      if (which == 1 || which == 3) test.buffers[1] = unaligned_weight(random, depth, columns);
      if (which == 2 || which == 3) test.buffers[2] = unaligned(random, rows, columns);
      expect_same_bits_on_cuda(test, {rows - 2, 2});
      test = backward_weight({rows, columns, depth}, which < 2 ? pitch(columns) : columns + 1);
      if (which == 0 || which == 3) test.buffers[0] = unaligned(random, depth, rows);
      if (which == 1 || which == 3) test.buffers[1] = unaligned(random, depth, columns);
      expect_same_bits_on_cuda(test, {depth - 2, 2});
    }
  }
}

TEST(CudaDense, PassesWithoutRowsChangeNothing) {
  expect_same_bits_on_cuda(forward({5, 9, 4}, true), {0, 5, 0});
  expect_same_bits_on_cuda(backward_input({5, 9, 4}), {0, 5, 0});
  expect_same_bits_on_cuda(backward_weight({9, 4, 5}, 16), {0, 3, 0, 2, 0});
  expect_same_bits_on_cuda(backward_bias(5, 9), {0, 3, 0, 2, 0});
}

// Sums of products too small to represent are -0: a product of padding's zeros, or the sum of a
// chunk that does not exist, would make them +0.
TEST(CudaDense, NegativeZerosAreKept) {
  for (const Product& product :
       {Product{1, 100, 17}, Product{1, 100, 1300}, Product{20, 40, 17}, Product{20, 40, 1300},
        Product{40, 40, 600}, Product{100, 100, 17}}) {
    Case test = forward(product, false);
    std::move(test.buffers[0]).fill<float>([] { return 1e-30f; });
    std::move(test.buffers[1]).fill<float>([] { return -1e-30f; });
    expect_same_bits_on_cuda(test);
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
