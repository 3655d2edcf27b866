// Random numbers of the verification's inputs: the same for the same seed and name on any machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "kernels/ops/philox.h"

namespace batchwise::verification {

class Draw {
 public:
  /// One sequence a (seed, name, index).
  Draw(std::uint64_t seed, std::string_view name, std::int64_t index)
      : seed_(seed), stream_(stream_of_name(name)), index_(static_cast<std::uint32_t>(index)) {}

  std::uint32_t word() {
    const std::uint32_t position = next_++;
    if (position % 4 == 0) block_ = philox({position / 4, index_, 0, stream_}, seed_);
    return block_[position % 4];
  }
  /// In [0, 1).
  double uniform() { return unit_interval(word()); }
  /// In [lowest, highest].
  std::int64_t integer(std::int64_t lowest, std::int64_t highest) {
    return lowest +
           static_cast<std::int64_t>(uniform() * static_cast<double>(highest - lowest + 1));
  }
  /// In [1, highest], as many of every magnitude.
  std::int64_t magnitude(std::int64_t highest) {
    const double exponent = uniform() * std::log2(static_cast<double>(highest) + 1.0);
    return static_cast<std::int64_t>(std::exp2(exponent));
  }
  bool chance(double share) { return uniform() < share; }
  /// Standard normal (Box and Muller 1958).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t seed_;
  std::uint32_t stream_;
  std::uint32_t index_;
  std::uint32_t next_ = 0;
  PhiloxBlock block_{};
};

}  // namespace batchwise::verification
