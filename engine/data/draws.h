// Random numbers for the built-in data sets: integers only, so that they are the same on every
// machine. Private to this folder.
#pragma once

#include <cstdint>

#include "kernels/ops/philox.h"

namespace batchwise {

/// The Philox words of one sample in one stream, element after element.
class Draws {
 public:
  Draws(std::uint64_t seed, Stream stream, std::uint32_t sample)
      : seed_(seed), counter_{0, sample, 0, static_cast<std::uint32_t>(stream)} {}

  std::uint32_t word() {
    if (used_ == 4) {
      block_ = philox(counter_, seed_);
      ++counter_[0];
      used_ = 0;
    }
    return block_[used_++];
  }

  /// Uniform in [0, range).
  std::int32_t below(std::int64_t range) {
    return static_cast<std::int32_t>((std::uint64_t{word()} * static_cast<std::uint64_t>(range)) >>
                                     32);
  }
  /// Uniform in [low, high].
  std::int32_t between(std::int32_t low, std::int32_t high) { return low + below(high - low + 1); }

 private:
  std::uint64_t seed_;
  PhiloxBlock counter_;
  PhiloxBlock block_{};
  std::size_t used_ = 4;
};

}  // namespace batchwise
