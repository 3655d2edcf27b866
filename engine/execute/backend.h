// A backend: the kernels of one device, its memory, and transfers to and from it. backend.cpp is
// the one file of the engine that knows which backends there are; the engine runs on all of them
// through this interface alone.
//
// Order. Kernels, zero(), upload() and download() take effect in the order in which they are
// called. download(), wait() and what frees memory wait for the device; upload() does so only while
// megabytes of earlier uploads are still queued, as when a data set is sent. An update of the
// weights is therefore queued without a pause, from its indices to its last kernel: it uploads,
// launches, and at its end downloads one UpdateStatus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/error.h"
#include "engine/plan/target.h"
#include "kernels/ops/kernel.h"

namespace batchwise {

/// Where memory lies.
enum class MemorySpace {
  device,  ///< where kernels work
  host,    ///< the host's, which the device copies from and to at full speed (page-locked)
};

/// Memory that is not to be had. The message says what would help; a caller may try with less.
class OutOfMemory : public InputError {
 public:
  OutOfMemory(std::int64_t requested_bytes, const std::string& message)
      : InputError(message), bytes(requested_bytes) {}

  std::int64_t bytes;  ///< asked for in vain
};

/// One block of a backend's memory, which can be made larger. Ends with its owner; a backend may
/// keep its address and what it holds when it grows, and promises neither.
class GrowingBlock {
 public:
  virtual ~GrowingBlock() = default;
  /// Makes the block, of no bytes at first, larger: `bytes` long, a multiple of the backend's
  /// memory_granularity(). Returns its address, aligned to 256 bytes; what it holds is undefined.
  /// Throws OutOfMemory, after which all that is left to do is to end the block.
  [[nodiscard]] virtual std::byte* grow(std::int64_t bytes) = 0;
};

/// One thread at a time uses a backend, that is one session or inference; different backends may be
/// used at once.
class Backend {
 public:
  virtual ~Backend() = default;

  /// As --device takes it: "cpu", "cuda:0", "emulated"; and "reference".
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The maker's name of the device ("NVIDIA H200"); empty where it is the host itself.
  [[nodiscard]] virtual std::string_view hardware() const { return {}; }
  /// What plans for it are made for.
  [[nodiscard]] virtual DeviceKind device_kind() const { return DeviceKind::host; }
  /// Whether it plays a GPU on the CPU: slowly, and itself reporting accesses beyond an allocation.
  [[nodiscard]] virtual bool emulates() const { return false; }
  /// The type real numbers have on it: f32, or f64 for the reference.
  [[nodiscard]] virtual ElementType real() const = 0;
  /// Throws std::logic_error when the backend has no kernel for the operation.
  [[nodiscard]] virtual Kernel kernel(std::string_view operation) const = 0;
  /// The one that runs in mode `fast`: kernel(), or one whose order of sums is its own. Throws
  /// InputError when a library that it needs is not there.
  [[nodiscard]] virtual Kernel fast_kernel(std::string_view operation) const {
    return kernel(operation);
  }
  /// What the calling thread may hand to kernels from now on; null where a kernel has run when its
  /// call returns.
  [[nodiscard]] virtual CUstream_st* stream() const { return nullptr; }

  /// Bytes that could be allocated now.
  [[nodiscard]] virtual std::int64_t free_bytes() const = 0;
  /// Bytes in multiples of which blocks grow, itself a multiple of 256.
  [[nodiscard]] virtual std::int64_t memory_granularity() const { return 256; }
  /// Aligned to 256 bytes; what it holds is undefined. Throws OutOfMemory.
  [[nodiscard]] virtual std::byte* allocate(std::int64_t bytes) const = 0;
  virtual void free(std::byte* data, std::int64_t bytes) const noexcept = 0;
  /// The same in MemorySpace::host: the host may read and write it while nothing is queued that
  /// does.
  [[nodiscard]] virtual std::byte* allocate_host(std::int64_t bytes) const;
  virtual void free_host(std::byte* data, std::int64_t bytes) const noexcept;
  /// Where the backend has no better way, a block is allocated anew when it grows.
  [[nodiscard]] virtual std::unique_ptr<GrowingBlock> make_block(MemorySpace space) const;

  // In the device's memory.

  virtual void zero(std::byte* data, std::int64_t bytes) const = 0;
  /// The host's bytes may change when the call returns.
  virtual void upload(std::byte* device, const void* host, std::int64_t bytes) const = 0;
  /// The bytes are there when the call returns.
  virtual void download(void* host, const std::byte* device, std::int64_t bytes) const = 0;
  /// Returns when all that was queued has been done.
  virtual void wait() const {}

  /// Names what is queued until end_range() in a profiler's timeline.
  virtual void begin_range(const char*) const {}
  virtual void end_range() const {}

  /// Bytes in use on a GPU, those of other programs too; nothing elsewhere.
  [[nodiscard]] virtual std::optional<std::int64_t> used_bytes() const { return std::nullopt; }
  /// The share of the last moments in which a GPU was busy, from 0 to 1; nothing elsewhere.
  [[nodiscard]] virtual std::optional<double> utilization() const { return std::nullopt; }

  /// Throws the RunError of a device that failed while doing `what`, with what can be done about
  /// it.
  [[noreturn]] virtual void fail(std::string_view what, const std::exception& error) const;

 protected:
  /// Throws OutOfMemory.
  [[noreturn]] void refuse_allocation(std::int64_t bytes,
                                      MemorySpace space = MemorySpace::device) const;
};

/// The device a run uses: "auto" takes the first GPU there is, or else the CPU. Throws InputError
/// for a device that this build or machine does not have; the message says what there is. Only
/// "auto", "cuda" and "cuda:N" look for a GPU. Thread-safe.
[[nodiscard]] const Backend& find_backend(std::string_view device);

/// Threads of the cpu backend's kernels, the caller's counted; changes no result. Not during a
/// step.
void set_cpu_threads(int threads);

/// Adds or replaces a kernel of a backend, for operations a user registered: "cpu", "reference",
/// "emulated", or "cuda" for all GPUs (in a build without CUDA too). Call before any plan is made;
/// throws std::logic_error for another name.
void register_kernel(std::string_view backend, std::string operation, Kernel kernel);

}  // namespace batchwise
