// The one order in which anything is summed. It never sees the batch size: that is why a sample's
// result does not depend on the batch it is in, nor a weight update on how its batch was split
// (docs/numerics.md, levels 2 to 4).
//
// An axis is cut at fixed indices into chunks. Inside a chunk there is one chain of additions or
// fused multiply-adds, in index order, that starts from zero or from the accumulator it is resumed
// from. Over features (the K of a matrix product) the chunks' sums are added in order. Over samples
// they fold by a binary tree over the chunk's index, of which at most levels() partial sums are
// open at once; those live in memory that the plan counts.
#pragma once

#include <bit>
#include <cstdint>

namespace batchwise {

/// Which rows of an update's batch a pass holds: rows first .. first + count - 1 of total.
/// A micro-batch is a range; the last range of an update ends at total.
struct SampleRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t total = 0;

  [[nodiscard]] constexpr std::int64_t end() const { return first + count; }
};

class ReductionOrder {
 public:
  /// Stored with the weights; raised whenever a change here changes bits.
  static constexpr int kFormatVersion = 1;

  /// Over the features of one sample: the K of a product, the classes of a softmax, the pixels of
  /// a channel.
  [[nodiscard]] static constexpr ReductionOrder over_features() { return ReductionOrder{256}; }
  /// Over the samples of an update's batch or of a BatchNorm group.
  [[nodiscard]] static constexpr ReductionOrder over_samples() { return ReductionOrder{256}; }

  /// Length of a chunk in elements.
  [[nodiscard]] constexpr std::int64_t chunk() const { return chunk_; }
  [[nodiscard]] constexpr std::int64_t chunks(std::int64_t length) const {
    return (length + chunk_ - 1) / chunk_;
  }
  /// Whether element index starts a new chain.
  [[nodiscard]] constexpr bool starts_chunk(std::int64_t index) const {
    return index % chunk_ == 0;
  }

  /// Partial sums that a tree over `length` elements keeps open at most.
  [[nodiscard]] constexpr int levels(std::int64_t length) const {
    const std::int64_t count = chunks(length);
    return count <= 1 ? 0 : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count - 1)));
  }

 private:
  explicit constexpr ReductionOrder(std::int64_t chunk) : chunk_(chunk) {}
  std::int64_t chunk_;
};

/// The tree over samples, for one element. partial(level) gives a reference to an open partial sum.
///
/// Called when chunk `chunk` is complete and not the last: merges `sum` with the partial sums its
/// index completes and leaves the result open, as a binary counter carries.
template <class Scalar, class Partial>
constexpr void fold_chunk(Scalar sum, std::int64_t chunk, Partial&& partial) {
  int level = 0;
  for (auto bits = static_cast<std::uint64_t>(chunk); (bits & 1u) != 0; bits >>= 1) {
    sum = partial(level) + sum;
    ++level;
  }
  partial(level) = sum;
}

/// Called when the last chunk is complete: the total of the whole tree.
template <class Scalar, class Partial>
[[nodiscard]] constexpr Scalar fold_last_chunk(Scalar sum, std::int64_t last_chunk,
                                               Partial&& partial) {
  int level = 0;
  for (auto bits = static_cast<std::uint64_t>(last_chunk); bits != 0; bits >>= 1) {
    if ((bits & 1u) != 0) sum = partial(level) + sum;
    ++level;
  }
  return sum;
}

}  // namespace batchwise
