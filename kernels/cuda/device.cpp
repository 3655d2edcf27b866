#include "kernels/cuda/device.h"

#include <nvtx3/nvToolsExt.h>

namespace batchwise::cuda {
namespace {

/// 13000 -> "13.0".
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string missing_driver() {
  int driver = 0, runtime = 0;
  ignore(cudaDriverGetVersion(&driver));
  ignore(cudaRuntimeGetVersion(&runtime));
  if (driver == 0) {
    return "no NVIDIA driver is installed; install one for CUDA " + version_text(runtime) +
           " or later (nvidia-smi then lists the GPU)";
  }
  return "the NVIDIA driver is too old: it is for CUDA " + version_text(driver) +
         ", and this program needs one for CUDA " + version_text(runtime) + "; update the driver";
}

}  // namespace

DeviceCount count_devices() {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  ignore(result);
  if (result == cudaErrorInsufficientDriver) return {0, missing_driver()};
  if (result == cudaErrorNoDevice || (result == cudaSuccess && count == 0)) {
    return {0,
            "the NVIDIA driver finds no GPU; see whether nvidia-smi lists one and whether "
            "CUDA_VISIBLE_DEVICES hides it"};
  }
  if (result != cudaSuccess) {
    return {0, std::string("the NVIDIA driver does not start: ") + cudaGetErrorName(result) + ", " +
                   cudaGetErrorString(result) + "; see whether nvidia-smi works"};
  }
  return {count, {}};
}

DeviceDescription describe_device(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  char bus_id[32] = {};
  check(cudaDeviceGetPCIBusId(bus_id, sizeof(bus_id), device), "cudaDeviceGetPCIBusId");
  return {.name = properties.name,
          .capability_major = properties.major,
          .capability_minor = properties.minor,
          .total_bytes = static_cast<std::int64_t>(properties.totalGlobalMem),
          .pci_bus_id = bus_id};
}

void make_current(int device) { check(cudaSetDevice(device), "cudaSetDevice"); }

MemoryUse memory_use() {
  std::size_t free_bytes = 0, total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  return {static_cast<std::int64_t>(free_bytes), static_cast<std::int64_t>(total_bytes)};
}

void Release::operator()(cudaStream_t stream) const noexcept { ignore(cudaStreamDestroy(stream)); }
void Release::operator()(cudaEvent_t event) const noexcept { ignore(cudaEventDestroy(event)); }
void ReleaseDevice::operator()(std::byte* data) const noexcept { ignore(cudaFree(data)); }
void ReleasePinned::operator()(std::byte* data) const noexcept { ignore(cudaFreeHost(data)); }

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return Event(event);
}

DeviceMemory allocate_device(std::int64_t bytes) {
  void* data = nullptr;
  check(cudaMalloc(&data, static_cast<std::size_t>(bytes)), "cudaMalloc");
  return DeviceMemory(static_cast<std::byte*>(data));
}

PinnedMemory allocate_pinned(std::int64_t bytes) {
  void* data = nullptr;
  check(cudaMallocHost(&data, static_cast<std::size_t>(bytes)), "cudaMallocHost");
  return PinnedMemory(static_cast<std::byte*>(data));
}

void copy_to_device(std::byte* device, const std::byte* pinned, std::int64_t bytes,
                    cudaStream_t stream) {
  check(cudaMemcpyAsync(device, pinned, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                        stream),
        "cudaMemcpyAsync to the GPU");
}

void copy_to_host(std::byte* pinned, const std::byte* device, std::int64_t bytes,
                  cudaStream_t stream) {
  check(cudaMemcpyAsync(pinned, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                        stream),
        "cudaMemcpyAsync from the GPU");
}

void zero(std::byte* device, std::int64_t bytes, cudaStream_t stream) {
  check(cudaMemsetAsync(device, 0, static_cast<std::size_t>(bytes), stream), "cudaMemsetAsync");
}

void record(cudaEvent_t event, cudaStream_t stream) {
  check(cudaEventRecord(event, stream), "cudaEventRecord");
}

void wait(cudaEvent_t event) { check(cudaEventSynchronize(event), "cudaEventSynchronize"); }
void wait(cudaStream_t stream) { check(cudaStreamSynchronize(stream), "cudaStreamSynchronize"); }

void push_range(const char* name) noexcept { nvtxRangePushA(name); }
void pop_range() noexcept { nvtxRangePop(); }

}  // namespace batchwise::cuda
