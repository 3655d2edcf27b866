// What the ranks of a data-parallel run exchange, on device memory. A single process is the only
// implementation so far; a session calls it where several ranks will meet, so that they become a
// new implementation and keep the order of every sum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ops/reduction_order.h"
#include "kernels/ops/tensor_view.h"

namespace batchwise {

class Communicator {
 public:
  virtual ~Communicator() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// Completes an update's gradients [elements] where each rank has run the passes of its range of
  /// the batch: folds the ranks' open chunks by their place in the one tree over the batch's
  /// samples (kernels/ops/reduction_order.h), so that all end with the bits of a single rank.
  virtual void reduce_partial_sums(const TensorView& gradients, SampleRange range) = 0;
  /// Every rank's part in order of rank; parts may differ in length.
  [[nodiscard]] virtual std::vector<std::byte> gather(std::span<const std::byte> part) = 0;
  /// Rank 0's bytes to all.
  virtual void broadcast(std::span<std::byte> bytes) = 0;
};

/// One rank: what it has is the result.
class SingleProcess final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  void reduce_partial_sums(const TensorView&, SampleRange) override {}
  [[nodiscard]] std::vector<std::byte> gather(std::span<const std::byte> part) override {
    return {part.begin(), part.end()};
  }
  void broadcast(std::span<std::byte>) override {}
};

}  // namespace batchwise
