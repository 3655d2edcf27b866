// The bytes of a run by category: what `memory` prints and every plan adds up to.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>

namespace batchwise {

enum class MemoryCategory {
  parameters,  ///< weights and running statistics
  gradients,
  optimizer_state,
  master_weights,  ///< fp32 copies of weights that are computed with in less
  activations,
  workspace,     ///< of kernels
  partial_sums,  ///< open sums over samples
  results,       ///< indices, losses and predictions of a batch
  tables,        ///< scalars, status and segments of the optimizer
  data_set,      ///< resident on the device
  evaluation,    ///< what evaluating needs beyond what training leaves to it
  rounding,      ///< to whole units of the device's allocator
  graphs,        ///< recorded CUDA graphs
  overhead,      ///< context and libraries of a GPU: an assumption until it is measured
};
inline constexpr int kMemoryCategories = 14;
[[nodiscard]] std::string_view name_of(MemoryCategory category);

struct Footprint {
  std::array<std::int64_t, kMemoryCategories> device_bytes{};
  std::int64_t host_bytes = 0;  ///< pinned: staging and activations kept on the host

  [[nodiscard]] std::int64_t operator[](MemoryCategory category) const {
    return device_bytes[static_cast<std::size_t>(category)];
  }
  [[nodiscard]] std::int64_t& operator[](MemoryCategory category) {
    return device_bytes[static_cast<std::size_t>(category)];
  }
  /// On the device, overhead included.
  [[nodiscard]] std::int64_t total_bytes() const {
    return std::accumulate(device_bytes.begin(), device_bytes.end(), std::int64_t{0});
  }
};

}  // namespace batchwise
