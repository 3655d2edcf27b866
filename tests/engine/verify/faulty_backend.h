// The cpu backend with one kernel exchanged for a wrong one: what verification must find.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "engine/execute/backend.h"

namespace batchwise::verification {

/// How a faulty kernel gets at the right one, which a function pointer cannot hold.
[[nodiscard]] inline const Backend& cpu() { return find_backend("cpu"); }

inline void run_right_kernel(const char* operation, const KernelArguments& arguments) {
  cpu().kernel(operation)(arguments);
}

class FaultyBackend : public Backend {
 public:
  FaultyBackend(std::string operation, Kernel faulty)
      : operation_(std::move(operation)), faulty_(faulty) {}

  [[nodiscard]] std::string_view name() const override { return "faulty"; }
  [[nodiscard]] ElementType real() const override { return cpu().real(); }
  [[nodiscard]] Kernel kernel(std::string_view operation) const override {
    return operation == operation_ ? faulty_ : cpu().kernel(operation);
  }
  [[nodiscard]] std::int64_t free_bytes() const override { return cpu().free_bytes(); }
  [[nodiscard]] std::byte* allocate(std::int64_t bytes) const override {
    return cpu().allocate(bytes);
  }
  void free(std::byte* data, std::int64_t bytes) const noexcept override {
    cpu().free(data, bytes);
  }
  void zero(std::byte* data, std::int64_t bytes) const override { cpu().zero(data, bytes); }
  void upload(std::byte* device, const void* host, std::int64_t bytes) const override {
    cpu().upload(device, host, bytes);
  }
  void download(void* host, const std::byte* device, std::int64_t bytes) const override {
    cpu().download(host, device, bytes);
  }

 private:
  std::string operation_;
  Kernel faulty_;
};

}  // namespace batchwise::verification
