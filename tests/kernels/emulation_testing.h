// Helps the tests of the emulated device: arrays in its memory, and expectations of what it
// reports. A test's kernels stand in the test's own file, which is compiled as the engine's kernels
// are.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "kernels/emulation/language.h"
#include "kernels/emulation/machine.h"
#include "kernels/emulation/memory.h"

namespace batchwise::emulation_testing {

using emulated::launch;
using emulation::FaultKind;
using emulation::KernelFault;

/// Owns an array in device memory.
template <class T>
class DeviceArray {
 public:
  /// Never written.
  explicit DeviceArray(std::size_t size)
      : size_(size), data_(emulation::allocate(static_cast<std::int64_t>(size * sizeof(T)))) {}
  DeviceArray(std::size_t size, T value) : DeviceArray(std::vector<T>(size, value)) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    emulation::upload(data_, values.data(), bytes());
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { emulation::free(data_); }

  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(data_); }
  [[nodiscard]] std::int64_t bytes() const { return static_cast<std::int64_t>(size_ * sizeof(T)); }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> result(size_);
    emulation::download(result.data(), data_, bytes());
    return result;
  }

 private:
  std::size_t size_;
  std::byte* data_;
};

/// "file:line" of the one line of a source file that ends in the comment `// <mark>`.
inline std::string marked(const std::string& file, const std::string& mark) {
  std::ifstream stream(file);
  const std::string comment = "// " + mark;
  std::string found;
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.ends_with(comment)) {
      EXPECT_EQ(found, "") << "two lines of " << file << " are marked " << mark;
      found = file + ":" + std::to_string(number);
    }
  }
  EXPECT_NE(found, "") << "no line of " << file << " is marked " << mark;
  return found;
}

/// What the launch is reported for; empty, and a failure, when it is not.
template <class Launch>
std::string fault_of(FaultKind kind, Launch launch) {
  try {
    launch();
  } catch (const KernelFault& fault) {
    EXPECT_EQ(fault.kind(), kind) << fault.what();
    return fault.what();
  }
  ADD_FAILURE() << "nothing was reported";
  return {};
}

/// With a sanitizer configured, that one sees accesses, and ends the process.
#define BATCHWISE_NEEDS_CHECKS()                 \
  if (!batchwise::emulation::sees_accesses())    \
  GTEST_SKIP() << "the sanitizer sees accesses " \
                  "instead"

}  // namespace batchwise::emulation_testing
