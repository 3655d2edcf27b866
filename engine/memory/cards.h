// NVIDIA cards by name, for the memory budget of a card that is not in this machine.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace batchwise {

struct Card {
  std::string_view name;         ///< "h100-80gb": brand and form factor left out
  std::string_view full_name;    ///< "NVIDIA H100 80GB (PCIe and SXM)"
  std::int64_t total_bytes = 0;  ///< all memory the driver reports, ECC on where it is the default
  std::string_view source;       ///< of total_bytes
};

/// An assumption until it is measured: what a process holds on a GPU before it allocates anything,
/// that is the CUDA context and the kernels of the engine and of cuBLAS. It grows with the number
/// of multiprocessors. Published figures: for a context alone 555 MiB on an RTX PRO 6000 and
/// 107 MiB on an RTX 4060 Ti (llama.cpp, when it compared cudaMemGetInfo with NVML); about 300 MB
/// for PyTorch with lazy loading of kernels (its developers, 2023).
inline constexpr std::int64_t kAssumedOverheadBytes = std::int64_t{512} << 20;

/// An assumption until it is measured: the part of total_bytes that the driver keeps to itself, so
/// that no program can allocate it. Published logs of nvidia-smi -q name 328 to 516 MiB on H100 and
/// 700 MiB on H200, by driver version; cudaMemGetInfo leaves out 640 MiB on an RTX PRO 6000
/// (llama.cpp, as above).
inline constexpr std::int64_t kAssumedReservedBytes = std::int64_t{700} << 20;

/// All cards, by generation.
[[nodiscard]] std::span<const Card> all_cards();

/// The card that a user means: "h100-80gb", "RTX 4090", "4090", "NVIDIA A100-SXM4-80GB". Case,
/// brand, form factor, spaces and dashes do not count; the memory size may be left out where it is
/// not needed. Throws InputError with the nearest names for an unknown one, with the candidates for
/// one that is several cards ("a100").
[[nodiscard]] const Card& find_card(std::string_view name);

}  // namespace batchwise
