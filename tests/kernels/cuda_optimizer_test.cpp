// What happens once an update, by the CUDA kernels, bit for bit against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "kernels/ops/optimizer.h"
#include "tests/kernels/kernel_comparison.h"
#include "tests/kernels/update_buffers.h"

namespace batchwise::kernel_testing {
namespace {

using Segments = std::vector<OptimizerSegment>;

/// Three segments with factors of their own, the second frozen, the first with a tail and a gap
/// behind it where there is room.
[[nodiscard]] Segments three_segments(std::int64_t size) {
  const std::int64_t second = size / 3 / 16 * 16, third = 2 * size / 3 / 16 * 16;
  return {{0, std::max<std::int64_t>(0, second - 5), 1.0, 1.0, 0},
          {second, third - second, 1.0, 1.0, 1},
          {third, size - third, 0.3, 0.5, 0}};
}

[[nodiscard]] UpdateScalars scalars() {
  UpdateScalars result;
  result.learning_rate = 0.0123;
  result.bias_correction1 = 1.0 - 0.9 * 0.9;
  result.bias_correction2 = 1.0 - 0.999 * 0.999;
  result.gradient_scale = 1.0 / 3.0;
  return result;
}

/// Buffers: gradient, segments, status, weights and two slots.
[[nodiscard]] Case optimizer_case(const std::string& operation, const Attributes& attributes,
                                  std::int64_t size, const Segments& segments, double finite) {
  RandomBuffers random(1);
  return {operation,
          {random.vector(size), bytes_of(segments), status(1.0 / 37.0, finite), random.vector(size),
           random.positive(1, size), random.positive(1, size)},
          {0, 1, 2},
          {3, 4, 5},
          attributes,
          scalars(),
          1};
}

/// Every setting of the three optimizers that takes a path of its own.
[[nodiscard]] std::vector<std::pair<std::string, Attributes>> all_optimizers() {
  std::vector<std::pair<std::string, Attributes>> result;
  for (const double decay : {0.0, 1e-2}) {
    for (const double flag : {0.0, 1.0}) {
      for (const double momentum : {0.0, 0.9}) {
        result.push_back({"optimizer_sgd",
                          {{"momentum", momentum}, {"nesterov", flag}, {"weight_decay", decay}}});
      }
      result.push_back({"optimizer_adam",
                        {{"beta1", 0.9},
                         {"beta2", 0.999},
                         {"epsilon", 1e-8},
                         {"decoupled", flag},
                         {"weight_decay", decay}}});
      result.push_back({"optimizer_rmsprop",
                        {{"alpha", 0.99},
                         {"epsilon", 1e-8},
                         {"momentum", 0.9 * flag},
                         {"weight_decay", decay}}});
    }
  }
  return result;
}

TEST(CudaOptimizer, EverySettingHasTheReferencesBits) {
  for (const auto& [operation, attributes] : all_optimizers()) {
    for (const std::int64_t size : {1, 16, 47, 1000, 5000}) {
      expect_same_bits_on_cuda(
          optimizer_case(operation, attributes, size, three_segments(size), 1.0));
    }
  }
}

TEST(CudaOptimizer, ANetworkHasTheReferencesBits) {
  for (const auto& [operation, attributes] : all_optimizers()) {
    if (attributes.number("weight_decay") == 0.0) continue;
    expect_same_bits_on_cuda(
        optimizer_case(operation, attributes, 101771, three_segments(101771), 1.0));
  }
}

TEST(CudaOptimizer, NothingIsWrittenWhenTheUpdateIsVoid) {
  for (const auto& [operation, attributes] : all_optimizers()) {
    expect_same_bits_on_cuda(
        optimizer_case(operation, attributes, 1000, three_segments(1000), 0.0));
  }
}

TEST(CudaOptimizer, ManySegmentsAreFoundInTheTable) {
  for (const std::int64_t count : {1, 2, 3, 4, 31, 100}) {
    Segments segments;
    std::int64_t offset = 16;  // a gap in front
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t elements = i * 7 % 40;  // one in 40 is empty
      segments.push_back({offset, elements, 1.0 + 0.1 * static_cast<double>(i),
                          static_cast<double>(i % 3), i % 5 == 4 ? 1 : 0});
      offset += (elements + 15) / 16 * 16 + (i % 4 == 0 ? 32 : 0);
    }
    for (const auto& [operation, attributes] : all_optimizers()) {
      expect_same_bits_on_cuda(optimizer_case(operation, attributes, offset, segments, 1.0));
    }
  }
}

TEST(CudaOptimizer, AThreadTakesManyQuadsOfALargeArena) {
  // More quads than the largest launch has threads, and more than one segment for each thread.
  constexpr std::int64_t kSize = 3 * 1280 * 256 * 4 + 21, kHalf = kSize / 2 / 16 * 16;
  const Segments segments{{0, kHalf, 1.0, 1.0, 0}, {kHalf, kSize - kHalf, 0.1, 0.0, 0}};
  expect_same_bits_on_cuda(optimizer_case(
      "optimizer_sgd", {{"momentum", 0.9}, {"nesterov", 0.0}, {"weight_decay", 1e-2}}, kSize,
      segments, 1.0));
}

TEST(CudaOptimizer, StateTooSmallToMatterBecomesZero) {
  for (const auto& [operation, attributes] : all_optimizers()) {
    Case test = optimizer_case(operation, attributes, 64, {{0, 64, 1.0, 0.0, 0}}, 1.0);
    float exponent = 0.5f;
    for (std::int64_t i = 0; i < 64; ++i) {
      test.buffers[0].data<float>()[i] = i % 2 == 0 ? 0.0f : 0x1p-80f * exponent;
      test.buffers[4].data<float>()[i] = 0x1p-95f * exponent;
      test.buffers[5].data<float>()[i] = 0x1p-95f * exponent;
      exponent *= 0.5f;
    }
    expect_same_bits_on_cuda(test);
  }
}

TEST(CudaOptimizer, SgdWithoutMomentumNeedsNoSlots) {
  Case test =
      optimizer_case("optimizer_sgd", {{"momentum", 0.0}, {"nesterov", 0.0}, {"weight_decay", 0.1}},
                     100, {{0, 100, 1.0, 1.0, 0}}, 1.0);
  test.outputs = {3, kAbsent, kAbsent};
  expect_same_bits_on_cuda(test);
}

/// Buffers: gradient, status and the workspace.
[[nodiscard]] Case norm_case(std::int64_t size, double clip) {
  RandomBuffers random(3);
  return {"gradient_norm",
          {random.vector(size), status(9.0, 1.0), chunk_sums(size)},
          {0},
          {1, 2},
          {{"clip", clip}},
          scalars(),
          1,
          {},
          {2}};
}

TEST(CudaGradientNorm, HasTheReferencesBits) {
  constexpr std::int64_t kChunk = 256 * kNormColumns;  // elements
  for (const std::int64_t size :
       {std::int64_t{1}, std::int64_t{3}, std::int64_t{31}, std::int64_t{1023}, std::int64_t{1024},
        std::int64_t{1025}, std::int64_t{101770}, kChunk, kChunk + 1, 3 * kChunk + 4097}) {
    for (const double clip : {0.0, 0.5, 1e9}) expect_same_bits_on_cuda(norm_case(size, clip));
  }
}

TEST(CudaGradientNorm, FoldsAnyNumberOfChunks) {
  for (const std::int64_t chunks : {2, 5, 7, 8, 11}) {
    expect_same_bits_on_cuda(norm_case((chunks - 1) * 256 * kNormColumns + 17, 1.0));
  }
}

TEST(CudaGradientNorm, SeesWhatIsNotFinite) {
  for (const std::int64_t place : {0, 31, 32, 1023, 1024, 1999}) {
    for (const float value :
         {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()}) {
      Case test = norm_case(2000, 1.0);
      test.buffers[0].data<float>()[place] = value;
      expect_same_bits_on_cuda(test);
    }
  }
}

/// An array of a case on a device, floats one element behind an aligned address.
class Unaligned {
 public:
  Unaligned(const Backend& backend, Buffer& buffer)
      : backend_(backend),
        buffer_(buffer),
        shift_(buffer.view().type == ElementType::f32 ? 4 : 0),
        bytes_(static_cast<std::int64_t>(buffer.bytes())),
        block_(backend.allocate(bytes_ + shift_)) {
    backend_.upload(block_ + shift_, buffer_.data<std::byte>(), bytes_);
  }
  Unaligned(const Unaligned&) = delete;
  Unaligned& operator=(const Unaligned&) = delete;
  ~Unaligned() { backend_.free(block_, bytes_ + shift_); }

