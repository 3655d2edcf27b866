// Batches drawn from a set of samples for measurements.
#pragma once

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "kernels/ops/philox.h"

namespace batchwise {

/// Draws without replacement within a batch, each batch anew, from (seed, how many were drawn).
class SampleDraws {
 public:
  SampleDraws(std::int64_t samples, std::uint64_t seed)
      : ids_(static_cast<std::size_t>(samples)), seed_(seed) {
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  /// Every id once, in no particular order.
  [[nodiscard]] std::span<const std::int32_t> all() const { return ids_; }

  /// The next batch, valid until the one after; size: at most the number of samples.
  [[nodiscard]] std::span<const std::int32_t> next(std::int64_t size) {
    // The first steps of Fisher and Yates's shuffle; what order it starts from does not matter.
    for (std::int64_t place = 0; place < size; ++place) {
      const auto left = static_cast<std::uint64_t>(ids_.size()) - static_cast<std::uint64_t>(place);
      const std::uint64_t chosen = (std::uint64_t{word()} * left) >> 32;
      std::swap(ids_[static_cast<std::size_t>(place)],
                ids_[static_cast<std::size_t>(place) + static_cast<std::size_t>(chosen)]);
    }
    return std::span(ids_).first(static_cast<std::size_t>(size));
  }

 private:
  std::uint32_t word() {
    static constexpr std::uint32_t kStream = stream_of_name("measure.draws");
    const std::uint64_t index = drawn_++;
    return philox({static_cast<std::uint32_t>(index / 4), static_cast<std::uint32_t>(index >> 34),
                   0, kStream},
                  seed_)[index % 4];
  }

  std::vector<std::int32_t> ids_;
  std::uint64_t seed_;
  std::uint64_t drawn_ = 0;
};

}  // namespace batchwise
