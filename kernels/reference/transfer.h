// copy_to_host and copy_from_host, as plain loops: the contract is ops/transfer.h. All memory is
// the host's here.
#pragma once

#include "kernels/ops/transfer.h"

namespace batchwise::reference {

inline void copy_rows(const TransferArguments& a) {
  for (std::int64_t row = 0; row < a.rows; ++row) {
    for (std::int64_t byte = 0; byte < a.row_bytes; ++byte) {
      const std::int64_t place = row * a.stride_bytes + byte;
      a.destination[place] = a.source[place];
    }
  }
}

}  // namespace batchwise::reference
