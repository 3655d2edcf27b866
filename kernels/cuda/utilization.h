// How busy a GPU is, as the driver's management library (NVML) tells it. The library comes with the
// driver and is loaded when first asked.
#pragma once

#include <optional>
#include <string>

namespace batchwise::cuda {

/// The share of the driver's last sampling period, of a second or less, in which a kernel ran on
/// the GPU, from 0 to 1; nothing where the driver does not tell. pci_bus_id: as describe_device()
/// has it.
[[nodiscard]] std::optional<double> utilization(const std::string& pci_bus_id);

}  // namespace batchwise::cuda
