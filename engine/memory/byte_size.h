// Sizes of memory as people write them: "24GiB", "512 MiB", "80 GB", "1048576".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace batchwise {

/// Bytes, or nothing where the text is no size. KiB, MiB, GiB and TiB are powers of 1024, kB, MB,
/// GB and TB of 1000, whatever the case; B or nothing is bytes. A fraction ("1.5GiB") is rounded
/// down.
[[nodiscard]] std::optional<std::int64_t> parse_byte_size(std::string_view text);

}  // namespace batchwise
