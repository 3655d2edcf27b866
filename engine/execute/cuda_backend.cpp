#include "engine/execute/cuda_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine/error.h"
#include "engine/execute/staging_ring.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/growing_memory.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/utilization.h"

namespace batchwise {
namespace {

constexpr int kSegments = 4;
constexpr std::int64_t kSegmentBytes = std::int64_t{2} << 20;
/// Of memory that grows: a page of the GPU's.
constexpr std::int64_t kLeastGranularity = std::int64_t{2} << 20;

/// What can be done about a call that failed.
std::string remedy_of(cudaError_t code, const cuda::DeviceDescription& device) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return "another program may have taken the GPU's memory; use a smaller batch or micro-batch";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return fmt::format(
          "this program has no code for the GPU's compute capability {}.{}; build it on this "
          "machine, or with -DCMAKE_CUDA_ARCHITECTURES={}",
          device.capability_major, device.capability_minor, device.capability());
    case cudaErrorLaunchTimeout:
      return "the GPU also drives a display, which stops kernels that take seconds; use a smaller "
             "micro-batch or another GPU";
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorDevicesUnavailable:
    case cudaErrorSystemNotReady:
      return "the GPU or its driver is in trouble; see nvidia-smi -q and the system's log (Xid)";
    default:
      return "if it happens again this is an error of batchwise: please report it with the "
             "experiment file";
  }
}

class CudaBackend final : public Backend {
 public:
  /// Throws cuda::CudaError.
  CudaBackend(int index, cuda::DeviceDescription device, const KernelRegistry& kernels)
      : index_(index),
        name_(fmt::format("cuda:{}", index)),
        device_(std::move(device)),
        kernels_(kernels),
        growth_granularity_(cuda::growth_granularity(index)) {
    cuda::make_current(index);
    stream_ = cuda::make_stream();
    pinned_ = cuda::allocate_pinned(kSegments * kSegmentBytes);
    for (cuda::Event& event : queue_.marks) event = cuda::make_event();
    queue_.stream = stream_.get();
    ring_.emplace(pinned_.get(), kSegments, kSegmentBytes);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::string_view hardware() const override { return device_.name; }
  [[nodiscard]] DeviceKind device_kind() const override { return DeviceKind::cuda; }
  [[nodiscard]] ElementType real() const override { return ElementType::f32; }
  [[nodiscard]] Kernel kernel(std::string_view operation) const override {
    return kernels_.find(operation);
  }
  [[nodiscard]] Kernel fast_kernel(std::string_view operation) const override {
    for (const KernelEntry& entry : fast_kernels()) {
      if (entry.operation == operation) return entry.kernel;
    }
    return kernel(operation);
  }
  [[nodiscard]] CUstream_st* stream() const override {
    return guarded("choosing the GPU", [&] { return stream_.get(); });
  }

  [[nodiscard]] std::int64_t free_bytes() const override { return memory_use().free_bytes; }

  [[nodiscard]] std::byte* allocate(std::int64_t bytes) const override {
    // CUDA gives no address to no bytes, and null means an absent operand.
    return allocated(MemorySpace::device, bytes, [&] {
      return cuda::allocate_device(std::max<std::int64_t>(1, bytes)).release();
    });
  }

  void free(std::byte* data, std::int64_t) const noexcept override {
    const cuda::DeviceMemory freed(data);
  }

  [[nodiscard]] std::byte* allocate_host(std::int64_t bytes) const override {
    return allocated(MemorySpace::host, bytes, [&] {
      return cuda::allocate_pinned(std::max<std::int64_t>(1, bytes)).release();
    });
  }

  void free_host(std::byte* data, std::int64_t) const noexcept override {
    wait_quietly();
    const cuda::PinnedMemory freed(data);
  }

  [[nodiscard]] std::int64_t memory_granularity() const override {
    return std::max(kLeastGranularity, growth_granularity_);
  }

  [[nodiscard]] std::unique_ptr<GrowingBlock> make_block(MemorySpace space) const override {
    if (space == MemorySpace::host || growth_granularity_ == 0) return Backend::make_block(space);
    return std::make_unique<MappedBlock>(*this);
  }

  void zero(std::byte* data, std::int64_t bytes) const override {
    guarded("zeroing memory", [&] { cuda::zero(data, bytes, stream_.get()); });
  }

  void upload(std::byte* device, const void* host, std::int64_t bytes) const override {
    guarded("a transfer to the GPU", [&] { ring_->upload(queue_, device, host, bytes); });
  }

  void download(void* host, const std::byte* device, std::int64_t bytes) const override {
    guarded("a kernel, or the transfer of its results",
            [&] { ring_->download(queue_, host, device, bytes); });
  }

  void wait() const override {
    guarded("a kernel, or the transfer of its results", [&] { cuda::wait(stream_.get()); });
  }

  void begin_range(const char* range) const override { cuda::push_range(range); }
  void end_range() const override { cuda::pop_range(); }

  [[nodiscard]] std::optional<std::int64_t> used_bytes() const override {
    const cuda::MemoryUse use = memory_use();
    return use.total_bytes - use.free_bytes;
  }
  [[nodiscard]] std::optional<double> utilization() const override {
    return cuda::utilization(device_.pci_bus_id);
  }

  [[noreturn]] void fail(std::string_view what, const std::exception& error) const override {
    const auto* const cuda_error = dynamic_cast<const cuda::CudaError*>(&error);
    const cudaError_t code = cuda_error == nullptr ? cudaErrorUnknown : cuda_error->code();
    throw RunError(fmt::format(
        "device {} ({}) failed in {} or in work queued before it: {}; {}. A run's last checkpoint "
        "stays: train --resume --out RUN continues, with --device cpu to the same bits",
        name_, device_.name, what, error.what(), remedy_of(code, device_)));
  }

 private:
  struct Queue final : TransferQueue {
    void queue_upload(std::byte* device, const std::byte* pinned, std::int64_t bytes) override {
      cuda::copy_to_device(device, pinned, bytes, stream);
    }
    void queue_download(std::byte* pinned, const std::byte* device, std::int64_t bytes) override {
      cuda::copy_to_host(pinned, device, bytes, stream);
    }
    void mark(int segment) override { cuda::record(event(segment), stream); }
    void wait(int segment) override { cuda::wait(event(segment)); }
    [[nodiscard]] cudaEvent_t event(int segment) const {
      return marks[static_cast<std::size_t>(segment)].get();
    }

    cudaStream_t stream = nullptr;
    std::array<cuda::Event, kSegments> marks;
  };

  /// A block that grows in place.
  class MappedBlock final : public GrowingBlock {
   public:
    explicit MappedBlock(const CudaBackend& backend) : backend_(backend) {}
    MappedBlock(const MappedBlock&) = delete;
    MappedBlock& operator=(const MappedBlock&) = delete;
    ~MappedBlock() override { backend_.wait_quietly(); }

    [[nodiscard]] std::byte* grow(std::int64_t bytes) override {
      return backend_.allocated(MemorySpace::device, bytes, [&] {
        if (!memory_) memory_.emplace(backend_.index_, backend_.device_.total_bytes);
        memory_->grow(bytes);
        return memory_->data();
      });
    }

   private:
    const CudaBackend& backend_;
    std::optional<cuda::GrowingMemory> memory_;
  };

  /// Runs `action` with this GPU current; turns what CUDA reports into an error for the user.
  template <class Action>
  std::invoke_result_t<Action> guarded(std::string_view what, Action&& action) const {
    try {
      cuda::make_current(index_);
      return action();
    } catch (const cuda::CudaError& error) {
      fail(what, error);
    }
  }

  /// The address that `allocate` returns; throws OutOfMemory where it finds no memory.
  template <class Allocate>
  [[nodiscard]] std::byte* allocated(MemorySpace space, std::int64_t bytes,
                                     Allocate&& allocate) const {
    return guarded("allocation", [&]() -> std::byte* {
      try {
        return allocate();
      } catch (const cuda::CudaError& error) {
        if (error.code() == cudaErrorMemoryAllocation) refuse_allocation(bytes, space);
        throw;
      }
    });
  }

  /// Before memory that queued work may use ends, where the call that ends it does not wait. An
  /// error is left to the next call that may report one.
  void wait_quietly() const noexcept {
    try {
      cuda::wait(stream_.get());
    } catch (const cuda::CudaError&) {
    }
  }

  [[nodiscard]] KernelTable fast_kernels() const {
    try {
      return guarded("starting cuBLAS", cuda::fast_kernels);
    } catch (const cuda::MissingLibrary& error) {
      throw InputError(fmt::format("--device {}: {}", name_, error.what()));
    } catch (const cuda::CublasError& error) {
      fail("starting cuBLAS", error);
    }
  }

  [[nodiscard]] cuda::MemoryUse memory_use() const {
    return guarded("asking for free memory", [] { return cuda::memory_use(); });
  }

  int index_;
  std::string name_;
  cuda::DeviceDescription device_;
  const KernelRegistry& kernels_;
  std::int64_t growth_granularity_;  ///< 0: memory does not grow in place
  cuda::Stream stream_;
  cuda::PinnedMemory pinned_;
  mutable Queue queue_;
  mutable std::optional<StagingRing> ring_;
};

}  // namespace

