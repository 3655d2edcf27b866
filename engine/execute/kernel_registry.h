// The kernels of one backend by operation name: those it comes with and those a user adds.
#pragma once

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/ops/kernel.h"

namespace batchwise {

/// Adding is not thread-safe; finding is.
class KernelRegistry {
 public:
  KernelRegistry(std::string backend, KernelTable table) : backend_(std::move(backend)) {
    for (const KernelEntry& entry : table) add(std::string(entry.operation), entry.kernel);
  }

  void add(std::string operation, Kernel kernel) {
    kernels_.insert_or_assign(std::move(operation), kernel);
  }

  /// Throws std::logic_error when there is none.
  [[nodiscard]] Kernel find(std::string_view operation) const {
    const auto found = kernels_.find(operation);
    if (found == kernels_.end()) {
      throw std::logic_error("backend " + backend_ + " has no kernel for " +
                             std::string(operation));
    }
    return found->second;
  }

 private:
  std::string backend_;
  std::map<std::string, Kernel, std::less<>> kernels_;
};

}  // namespace batchwise
