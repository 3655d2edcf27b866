// Buffers of what an update's kernels read besides arrays: statuses, tables, workspace.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/ops/optimizer.h"
#include "tests/kernels/kernel_comparison.h"

namespace batchwise::kernel_testing {

/// Records in a buffer of bytes.
template <class Record>
[[nodiscard]] Buffer bytes_of(const std::vector<Record>& records) {
  const std::size_t bytes = records.size() * sizeof(Record);
  Buffer result(ElementType::u8, {static_cast<std::int64_t>(bytes)}, {1});
  std::memcpy(result.data<std::byte>(), records.data(), bytes);
  return result;
}

[[nodiscard]] inline Buffer status(double factor, double finite) {
  UpdateStatus result;
  result.gradient_factor = factor;
  result.finite = finite;
  return bytes_of(std::vector{result});
}

/// The workspace of gradient_norm.
[[nodiscard]] inline Buffer chunk_sums(std::int64_t size) {
  return Buffer(ElementType::f64, {norm_chunks(size), kNormColumns}, {kNormColumns, 1});
}

}  // namespace batchwise::kernel_testing
