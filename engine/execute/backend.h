// A backend: the kernels of one device, its memory, and transfers to and from it. backend.cpp is
// the one file of the engine that knows which backends there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/ops/kernel.h"

namespace batchwise {

class Backend {
 public:
  virtual ~Backend() = default;

  /// "cpu", "reference", ...
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The type real numbers have on it: f32, or f64 for the reference.
  [[nodiscard]] virtual ElementType real() const = 0;
  /// Throws std::logic_error when the backend has no kernel for the operation.
  [[nodiscard]] virtual Kernel kernel(std::string_view operation) const = 0;

  /// Bytes that could be allocated now.
  [[nodiscard]] virtual std::int64_t free_bytes() const = 0;
  /// Aligned to 256 bytes. Throws InputError when the memory is not to be had.
  [[nodiscard]] virtual std::byte* allocate(std::int64_t bytes) const = 0;
  virtual void free(std::byte* data, std::int64_t bytes) const noexcept = 0;
  virtual void zero(std::byte* data, std::int64_t bytes) const = 0;
  virtual void upload(std::byte* device, const void* host, std::int64_t bytes) const = 0;
  virtual void download(void* host, const std::byte* device, std::int64_t bytes) const = 0;
};

/// The device a run uses: "auto" takes the best there is. Throws InputError for a device that this
/// build or machine does not have; the message says what there is.
[[nodiscard]] const Backend& find_backend(std::string_view device);

/// Threads of the cpu backend's kernels, the caller's counted; changes no result. Not during a
/// step.
void set_cpu_threads(int threads);

/// Adds or replaces a kernel of a backend ("cpu", "reference"), for operations a user registered.
void register_kernel(std::string_view backend, std::string operation, Kernel kernel);

}  // namespace batchwise
