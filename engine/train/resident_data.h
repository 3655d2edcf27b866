// A split's samples in device memory, as they are in the file, with what normalises them.
#pragma once

#include "engine/data/dataset.h"
#include "engine/data/normalization.h"
#include "engine/execute/executor.h"
#include "engine/memory/arena.h"

namespace batchwise {

class ResidentData {
 public:
  ResidentData() = default;
  /// Uploads; the host's copy may be dropped afterwards.
  ResidentData(const Samples& samples, const Normalization& normalization, const Backend& backend,
               MemoryMeter& meter);

  /// The arrays from sample `first` on.
  [[nodiscard]] ExternalArrays arrays(std::int64_t first = 0) const;

 private:
  std::int64_t sample_bytes_ = 0;
  DeviceBuffer features_;
  DeviceBuffer labels_;
  DeviceBuffer shift_;
  DeviceBuffer divisor_;
};

}  // namespace batchwise