const CudaDevices& cuda_devices() {
  static const CudaDevices devices = [] {
    const cuda::DeviceCount found = cuda::count_devices();
    CudaDevices result{.count = found.count, .suits_auto = false, .missing = found.missing};
    if (found.count == 0) return result;
    try {
      result.suits_auto = cuda::describe_device(0).capability() >= cuda::kLeastCapability;
    } catch (const cuda::CudaError&) {
      // asked for by name, it says what is wrong with it
    }
    return result;
  }();
  return devices;
}

const Backend& cuda_backend(int index) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<CudaBackend>> backends;
  const std::lock_guard lock(mutex);
  std::unique_ptr<CudaBackend>& backend = backends[index];
  if (backend != nullptr) return *backend;
  try {
    cuda::DeviceDescription device = cuda::describe_device(index);
    if (device.capability() < cuda::kLeastCapability) {
      throw InputError(fmt::format(
          "--device cuda:{}: {} has compute capability {}.{}; the kernels need {}.{} or newer: use "
          "another GPU or --device cpu",
          index, device.name, device.capability_major, device.capability_minor,
          cuda::kLeastCapability / 10, cuda::kLeastCapability % 10));
    }
    backend = std::make_unique<CudaBackend>(index, std::move(device), cuda_kernels());
  } catch (const cuda::CudaError& error) {
    throw InputError(fmt::format(
        "--device cuda:{}: the GPU cannot be used: {}; see nvidia-smi, or use --device cpu", index,
        error.what()));
  }
  return *backend;
}

KernelRegistry& cuda_kernels() {
  static KernelRegistry kernels("cuda", cuda::kernels());
  return kernels;
}

}  // namespace batchwise