  [[nodiscard]] TensorView view() const {
    TensorView result = buffer_.view();
    result.data = block_ + shift_;
    return result;
  }
  void download() { backend_.download(buffer_.data<std::byte>(), block_ + shift_, bytes_); }

 private:
  const Backend& backend_;
  Buffer& buffer_;
  std::int64_t shift_;
  std::int64_t bytes_;
  std::byte* block_;
};

/// Runs a case on a backend, in place, on unaligned arrays.
void run_unaligned(const Backend& backend, Case& test) {
  std::vector<std::unique_ptr<Unaligned>> arrays;
  for (Buffer& buffer : test.buffers) {
    arrays.push_back(std::make_unique<Unaligned>(backend, buffer));
  }
  Buffer scalars_buffer = bytes_of(std::vector{test.scalars});
  Unaligned scalars(backend, scalars_buffer);
  const auto views = [&](const std::vector<int>& operands) {
    std::vector<TensorView> result;
    for (const int operand : operands) {
      result.push_back(arrays[static_cast<std::size_t>(operand)]->view());
    }
    return result;
  };
  const std::vector<TensorView> inputs = views(test.inputs), outputs = views(test.outputs);
  backend.kernel(test.operation)({inputs, outputs, &test.attributes,
                                  static_cast<const UpdateScalars*>(scalars.view().data),
                                  backend.stream()});
  for (const std::unique_ptr<Unaligned>& array : arrays) array->download();
}

TEST(CudaOptimizer, UnalignedArraysHaveTheCpusBits) {
  std::vector<Case> cases{norm_case(5003, 0.5)};
  for (const auto& [operation, attributes] : all_optimizers()) {
    cases.push_back(optimizer_case(operation, attributes, 1003, three_segments(1003), 1.0));
  }
  for (const Case& test : cases) {
    Case expected = test;
    run_unaligned(find_backend("cpu"), expected);
    for (const Backend* backend : cuda_backends()) {
      Case actual = test;
      run_unaligned(*backend, actual);
      for (std::size_t i = 0; i < actual.buffers.size(); ++i) {
        if (std::ranges::count(test.workspace, static_cast<int>(i)) > 0) continue;
        EXPECT_EQ(actual.buffers[i].difference(expected.buffers[i]), "")
            << test.operation << ", buffer " << i << ", " << backend->name();
      }
    }
  }
}

/// Buffers: loss, predicted, labels, indices and status.
[[nodiscard]] Case results_case(std::int64_t batch) {
  RandomBuffers random(5);
  return {"update_results",
          {random.vector(batch), random.integers(batch, 3), random.integers(500, 3),
           random.integers(batch, 500), status(1.0, 1.0)},
          {0, 1, 2, 3},
          {4},
          {},
          {},
          batch};
}

TEST(CudaUpdateResults, HasTheReferencesBits) {
  for (const std::int64_t batch :
       {1, 2, 31, 33, 255, 256, 257, 1000, 1024, 1025, 3 * 256, 5 * 256 + 1, 31 * 256, 32 * 256 - 1,
        32 * 256, 32 * 256 + 1, 65 * 256 + 3, 7 * 32 * 256 + 300}) {
    expect_same_bits_on_cuda(results_case(batch));
  }
}

TEST(CudaUpdateResults, LabelsWithoutIndicesAreInOrder) {
  Case test = results_case(500);
  test.inputs[3] = kAbsent;
  expect_same_bits_on_cuda(test);
}

TEST(CudaUpdateResults, DoublesHaveTheReferencesBits) {
  for (const std::int64_t batch : {1, 257, 16 * 256, 16 * 256 + 1, 50 * 256 + 77}) {
    Case test = results_case(batch);
    std::mt19937 generator(6);
    std::normal_distribution<double> normal;
    test.buffers[0] =
        Buffer(ElementType::f64, {batch}, {1}).fill<double>([&] { return normal(generator); });
    expect_same_bits_on_cuda(test);
  }
}

TEST(CudaUpdateResults, SeesALossThatIsNotFinite) {
  for (const std::int64_t place : {0, 255, 256, 8191, 8192, 8999}) {
    for (const float value :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      Case test = results_case(9000);
      test.buffers[0].data<float>()[place] = value;
      expect_same_bits_on_cuda(test);
    }
  }
}

}  // namespace
}  // namespace batchwise::kernel_testing
