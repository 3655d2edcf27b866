#include "engine/execute/backend.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <stdexcept>

#include "engine/error.h"
#include "kernels/cpu/kernels.h"
#include "kernels/reference/kernels.h"

namespace batchwise {
namespace {

/// A backend whose memory is the host's.
class HostBackend final : public Backend {
 public:
  HostBackend(std::string name, ElementType real, KernelTable table)
      : name_(std::move(name)), real_(real) {
    for (const KernelEntry& entry : table) add(std::string(entry.operation), entry.kernel);
  }

  void add(std::string operation, Kernel implementation) {
    kernels_.insert_or_assign(std::move(operation), implementation);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] ElementType real() const override { return real_; }

  [[nodiscard]] Kernel kernel(std::string_view operation) const override {
    const auto found = kernels_.find(operation);
    if (found == kernels_.end()) {
      throw std::logic_error(fmt::format("backend {} has no kernel for {}", name_, operation));
    }
    return found->second;
  }

  [[nodiscard]] std::int64_t free_bytes() const override {
    std::ifstream meminfo("/proc/meminfo");
    std::string key;
    std::int64_t kibibytes = 0;
    while (meminfo >> key >> kibibytes) {
      if (key == "MemAvailable:") return kibibytes * 1024;
      meminfo.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return std::int64_t{1} << 30;  // an old kernel does not say
  }

  [[nodiscard]] std::byte* allocate(std::int64_t bytes) const override {
    constexpr std::int64_t kAlignment = 256;
    const std::int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* data = std::aligned_alloc(kAlignment, static_cast<std::size_t>(rounded));
    if (data == nullptr) {
      throw InputError(
          fmt::format("{} bytes of memory are not to be had on {}; use a smaller batch "
                      "or micro-batch",
                      bytes, name_));
    }
    return static_cast<std::byte*>(data);
  }

  void free(std::byte* data, std::int64_t) const noexcept override { std::free(data); }

  void zero(std::byte* data, std::int64_t bytes) const override {
    std::memset(data, 0, static_cast<std::size_t>(bytes));
  }
  void upload(std::byte* device, const void* host, std::int64_t bytes) const override {
    std::memcpy(device, host, static_cast<std::size_t>(bytes));
  }
  void download(void* host, const std::byte* device, std::int64_t bytes) const override {
    std::memcpy(host, device, static_cast<std::size_t>(bytes));
  }

 private:
  std::string name_;
  ElementType real_;
  std::map<std::string, Kernel, std::less<>> kernels_;
};

HostBackend& cpu_backend() {
  static HostBackend backend("cpu", ElementType::f32, cpu::kernels());
  return backend;
}

HostBackend& reference_backend() {
  static HostBackend backend("reference", ElementType::f64, reference::kernels_f64());
  return backend;
}

}  // namespace

const Backend& find_backend(std::string_view device) {
  if (device == "auto" || device == "cpu") return cpu_backend();
  if (device == "reference") return reference_backend();
  if (device == "emulated" || device == "cuda" || device.starts_with("cuda:")) {
    throw InputError(
        fmt::format("--device {}: this version of batchwise has no CUDA kernels; it runs on the "
                    "CPU: use --device cpu",
                    device));
  }
  throw InputError(fmt::format(
      "--device {}: unknown device; expected auto, cuda, cuda:N, cpu or emulated", device));
}

void set_cpu_threads(int threads) { cpu::set_threads(threads); }

void register_kernel(std::string_view backend, std::string operation, Kernel kernel) {
  HostBackend& target = backend == "cpu" ? cpu_backend() : reference_backend();
  if (target.name() != backend) {
    throw std::logic_error("no backend is named " + std::string(backend));
  }
  target.add(std::move(operation), kernel);
}

}  // namespace batchwise
