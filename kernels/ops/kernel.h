// How a plan calls a kernel of any backend: arrays in the order the contract names them, attributes
// fixed when planning, and scalars that change from pass to pass and live in device memory, so that
// a recorded CUDA graph can be replayed.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/ops/reduction_order.h"
#include "kernels/ops/tensor_view.h"

struct CUstream_st;  // what CUDA's cudaStream_t points to

namespace batchwise {

/// Named numbers of one operation, such as a dropout rate. Integers up to 2^53 are exact.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, double>> entries) : entries_(entries) {}

  [[nodiscard]] double number(std::string_view name) const {
    for (const auto& [key, value] : entries_) {
      if (key == name) return value;
    }
    throw std::logic_error("operation attribute missing: " + std::string(name));
  }
  [[nodiscard]] std::int64_t integer(std::string_view name) const {
    return static_cast<std::int64_t>(number(name));
  }
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& entries() const {
    return entries_;
  }

 private:
  std::vector<std::pair<std::string, double>> entries_;
};

/// What the host writes before each pass and each update.
struct UpdateScalars {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;          ///< index of the weight update, from 1; keys dropout
  std::int64_t first_sample = 0;   ///< of this pass, within the update's batch
  std::int64_t batch_samples = 0;  ///< true number of samples of the update's batch
  double gradient_scale = 1.0;     ///< 1 / batch_samples (accumulation "mean")
  double learning_rate = 0.0;
  double bias_correction1 = 1.0;  ///< 1 - beta1^step, computed in double
  double bias_correction2 = 1.0;  ///< 1 - beta2^step, computed in double
};

/// What an update leaves for the host to read: one small transfer an update.
struct UpdateStatus {
  double loss_sum = 0.0;         ///< over the batch, before the update
  double correct = 0.0;          ///< samples whose highest logit is their label's
  double gradient_norm = 0.0;    ///< of the scaled gradient, before clipping
  double gradient_factor = 1.0;  ///< gradient_scale times the clipping factor
  double finite = 1.0;  ///< 0 when the loss or a gradient is not finite: the update is void
};

/// The rows of a pass as a range of the update's batch, read where the scalars live. Building it
/// reads nothing, so that a host may hand it to a kernel of a device whose memory it cannot see.
struct PassRange {
  const UpdateScalars* scalars = nullptr;
  std::int64_t count = 0;

  [[nodiscard]] constexpr std::int64_t first() const { return scalars->first_sample; }
  [[nodiscard]] constexpr std::int64_t total() const { return scalars->batch_samples; }
  // NOLINTNEXTLINE(google-explicit-constructor): it is that range
  constexpr operator SampleRange() const { return {first(), count, total()}; }
};

struct KernelArguments {
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;
  const Attributes* attributes = nullptr;  ///< in host memory
  const UpdateScalars* scalars = nullptr;  ///< in device memory
  CUstream_st* stream = nullptr;           ///< that the kernels of a GPU are queued on

  [[nodiscard]] PassRange range(std::int64_t rows) const { return {scalars, rows}; }
};

/// Runs one operation, or queues it. Arrays and scalars are in the device's memory: only its
/// kernels follow their addresses. Never allocates device memory, never waits for the device, never
/// throws for well-formed arguments unless the device fails.
using Kernel = void (*)(const KernelArguments&);

/// The kernels of one backend by operation name.
struct KernelEntry {
  std::string_view operation;
  Kernel kernel;
};
using KernelTable = std::span<const KernelEntry>;

}  // namespace batchwise
