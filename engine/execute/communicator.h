// What ranks of a data-parallel run exchange. One process is the only implementation so far; the
// trainer calls it where several ranks will meet, so that they become a new implementation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace batchwise {

class Communicator {
 public:
  virtual ~Communicator() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Sums `values` over the ranks by a binary tree over their index, in place, the same bits on
  /// all.
  virtual void reduce_partial_sums(std::span<double> values) = 0;
  /// All ranks' parts in order of rank; parts may differ in length.
  [[nodiscard]] virtual std::vector<std::byte> gather(std::span<const std::byte> part) = 0;
  /// Rank 0's bytes to all.
  virtual void broadcast(std::span<std::byte> bytes) = 0;
};

/// One rank: what it has is the result.
class SingleProcess final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  void reduce_partial_sums(std::span<double>) override {}
  [[nodiscard]] std::vector<std::byte> gather(std::span<const std::byte> part) override {
    return {part.begin(), part.end()};
  }
  void broadcast(std::span<std::byte>) override {}
};

}  // namespace batchwise
