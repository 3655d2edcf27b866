// Runs an operation on a backend and on the reference in float and expects the same bits: in one
// pass and in micro-batches, with NaN in all padding and sentinels around every array; the cpu
// backend with one thread and with two.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "engine/execute/backend.h"
#include "kernels/ops/kernel.h"

namespace batchwise::kernel_testing {

/// Owns an array of any strides. Memory between and around the elements starts as 0xFF bytes.
class Buffer {
 public:
  Buffer(ElementType type, Dimensions shape, Dimensions strides);

  [[nodiscard]] TensorView view();
  /// `count` entries of the first axis from `first` on.
  [[nodiscard]] TensorView rows(std::int64_t first, std::int64_t count);

  /// Sets each element to value(), in row-major order.
  template <class T, class Value>
  Buffer&& fill(Value value) && {
    set<T>(value);
    return std::move(*this);
  }
  template <class T>
  [[nodiscard]] T* data() {
    return reinterpret_cast<T*>(lines_.data() + 1);
  }
  /// From the first element to the last, sentinels left out.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t bytes_with_sentinels() const { return lines_.size() * sizeof(Line); }
  [[nodiscard]] static constexpr std::size_t sentinel_bytes() { return sizeof(Line); }
  /// Empty, or the first place where the two differ; two NaNs are the same.
  [[nodiscard]] std::string difference(const Buffer& other) const;

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  template <class T, class Value>
  void set(Value value) {
    const std::int64_t columns = shape_.rank() > 1 ? shape_[1] : 1;
    for (std::int64_t row = 0; row < shape_[0]; ++row) {
      for (std::int64_t column = 0; column < columns; ++column) {
        const std::int64_t step = shape_.rank() > 1 ? column * strides_[1] : 0;
        data<T>()[row * strides_[0] + step] = static_cast<T>(value());
      }
    }
  }

  ElementType type_;
  Dimensions shape_;
  Dimensions strides_;
  std::size_t bytes_ = 0;
  std::vector<Line> lines_;  ///< the first and the last are sentinels
};

/// Row stride that the engine gives rows of so many features.
[[nodiscard]] std::int64_t pitch(std::int64_t features);

/// Buffers of random elements, each in the engine's layout.
class RandomBuffers {
 public:
  explicit RandomBuffers(unsigned seed) : generator_(seed) {}

  [[nodiscard]] Buffer matrix(std::int64_t rows, std::int64_t columns, float scale = 1.0f);
  [[nodiscard]] Buffer weight(std::int64_t units, std::int64_t inputs);
  [[nodiscard]] Buffer vector(std::int64_t size, float scale = 1.0f);
  [[nodiscard]] Buffer positive(std::int64_t rows, std::int64_t columns);
  [[nodiscard]] Buffer bytes(std::int64_t rows, std::int64_t columns);
  /// [size] integers in [0, bound).
  [[nodiscard]] Buffer integers(std::int64_t size, std::int32_t bound);

 private:
  std::mt19937 generator_;
};

inline constexpr int kAbsent = -1;

/// One call of an operation. Operands are indices into `buffers`, so that two may be the same.
struct Case {
  std::string operation;
  std::vector<Buffer> buffers;
  std::vector<int> inputs;
  std::vector<int> outputs;
  Attributes attributes;
  UpdateScalars scalars;
  std::int64_t rows = 0;            ///< of the update's batch
  std::vector<int> by_row = {};     ///< buffers of which a pass sees its rows alone
  std::vector<int> workspace = {};  ///< buffers whose contents mean nothing afterwards
};

/// The case in one pass on the reference, against the cpu backend in passes of these sizes.
void expect_same_bits(const Case& test, const std::vector<std::int64_t>& passes);
/// In one pass.
void expect_same_bits(const Case& test);

/// The backends that run the CUDA kernels here: "emulated", and "cuda" where there is a GPU. With
/// the environment variable BATCHWISE_TEST_GPU_ALONE "cuda" alone, which must be there: for the
/// tools that watch a GPU.
[[nodiscard]] std::vector<const Backend*> cuda_backends();
/// The case in one pass on the reference, against those backends in passes of these sizes.
void expect_same_bits_on_cuda(const Case& test, const std::vector<std::int64_t>& passes);
/// In one pass.
void expect_same_bits_on_cuda(const Case& test);

/// Ways to split a batch: whole, in two unequal parts, in sevens and the rest.
[[nodiscard]] std::vector<std::vector<std::int64_t>> splits(std::int64_t rows);

inline constexpr std::int64_t kBatches[] = {1,  2,  3,  5,   7,   8,   16,  17,
                                            31, 33, 64, 100, 255, 256, 257, 513};
inline constexpr std::int64_t kFeatures[] = {1,  2,   3,   10,  15,  16,  17,  31,
                                             64, 100, 128, 255, 256, 257, 300, 784};

}  // namespace batchwise::kernel_testing
