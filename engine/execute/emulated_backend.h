// The backend "emulated": the CUDA kernels on the CPU, in memory that the host cannot reach but by
// transfers, so that the engine is held to what a GPU allows.
#pragma once

#include "engine/execute/backend.h"
#include "engine/execute/kernel_registry.h"

namespace batchwise {

class EmulatedBackend final : public Backend {
 public:
  /// The kernels must outlive the backend.
  explicit EmulatedBackend(const KernelRegistry& kernels) : kernels_(kernels) {}

  [[nodiscard]] std::string_view name() const override { return "emulated"; }
  [[nodiscard]] bool emulates() const override { return true; }
  [[nodiscard]] ElementType real() const override { return ElementType::f32; }
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
  const KernelRegistry& kernels_;
};

}  // namespace batchwise
