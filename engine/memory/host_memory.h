// How much memory the host has to give.
#pragma once

#include <cstdint>
#include <filesystem>

namespace batchwise {

/// Bytes this process could take now: what the kernel says is available (/proc/meminfo), or less
/// where a control group of the process (version 2 or 1, as containers use) leaves less. Files of a
/// group's page cache that were not used lately count as free. root: another file system, for
/// tests.
[[nodiscard]] std::int64_t free_host_bytes(const std::filesystem::path& root = "/");

}  // namespace batchwise
