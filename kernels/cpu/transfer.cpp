// copy_to_host and copy_from_host: all memory is the host's here, so both copy within it.
#include "kernels/ops/transfer.h"

#include <cstring>

#include "kernels/cpu/operations.h"

namespace batchwise::cpu {

void copy_to_host(const KernelArguments& arguments) {
  const auto a = TransferArguments::from(arguments);
  if (a.rows == 0) return;
  std::memcpy(a.destination, a.source,
              static_cast<std::size_t>((a.rows - 1) * a.stride_bytes + a.row_bytes));
}

void copy_from_host(const KernelArguments& arguments) { copy_to_host(arguments); }

}  // namespace batchwise::cpu
