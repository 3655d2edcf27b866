#include "engine/execute/backend.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include "engine/error.h"
#include "engine/execute/cuda_backend.h"
#include "engine/execute/emulated_backend.h"
#include "engine/execute/host_backend.h"
#include "engine/execute/kernel_registry.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cuda/kernels.h"
#include "kernels/reference/kernels.h"

namespace batchwise {
namespace {

KernelRegistry& cpu_kernels() {
  static KernelRegistry kernels("cpu", cpu::kernels());
  return kernels;
}

KernelRegistry& reference_kernels() {
  static KernelRegistry kernels("reference", reference::kernels_f64());
  return kernels;
}

KernelRegistry& emulated_kernels() {
  static KernelRegistry kernels("emulated", emulated::kernels());
  return kernels;
}

const Backend& cpu_backend() {
  static const HostBackend backend("cpu", ElementType::f32, cpu_kernels());
  return backend;
}

const Backend& reference_backend() {
  static const HostBackend backend("reference", ElementType::f64, reference_kernels());
  return backend;
}

const Backend& emulated_backend() {
  static const EmulatedBackend backend(emulated_kernels());
  return backend;
}

/// 0 for "cuda", N for "cuda:N".
int index_of(std::string_view device) {
  int index = 0;
  const std::size_t colon = device.find(':');
  if (colon == std::string_view::npos) return 0;
  const std::string_view digits = device.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc{} || end != digits.data() + digits.size() || index < 0) {
    throw InputError(
        fmt::format("--device {}: expected the GPU's index after \"cuda:\", as in cuda:0", device));
  }
  return index;
}

const Backend& find_cuda(std::string_view device) {
  const int index = index_of(device);
  const CudaDevices& devices = cuda_devices();
  if (devices.count == 0) {
    throw InputError(
        fmt::format("--device {}: {}; or run on the CPU: --device cpu, or --device "
                    "emulated for the CUDA kernels there (slow)",
                    device, devices.missing));
  }
  if (index >= devices.count) {
    throw InputError(fmt::format(
        "--device {}: this machine has {} GPU{}, {}; or run on the CPU: --device cpu", device,
        devices.count, devices.count == 1 ? "" : "s",
        devices.count == 1 ? "cuda:0" : fmt::format("cuda:0 to cuda:{}", devices.count - 1)));
  }
  return cuda_backend(index);
}

/// A block that is given back and allocated anew when it grows.
class ReplacedBlock final : public GrowingBlock {
 public:
  ReplacedBlock(const Backend& backend, MemorySpace space) : backend_(backend), space_(space) {}
  ReplacedBlock(const ReplacedBlock&) = delete;
  ReplacedBlock& operator=(const ReplacedBlock&) = delete;
  ~ReplacedBlock() override { release(); }

  [[nodiscard]] std::byte* grow(std::int64_t bytes) override {
    release();
    data_ = space_ == MemorySpace::host ? backend_.allocate_host(bytes) : backend_.allocate(bytes);
    bytes_ = bytes;
    return data_;
  }

 private:
  void release() noexcept {
    if (data_ == nullptr) return;
    if (space_ == MemorySpace::host) {
      backend_.free_host(data_, bytes_);
    } else {
      backend_.free(data_, bytes_);
    }
    data_ = nullptr;
  }

  const Backend& backend_;
  MemorySpace space_;
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace

std::byte* Backend::allocate_host(std::int64_t bytes) const {
  constexpr std::int64_t kAlignment = 256;
  const std::int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* data = std::aligned_alloc(kAlignment, static_cast<std::size_t>(rounded));
  if (data == nullptr) refuse_allocation(bytes, MemorySpace::host);
  return static_cast<std::byte*>(data);
}

void Backend::free_host(std::byte* data, std::int64_t) const noexcept { std::free(data); }

std::unique_ptr<GrowingBlock> Backend::make_block(MemorySpace space) const {
  return std::make_unique<ReplacedBlock>(*this, space);
}

void Backend::fail(std::string_view what, const std::exception& error) const {
  throw RunError(fmt::format("device {} failed in {}: {}", name(), what, error.what()));
}

void Backend::refuse_allocation(std::int64_t bytes, MemorySpace space) const {
  throw OutOfMemory(
      bytes, fmt::format("{} bytes of {}memory are not to be had on {}; use a smaller batch or "
                         "micro-batch",
                         bytes, space == MemorySpace::host ? "host " : "", name()));
}

const Backend& find_backend(std::string_view device) {
  if (device == "cpu") return cpu_backend();
  if (device == "reference") return reference_backend();
  if (device == "emulated") return emulated_backend();
  if (device == "cuda" || device.starts_with("cuda:")) return find_cuda(device);
  if (device == "auto") return cuda_devices().suits_auto ? cuda_backend(0) : cpu_backend();
  throw InputError(fmt::format(
      "--device {}: unknown device; expected auto, cuda, cuda:N, cpu or emulated", device));
}

void set_cpu_threads(int threads) { cpu::set_threads(threads); }

void register_kernel(std::string_view backend, std::string operation, Kernel kernel) {
  KernelRegistry* const kernels = backend == "cpu"         ? &cpu_kernels()
                                  : backend == "reference" ? &reference_kernels()
                                  : backend == "emulated"  ? &emulated_kernels()
                                  : backend == "cuda"      ? &cuda_kernels()
                                                           : nullptr;
  if (kernels == nullptr) throw std::logic_error("no backend is named " + std::string(backend));
  kernels->add(std::move(operation), kernel);
}

}  // namespace batchwise
