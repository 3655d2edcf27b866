// The version of the library and of the program.
#pragma once

#include <string_view>

namespace batchwise {

/// "0.1.0", from the CMake project.
[[nodiscard]] std::string_view version();

}  // namespace batchwise
