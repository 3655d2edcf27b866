// The GPUs of a machine and what the host holds on them: streams, events, device memory and
// page-locked host memory, each with one owner. Whoever uses the CUDA runtime outside a kernel file
// does it through here. Nothing calls CUDA before it is asked to, so that a program starts without
// a GPU, a driver, or the time that finding one takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cuda/check.h"

namespace batchwise::cuda {

/// The compute capability that the kernels need, in tenths: that of the oldest card which the
/// toolkit still compiles for.
inline constexpr int kLeastCapability = 75;

struct DeviceCount {
  int count = 0;
  std::string missing;  ///< without a GPU: what is not there, and what would help
};
/// Loads the driver. CUDA_VISIBLE_DEVICES applies.
[[nodiscard]] DeviceCount count_devices();

struct DeviceDescription {
  std::string name;  ///< "NVIDIA H200"
  int capability_major = 0;
  int capability_minor = 0;
  std::int64_t total_bytes = 0;
  std::string pci_bus_id;  ///< "0000:1b:00.0"

  [[nodiscard]] int capability() const { return 10 * capability_major + capability_minor; }
};
[[nodiscard]] DeviceDescription describe_device(int device);

/// Makes a device the calling thread's current one, which most calls and every launch refer to.
void make_current(int device);

struct MemoryUse {
  std::int64_t free_bytes = 0;
  std::int64_t total_bytes = 0;
};
/// Of the current device, all its users counted.
[[nodiscard]] MemoryUse memory_use();

// Owners. They are made on the current device and may end on any.

struct Release {
  void operator()(cudaStream_t stream) const noexcept;
  void operator()(cudaEvent_t event) const noexcept;
};
struct ReleaseDevice {
  void operator()(std::byte* data) const noexcept;
};
struct ReleasePinned {
  void operator()(std::byte* data) const noexcept;
};

using Stream = std::unique_ptr<CUstream_st, Release>;
using Event = std::unique_ptr<CUevent_st, Release>;
using DeviceMemory = std::unique_ptr<std::byte[], ReleaseDevice>;
using PinnedMemory = std::unique_ptr<std::byte[], ReleasePinned>;

/// Ordered with nothing but itself: not with the default stream either.
[[nodiscard]] Stream make_stream();
/// Without a time stamp: only to be waited for.
[[nodiscard]] Event make_event();
/// Aligned to at least 256 bytes; what it holds is undefined.
[[nodiscard]] DeviceMemory allocate_device(std::int64_t bytes);
/// Host memory that the device copies from and to by itself.
[[nodiscard]] PinnedMemory allocate_pinned(std::int64_t bytes);

// What a stream does, some time after the call and in the order of the calls.

void copy_to_device(std::byte* device, const std::byte* pinned, std::int64_t bytes,
                    cudaStream_t stream);
void copy_to_host(std::byte* pinned, const std::byte* device, std::int64_t bytes,
                  cudaStream_t stream);
void zero(std::byte* device, std::int64_t bytes, cudaStream_t stream);
/// Puts the event behind all that the stream has been given; it stands nowhere else any more.
void record(cudaEvent_t event, cudaStream_t stream);
/// Waits until the event has been passed; returns at once where it stands nowhere.
void wait(cudaEvent_t event);
/// Waits until the stream has done all that it has been given.
void wait(cudaStream_t stream);

/// A range of a profiler's timeline (NVTX), from here to the next pop_range() of this thread.
void push_range(const char* name) noexcept;
void pop_range() noexcept;

}  // namespace batchwise::cuda
