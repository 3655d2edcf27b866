// Splits loops over independent elements between OpenMP's threads. Never used along a reduction, so
// the number of threads cannot change a result.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace batchwise::cpu {

/// Nanoseconds of work, roughly, below which a second thread costs more than it saves: opening a
/// parallel region takes 1 to 3 microseconds.
inline constexpr double kThreadNanoseconds = 6000;

/// Calls body(begin, end) for contiguous ranges that cover [0, count), each but the last a multiple
/// of `grain` long; on one thread where `nanoseconds`, the estimate for all of it, is small.
template <class Body>
void parallel_ranges(std::int64_t count, std::int64_t grain, double nanoseconds, Body&& body) {
  if (count <= 0) return;
  const std::int64_t grains = (count + grain - 1) / grain;
  const std::int64_t worth = static_cast<std::int64_t>(nanoseconds / kThreadNanoseconds) + 1;
  const auto threads =
      static_cast<int>(std::min(worth, std::min<std::int64_t>(grains, omp_get_max_threads())));
  if (threads <= 1) {
    body(std::int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t thread = omp_get_thread_num(), team = omp_get_num_threads();
    const std::int64_t begin = grains * thread / team * grain;
    const std::int64_t end = std::min(count, grains * (thread + 1) / team * grain);
    if (begin < end) body(begin, end);
  }
}

}  // namespace batchwise::cpu
