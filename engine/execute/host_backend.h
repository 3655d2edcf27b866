// Backends whose memory is the host's: "cpu" and "reference".
#pragma once

#include "engine/execute/backend.h"
#include "engine/execute/kernel_registry.h"

namespace batchwise {

class HostBackend final : public Backend {
 public:
  /// The kernels must outlive the backend.
  HostBackend(std::string name, ElementType real, const KernelRegistry& kernels)
      : name_(std::move(name)), real_(real), kernels_(kernels) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] ElementType real() const override { return real_; }
  [[nodiscard]] Kernel kernel(std::string_view operation) const override {
    return kernels_.find(operation);
  }

  [[nodiscard]] std::int64_t free_bytes() const override;
  [[nodiscard]] std::byte* allocate(std::int64_t bytes) const override;
  void free(std::byte* data, std::int64_t bytes) const noexcept override;
  void zero(std::byte* data, std::int64_t bytes) const override;
  void upload(std::byte* device, const void* host, std::int64_t bytes) const override;
  void download(void* host, const std::byte* device, std::int64_t bytes) const override;

 private:
  std::string name_;
  ElementType real_;
  const KernelRegistry& kernels_;
};

}  // namespace batchwise
